"""What the tests of crashes share."""

import pytest


@pytest.fixture(autouse=True)
def dead_workers_are_freed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the collector have workers that died: in earnest their process is gone, here what the next one freezes would
    hold hundreds of them, 800 MB a test."""
    monkeypatch.setattr("agents.tables.gc.freeze", lambda: None)
