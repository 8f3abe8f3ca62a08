"""Declarations of tables and configurations of files that people write."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import yaml

from connectors.engine.config import load_entries
from connectors.objects.load import prepare_files
from connectors.opening import prepare_any
from connectors.sql.load import shipped_sql
from pipeline.errors import ConfigError
from tests.fuzz import mutate
from tests.fuzz.run import INPUTS, fuzz
from tests.fuzz.written import as_yaml, one_sentence, write

TABLE: dict[str, Any] = {
    "name": "ours", "connector": "table.yaml", "options": {"address": "postgresql://reader@db.example.org/x", "service": "shop"},
    "auth": {"password": {"env": "FUZZ_SECRET"}}, "services": {"a": "b"}, "since": "2026-11-01",
}  # fmt: skip
FILES: dict[str, Any] = {
    "name": "ours", "connector": "files", "options": {"place": "s3://bucket/prefix", "mapping": "access-log", "service": "shop", "pattern": "*.gz"},
    "auth": {"access_key_id": {"env": "FUZZ_SECRET"}, "secret_access_key": {"env": "FUZZ_SECRET"}},
}  # fmt: skip


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FUZZ_SECRET", "s3cret-marker-of-many")
    return tmp_path_factory.mktemp("fuzz")


def check(path: Path, prepare: Any) -> None:
    try:
        for entry in load_entries(path):
            prepare(entry, path)
    except ConfigError as e:
        one_sentence(e)
        told = str(e)
    else:
        return
    assert "s3cret-marker" not in told


def test_declarations_of_tables(folder: Path) -> None:
    config = write(folder / "connectors.yaml", yaml.safe_dump([TABLE]))
    document = yaml.safe_load(shipped_sql()["predictions"].read_text())

    def tried(text: str) -> None:
        write(folder / "table.yaml", text)
        check(config, prepare_any)

    fuzz(lambda rng: as_yaml(mutate.mutated(document, rng), rng), tried, INPUTS // 20)


def test_configurations_of_tables(folder: Path) -> None:
    write(folder / "table.yaml", shipped_sql()["predictions"].read_text())

    def tried(text: str) -> None:
        check(write(folder / "connectors.yaml", text), prepare_any)

    fuzz(lambda rng: as_yaml(mutate.mutated([TABLE], rng), rng), tried, INPUTS // 20)


def test_configurations_of_files(folder: Path) -> None:
    def make(rng: random.Random) -> str:
        return as_yaml(
            mutate.mutated([{**FILES, "auth": {}, "options": {**FILES["options"], "place": "drop"}}], rng), rng
        )

    def tried(text: str) -> None:
        check(write(folder / "connectors.yaml", text), lambda entry, path: prepare_files(entry, path, lambda: b"salt"))

    fuzz(make, tried, INPUTS // 20)
