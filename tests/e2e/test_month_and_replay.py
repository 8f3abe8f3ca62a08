"""A month's life: told, closed, restated by what comes late, and rebuilt from the archive when the store is lost."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import csf

pytestmark = pytest.mark.kafka
MAPPING = """
name: desk
service: {const: desk}
team: it
zone: UTC
source: desk
events:
  - type: incident.updated
    time: {column: resolved, format: "%Y-%m-%d %H:%M"}
    key: [number]
    data:
      number: {column: number}
      state: {const: resolved}
      opened_at: {column: opened, as: time, format: "%Y-%m-%d %H:%M"}
      updated_at: {column: resolved, as: time, format: "%Y-%m-%d %H:%M"}
      resolved_at: {column: resolved, as: time, format: "%Y-%m-%d %H:%M"}
"""


def rows(first: int, hours: list[int]) -> str:
    lines = [f"I{first + i},2026-09-07 01:00,2026-09-07 {1 + h:02d}:00" for i, h in enumerate(hours)]
    return "\n".join(["number,opened,resolved", *lines]) + "\n"


def values(data_dir: Path) -> dict[str, Any]:
    done = csf("kpis", "--kpi", "mttr", "--kpi", "incidents", "--period", "month", "--from", "2026-09", "--to", "2026-09",
               "--scope", "org", "--format", "json", "--data-dir", str(data_dir))  # fmt: skip
    assert done.returncode == 0, done.stderr
    return {r["kpi"]: (r["value"], r["count"], r["state"], r["revision"]) for r in json.loads(done.stdout)}


def test_a_month_is_closed_restated_and_rebuilt(tmp_path: Path) -> None:
    data, mapping, file = tmp_path / "data", tmp_path / "desk.yaml", tmp_path / "first.csv"
    mapping.write_text(MAPPING)
    file.write_text(rows(0, [2, 4, 6]))

    def run(*arguments: str) -> str:
        done = csf(*arguments, "--data-dir", str(data))
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("import", str(file), "--mapping", str(mapping), "--wait")
    assert values(data) == {"mttr": (4.0, 3, "to_date", 0), "incidents": (3.0, 3, "to_date", 0)}
    assert "2026-09 is closed" in run("month", "close", "2026-09")
    assert values(data) == {"mttr": (4.0, 3, "closed", 1), "incidents": (3.0, 3, "closed", 1)}
    late = tmp_path / "late.csv"
    late.write_text(rows(3, [12]))
    run("import", str(late), "--mapping", str(mapping), "--wait")
    restated = {"mttr": (6.0, 4, "restated", 2), "incidents": (4.0, 4, "restated", 2)}
    assert values(data) == restated
    for lost in data.glob("kpis.db*"):
        lost.unlink()
    assert "state is switched" in run("replay")
    assert values(data) == restated
    # the worker goes on from the rebuilt state
    more = tmp_path / "more.csv"
    more.write_text(rows(4, [1]))
    run("import", str(more), "--mapping", str(mapping), "--wait")
    assert values(data) == {"mttr": (5.0, 5, "restated", 3), "incidents": (5.0, 5, "restated", 3)}
    # what was closed cannot be running, and a month to come cannot be closed
    done = csf("month", "close", "2999-01", "--data-dir", str(data))
    assert done.returncode == 2
    assert "is not over yet" in done.stderr
