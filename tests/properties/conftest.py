"""Cells are packed at every flush: what is drawn is too short for the pauses of a long life."""

from __future__ import annotations

import pytest

from pipeline.engine import cellstore, entitystore


@pytest.fixture(autouse=True)
def pack_at_every_flush(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cellstore, "FLUSHES", 1)
    monkeypatch.setattr(cellstore, "IDLE_S", -1)
    monkeypatch.setattr(entitystore, "OPEN_ROWS", 0)
    monkeypatch.setattr(entitystore, "_WARM", 0)
