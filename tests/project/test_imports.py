"""Imports point one way: agents, connectors, dashboards, reports → pipeline; the pure core imports no I/O and no clock."""

import ast
from pathlib import Path

import pytest

from tests.paths import ROOT

ADAPTERS = {"agents", "connectors", "dashboards", "reports", "cli"}
IO = {
    "faust", "mode", "kafka", "aiokafka", "aiohttp", "httpx2", "influxdb_client", "sqlite3", "socket",
    "requests", "urllib", "subprocess", "threading", "asyncio", "time", "os", "click", "stamina", "psutil",
}  # fmt: skip
#: rooms of ``pipeline`` that are adapters: the KPI store, the event archive, and the catalogue's file reading
EDGES = ("pipeline/stores/", "pipeline/archive/", "pipeline/catalogue/loader.py")


def modules(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


def roots(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imported(path)}


@pytest.mark.parametrize("path", modules("pipeline"), ids=lambda p: str(p.relative_to(ROOT)))
def test_core_imports_no_adapter(path: Path) -> None:
    assert not roots(path) & ADAPTERS


@pytest.mark.parametrize("path", modules("pipeline"), ids=lambda p: str(p.relative_to(ROOT)))
def test_core_imports_no_io_and_no_clock(path: Path) -> None:
    name = path.relative_to(ROOT).as_posix()
    if any(name.startswith(edge) for edge in EDGES):
        assert not roots(path) & {"faust", "mode", "kafka", "aiokafka", "click", "aiohttp"}
    else:
        assert not roots(path) & IO


@pytest.mark.parametrize("folder", ["agents", "connectors", "dashboards", "reports"])
def test_adapters_do_not_import_each_other_or_the_root(folder: str) -> None:
    others = ADAPTERS - {folder}
    for path in modules(folder):
        assert not roots(path) & others, path


def test_core_reads_no_wall_clock() -> None:
    """``datetime.now`` and friends take the time from the machine; in the core time is an argument."""
    for path in modules("pipeline"):
        name = path.relative_to(ROOT).as_posix()
        if any(name.startswith(edge) for edge in EDGES):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute):
                assert node.attr not in {"now", "utcnow", "today", "monotonic"} or _own(node), f"{name}:{node.lineno}"


def _own(node: ast.Attribute) -> bool:
    """Whether ``x.now`` is a field of ours, not the clock's method."""
    if isinstance(node.value, ast.Attribute):
        return node.value.attr == "_agenda"
    return isinstance(node.value, ast.Name) and node.value.id in {"span", "self"}
