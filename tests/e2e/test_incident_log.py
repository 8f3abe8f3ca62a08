"""The real incident log, end to end through Kafka, agents and store, gives its truth to the digit."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import csf
from tests.paths import SHARED

pytestmark = pytest.mark.kafka
LOG = SHARED / "data" / "uci_incidents" / "incident_event_log.csv.gz"
TRUTH = json.loads((SHARED / "data" / "uci_incidents" / "truth.json").read_text())
KPIS = ["incidents", "mttr", "mttr_median", "mttr_p90", "sla_met", "reopen_rate", "backlog"]


@pytest.fixture(scope="module")
def values(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Any]:
    data_dir = tmp_path_factory.mktemp("incidents")
    done = csf("import", str(LOG), "--mapping", "servicenow-uci", "--wait", "--data-dir", str(data_dir))
    assert done.returncode == 0, done.stderr
    again = csf("import", str(LOG), "--mapping", "servicenow-uci", "--data-dir", str(data_dir))
    assert "nothing to do" in again.stdout
    return read(data_dir)


def read(data_dir: Path) -> dict[tuple[str, str], Any]:
    asked = [a for k in KPIS for a in ("--kpi", k)]
    done = csf("kpis", *asked, "--period", "month", "--scope", "org", "--format", "json", "--data-dir", str(data_dir))
    assert done.returncode == 0, done.stderr
    return {(r["kpi"], r["start"][:7]): r["value"] for r in json.loads(done.stdout)}


def before(day: str) -> str:
    """Return the month before a month's first day."""
    year, month = int(day[:4]), int(day[5:7])
    return f"{year}-{month - 1:02d}" if month > 1 else f"{year - 1}-12"


def test_incidents_by_month_opened(values: dict[tuple[str, str], Any]) -> None:
    for month, truth in TRUTH["by_opened_month"].items():
        assert values["incidents", month] == truth["incidents"], month


def test_resolution_figures_by_month_of_resolution(values: dict[tuple[str, str], Any]) -> None:
    for month, truth in TRUTH["by_resolved_month"].items():
        assert round(values["mttr", month], 4) == truth["mttr_h"]["mean"], month
        assert round(values["mttr_median", month], 4) == truth["mttr_h"]["p50"], month
        assert round(values["mttr_p90", month], 4) == truth["mttr_h"]["p90"], month
        assert round(values["sla_met", month], 4) == truth["sla_made_pct"], month
        assert round(values["reopen_rate", month], 4) == truth["reopen_rate_pct"], month


def test_backlog_at_the_end_of_each_month(values: dict[tuple[str, str], Any]) -> None:
    for day, truth in TRUTH["backlog_at_month_start"].items():
        assert values["backlog", before(day)] == truth, day
