"""Catalogues that people write, and the expressions in them."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.catalogue import expressions, loader, reading
from pipeline.errors import CatalogueError
from tests.fuzz import mutate
from tests.fuzz.run import INPUTS, fuzz
from tests.fuzz.written import as_yaml, one_sentence, write


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


EXPRESSIONS = (
    "state == 'closed' and priority in [1, 2]", "(resolved_at - opened_at)", "1 if made_sla is None else a / b", "not major and 1 < priority <= 3",
    "latency_ms * 2 + 1", "unit == 'EUR' or outcome - baseline > 0", "-a if b is not None else 0.5", "x not in ('a', 'b')",
)  # fmt: skip
_TOKENS = ("(", ")", "[", "]", " and ", " or ", " not ", " in ", " is ", " if ", " else ", "**", "//", "<<", "lambda:0", "__import__('os')",
           "a.b", "a()", "a[0]", "{", "f'{a}'", "10**9", "'a'*9", "_record", "_each", "None", "True", "1e400", "9" * 5000, "\\", "\n", "\x00", "#",
           ":=", "*a", "yield", "await", "...", "b'x'", "1j", "é", "-" * 400, "not " * 150, "(" * 200)  # fmt: skip


class Record:
    """A record whose fields may be anything."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return mutate.nasty(self._rng)


def expression(rng: random.Random) -> str:
    given = mutate.one_of(EXPRESSIONS, rng)
    for _ in range(rng.randint(1, 4)):
        at = rng.randint(0, len(given))
        given = (
            given[:at] + rng.choice(_TOKENS) + given[at + rng.choice((0, 0, 1, 4)) :]
            if rng.random() < 0.7
            else mutate.text(given, rng)
        )
    return given


def test_catalogue_expressions() -> None:
    def check(given: tuple[str, random.Random]) -> None:
        text, rng = given
        try:
            value, where, of = (
                compiled(text)
                for compiled in (expressions.compile_value, expressions.compile_where, expressions.compile_of)
            )
            expressions.check_fields(text, expressions.fields_of(text))
            expressions.compared_words(text)
        except CatalogueError as e:
            one_sentence(e)
            return
        for _ in range(3):
            record = Record(rng)
            found = value(record)
            assert isinstance(where(record), bool)
            assert of(record) in {True, False, None}
            assert len(repr(found)) < 1_000_000

    fuzz(lambda rng: (expression(rng), rng), check)


@contextmanager
def built_in_read_once() -> Iterator[None]:
    """Read the built-in catalogue's files once: its YAML would take most of the time."""
    known: dict[Path, Any] = {}
    read = reading.read_yaml

    def remembered(path: Path) -> object:
        if loader.BUILT_IN not in path.parents:
            return read(path)
        if path not in known:
            known[path] = read(path)
        return copy.deepcopy(known[path])

    loader.read_yaml = remembered  # type: ignore[attr-defined]
    try:
        yield
    finally:
        loader.read_yaml = read  # type: ignore[attr-defined]


OVERLAY: dict[str, Any] = {
    "organisation.yaml": {"name": "N", "zone": "Europe/Berlin", "currency": "EUR", "history_from": "2020-01-01", "session_gap_minutes": 30},
    "services.yaml": [{"id": "shop", "name": "Shop", "team": "web", "tier": 1, "vendor_ids": ["S-1"], "required_checks": ["a"]}],
    "targets.yaml": [{"kpi": "mttr", "scope": "team:web", "value": 4, "valid_from": "2026-01-01"}],
}  # fmt: skip


def test_catalogues(folder: Path) -> None:
    kpis = [e for p in sorted((loader.BUILT_IN / "kpis").glob("*.yaml")) for e in yaml.safe_load(p.read_text())]
    (folder / "kpis").mkdir()

    def make(rng: random.Random) -> dict[str, str]:
        files = {
            name: as_yaml(mutate.mutated(d, rng) if rng.random() < 0.5 else d, rng)
            for name, d in OVERLAY.items()
            if rng.random() < 0.5
        }
        kpi = copy.deepcopy(mutate.one_of(kpis, rng))
        for measure in [kpi.get("measure")]:
            for key in [k for k, v in (measure or {}).items() if isinstance(v, str) and k != "kind"]:
                if rng.random() < 0.3:
                    measure[key] = expression(rng)
        files["kpis/own.yaml"] = as_yaml([mutate.mutated(kpi, rng)], rng)
        return files

    def check(files: dict[str, str]) -> None:
        for name in (*OVERLAY, "kpis/own.yaml"):
            (folder / name).unlink(missing_ok=True)
        for name, text in files.items():
            write(folder / name, text)
        try:
            found = loader.load_catalogue(folder)
        except CatalogueError as e:
            one_sentence(e)
            return
        assert len(found.kpis) >= 50

    with built_in_read_once():
        fuzz(make, check, max(200, INPUTS // 20))


def test_catalogue_entries(folder: Path) -> None:
    """One file at a time, which is fast enough for the full number: YAML, keys, types."""
    kpis = [e for p in sorted((loader.BUILT_IN / "kpis").glob("*.yaml")) for e in yaml.safe_load(p.read_text())]
    organisation = loader.model.Organisation()

    def check(text: str) -> None:
        path = write(folder / "k.yaml", text)
        try:
            for i, entry in enumerate(reading.entries(reading.read_yaml(path), "k", "kpi"), 1):
                name = loader._id(entry, "k", "kpi", i)
                loader._kpi(entry, organisation, f"k: {name}")
        except CatalogueError as e:
            one_sentence(e)

    fuzz(lambda rng: as_yaml([mutate.mutated(mutate.one_of(kpis, rng), rng)], rng), check)
