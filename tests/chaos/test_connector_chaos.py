"""A short run of killed connectors with a fixed seed; ``make chaos-connectors`` is the long one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.connectors import Plan, chaos


@pytest.mark.services
@pytest.mark.timeout(600)
def test_killed_connectors_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    found = chaos(tmp_path, Plan(seed=5, seconds=40.0))
    assert found.differences == []
    assert found.kills >= 2
