"""An organisation brings its past in one CSV and gets a report at once; a month is issued, corrected, issued again."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pipeline.stores.sqlite import SqliteStore
from tests.e2e.conftest import csf
from tests.e2e.test_month_and_replay import MAPPING, rows

pytestmark = pytest.mark.kafka
MONTHS = [f"2025-{m:02d}" for m in range(6, 13)] + [f"2026-{m:02d}" for m in range(1, 11)]
KPI_KEYS = {
    "id", "value", "unit", "target", "target_state", "previous", "change_pct", "movement", "trend", "natural_limits",
    "count", "coverage", "contributors",
}  # fmt: skip
CSF_KEYS = {"id", "status", "score", "verdict", "insight", "concerns", "suggestions", "kpis"}


def run(data: Path, *arguments: str) -> str:
    done = csf(*arguments, "--data-dir", str(data))
    assert done.returncode == 0, done.stderr
    return done.stdout


def history() -> str:
    """Return 17 months of three KPIs of the organisation and two services, the newest first, CSAT falling at the end."""
    lines = ["kpi,value,month,scope,target"]
    for i, month in reversed(list(enumerate(MONTHS))):
        lines.append(f"csat,{88 + (i % 3) * 0.5 if month != '2026-10' else 70},{month},,85")
        for scope, hours in (("", 5), ("service:mail", 4), ("service:shop", 6)):
            lines.append(f"mttr,{hours + (i % 2) * 0.2},{month},{scope},")
        lines.append(f"availability,{99.95 - (i % 2) * 0.01},{month},org,")
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("past")
    (folder / "history.csv").write_text("\ufeff" + history())
    data = folder / "data"
    run(data, "import", str(folder / "history.csv"), "--mapping", "kpi-history")
    return data


def report(data: Path, *arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(data, "report", *arguments, "--format", "json"))
    return found


def kpi(document: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(k for c in document["csfs"] for k in c["kpis"] if k["id"] == name)
    return found


def test_a_report_of_the_imported_past_is_there_at_once(imported: Path) -> None:
    found = report(imported, "2026-10", "--scope", "org")
    assert {"month", "scope", "revision", "cut_off", "csfs"} <= found.keys()
    assert (found["month"], found["scope"], found["state"], found["revision"]) == ("2026-10", "org", "closed", 1)
    assert len(found["csfs"]) == 8
    for each in found["csfs"]:
        assert each.keys() >= CSF_KEYS
        assert all(k.keys() >= KPI_KEYS for k in each["kpis"])
    csat = kpi(found, "csat")
    assert (csat["value"], csat["previous"], csat["target"], csat["target_state"]) == (70, 88, 85, "not_met")
    assert csat["movement"] == "worsened"
    assert [s["scope"] for s in kpi(found, "mttr")["services"]] == ["service:mail", "service:shop"]
    status = {c["id"]: c["status"] for c in found["csfs"]}
    # mttr and availability carry less than half the weight of reliability
    assert (status["user_centric_design"], status["security"]) == ("unknown", "unknown")
    assert report(imported, "latest") == found


def test_months_long_ago_and_scopes_below_are_there_too(imported: Path) -> None:
    first = report(imported, "2025-06")
    assert kpi(first, "mttr")["previous"] is None
    assert "first month with values" in " ".join(first["quality"]["notes"])
    service = report(imported, "2026-10", "--scope", "service:shop")
    assert (kpi(service, "mttr")["value"], kpi(service, "mttr")["services"]) == (6, [])
    nothing = report(imported, "2020-01")
    assert all(c["verdict"] == "unknown" for c in nothing["csfs"])


def test_what_the_store_says_of_the_month_before_does_not_depend_on_the_order_of_rows(imported: Path) -> None:
    store = SqliteStore(imported / "kpis.db", read_only=True)
    values = store.periods(period="month", kpis=["csat"], scopes=["org"])
    store.close()
    assert [f"{datetime.fromtimestamp(v.start, UTC):%Y-%m}" for v in values] == MONTHS
    assert [v.previous for v in values] == [None, *(v.value for v in values[:-1])]


def test_a_mistake_is_one_sentence(imported: Path, tmp_path: Path) -> None:
    for arguments, sentence in (
        (("2026-13",), "'2026-13' is no month"),
        (("2099-01",), "2099-01 has not begun"),
        (("2026-10", "--scope", "shop"), "--scope shop: is none of org, team:ID, service:ID"),
        (("2026-10", "--scope", "service:shep"), "there is no such service; there are: service:mail, service:shop"),
        (("2026-10", "--out", str(tmp_path / "no" / "x.json")), "cannot be written"),
        (("show", "99"), "there is no issue 99"),
    ):
        done = csf("report", *arguments, "--data-dir", str(imported))
        assert done.returncode == 2, arguments
        assert sentence in done.stderr
        assert done.stderr.count("\n") == 1
    done = csf("report", "2026-10", "--data-dir", str(tmp_path / "none"))
    assert "there are no values in" in done.stderr


def test_a_month_is_issued_corrected_and_issued_again_with_what_changed_and_why(tmp_path: Path) -> None:
    data, mapping, file = tmp_path / "data", tmp_path / "desk.yaml", tmp_path / "first.csv"
    mapping.write_text(MAPPING)
    file.write_text(rows(0, [2, 4, 6]))
    run(data, "import", str(file), "--mapping", str(mapping), "--wait")
    draft = report(data, "2026-09")
    assert (draft["state"], draft["revision"]) == ("to_date", 0)
    run(data, "month", "close", "2026-09")
    assert "issue 1: 2026-09 of org, revision 1" in run(data, "report", "issue", "2026-09", "--by", "Ann")
    assert "does not differ from issue 1" in run(data, "report", "issue", "2026-09")
    late = tmp_path / "late.csv"
    late.write_text(rows(3, [12]))
    run(data, "import", str(late), "--mapping", str(mapping), "--wait")
    assert "issue 2: 2026-09 of org, revision 2" in run(data, "report", "issue", "2026-09", "--by", "Ann")
    one, two = report(data, "show", "1"), report(data, "show", "2")
    assert (one["revision"], kpi(one, "mttr")["value"]) == (1, 4.0)
    assert (two["revision"], kpi(two, "mttr")["value"]) == (2, 6.0)
    assert one["cut_off"] < two["cut_off"]
    told = {d["what"]: d for d in two["issue"]["differences"]}
    assert told["Mean time to resolve"]["reason"] == "events arrived after the month was closed"
    assert json.loads(run(data, "report", "compare", "1", "2", "--format", "json")) == list(two["issue"]["differences"])
    # the archive names the incidents behind the figure, the slowest first
    assert [(e["number"], e["value"]) for e in kpi(two, "mttr")["evidence"]] == [
        ("I3", 12),
        ("I2", 6),
        ("I1", 4),
        ("I0", 2),
    ]
    assert kpi(two, "incidents")["evidence_total"] == 4
