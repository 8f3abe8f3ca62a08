"""What is committed holds no registry host, no path of a machine, and locks every dependency by hash."""

import re
import subprocess

from tests.paths import ROOT


def tracked() -> list[str]:
    out = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    return out.stdout.split()


def test_locks_are_hashed_and_host_free() -> None:
    for name in ("requirements.lock", "requirements-dev.lock"):
        text = (ROOT / name).read_text()
        assert not re.search(r"https?://|--index-url|--find-links", text), name
        pins = re.findall(r"^([A-Za-z0-9_.\[\]-]+)==", text, re.MULTILINE)
        assert len(pins) > 30
        blocks = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)
        assert all("--hash=sha256:" in block for block in blocks if block.strip()), name


def test_no_registry_hosts_or_machine_paths() -> None:
    hosts = re.compile(
        r"(files\.pythonhosted|pypi\.org/simple|repo1?\.maven|registry\.npmjs|proxy\.golang|index\.crates)"
    )
    for name in tracked():
        path = ROOT / name
        if path.suffix in {".png", ".gz", ".ico"} or name == "tests/project/test_hygiene.py" or not path.is_file():
            continue
        text = path.read_text(errors="replace")
        assert not hosts.search(text), name
        assert "/root/" not in text, name


def test_a_secret_is_never_committed() -> None:
    text = (ROOT / ".env.example").read_text()
    for line in text.splitlines():
        if re.match(r"CSF_\w*(TOKEN|PASSWORD)=", line):
            assert line.endswith("="), line


def test_no_page_holds_both_sides_of_a_conflict() -> None:
    marked = re.compile(r"^(<{7}|>{7}) ", re.MULTILINE)
    for name in tracked():
        path = ROOT / name
        if path.suffix in {".md", ".yaml", ".yml", ".toml", ".jsonl", ".json"} and path.is_file():
            assert not marked.search(path.read_text(errors="replace")), name
