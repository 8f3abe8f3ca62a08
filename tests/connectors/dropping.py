"""A folder in which files are dropped, and what reads it."""

from __future__ import annotations

import json
import os
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from connectors.engine.config import find_entry
from connectors.engine.stats import Stats
from connectors.objects.load import prepare_files
from connectors.objects.read import FilesReader
from tests.connectors.pulling import Memory

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
MAPPING = {
    "name": "checks", "format": "jsonl", "service": "service",
    "events": [{"type": "uptime.checked", "time": "at", "data": {"up": {"column": "up", "as": "bool"}, "check": "check"}}],
}  # fmt: skip
LOG = '10.0.0.1 - - [26/Nov/2026:11:00:00 +0000] "GET /a HTTP/1.1" 200 5 "-" "Mozilla/5.0"\n'


def row(number, up=True, **more):
    return {
        "service": "shop",
        "at": f"2026-11-26T11:{number // 60 % 60:02}:{number % 60:02}Z",
        "up": up,
        "check": f"c{number}",
        **more,
    }


def lines(*numbers):
    return "".join(json.dumps(row(n)) + "\n" for n in numbers)


class Drop:
    """A folder in which files are dropped, and what reads it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.there = folder, folder / "drop"
        self.there.mkdir()
        self.sink, self.said = Memory(), []
        self._tick = 1_800_000_000

    def put(self, name, text, mapping=None):
        path = self.there / name
        path.parent.mkdir(parents=True, exist_ok=True)
        data = text if isinstance(text, bytes) else text.encode()
        path.write_bytes(data)
        self._tick += 1
        os.utime(path, (self._tick, self._tick))  # clocks of file systems are coarse

    def files(self, mapping=None, **more):
        (self.folder / "checks.yaml").write_text(yaml.safe_dump({**MAPPING, **(mapping or {})}))
        options = {"place": "drop", "mapping": "checks.yaml", **more.pop("options", {})}
        config = self.folder / "connectors.yaml"
        config.write_text(yaml.safe_dump([{"name": "ours", "connector": "files", "options": options, **more}]))
        return prepare_files(find_entry(config, "ours"), config, lambda: b"salt")

    def reader(self, mapping=None, share=None, **more):
        files = self.files(mapping, **more)
        self.stats = Stats(files.source)
        return FilesReader(
            files.place, files.form, files.source, self.sink, self.stats, dict(self.sink.cursors), threading.Event(), self.said.append,
            lambda: NOW, share,
        )  # fmt: skip

    @property
    def checks(self):
        return [e["data"].get("check") for e in self.sink.events]


@pytest.fixture
def drop(tmp_path):
    return Drop(tmp_path)
