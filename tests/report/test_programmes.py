"""Programmes of a report: which ones it shows, and what it says of them."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import msgspec
import pytest

from pipeline.catalogue.loader import load_catalogue
from pipeline.report.kpireport import Point
from pipeline.report.programmes import in_report, read_months, sip_reports
from pipeline.report.register import Sip, fold_sips
from pipeline.stores.sqlite import SqliteStore
from pipeline.time.calendar import Calendar
from pipeline.values import KpiValue
from tests.stores.entries import entry

CALENDAR = Calendar("UTC")


def sip(**changed) -> Sip:
    return msgspec.structs.replace(fold_sips([entry()])["SIP-K7Q2F"], **changed)


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory):
    folder = tmp_path_factory.mktemp("catalogue")
    (folder / "services.yaml").write_text("- {id: erp, name: ERP, team: back}\n- {id: shop, name: Shop, team: web}\n")
    return load_catalogue(folder)


@pytest.mark.parametrize(
    ("changed", "scope", "month", "shown"),
    [
        ({}, "org", "2026-10", True),
        ({}, "org", "2026-09", False),
        ({}, "team:back", "2026-10", False),
        ({"scope": "service:erp"}, "org", "2026-10", True),
        ({"scope": "service:erp"}, "team:back", "2026-10", True),
        ({"scope": "service:erp"}, "team:web", "2026-10", False),
        ({"scope": "service:erp"}, "service:erp", "2026-10", True),
        ({"scope": "team:back"}, "service:erp", "2026-10", False),
        ({"closed_on": "2026-11-15"}, "org", "2026-11", True),
        ({"closed_on": "2026-11-15"}, "org", "2026-12", False),
    ],
)
def test_a_report_shows_what_its_scope_holds_while_it_runs(catalogue, changed, scope, month, shown) -> None:
    assert bool(in_report([sip(**changed)], catalogue, scope, month)) is shown


def test_a_report_says_plan_months_since_the_start_and_result(catalogue) -> None:
    months = [Point(month=f"2026-{m:02}", value=float(m)) for m in range(8, 13)]
    (found,) = sip_reports([sip()], {("mttr", "org"): months}, catalogue, date(2027, 1, 1))
    assert [p.month for p in found.history] == ["2026-10", "2026-11", "2026-12"]
    assert (found.value, found.opened, found.kpi_name, found.unit) == (12.0, "2026-10-20", "Mean time to resolve", "h")
    assert found.actions == ["Rota on Mondays"]
    assert found.overdue
    assert found.result_reason


@pytest.mark.parametrize(
    ("changed", "day", "overdue"),
    [({}, 31, False), ({"due": None}, 31, False), ({"status": "closed"}, 31, False), ({"due": "2026-12-30"}, 31, True)],
)
def test_a_programme_is_overdue_after_its_day_while_it_is_open(catalogue, changed, day, overdue) -> None:
    (found,) = sip_reports([sip(**changed)], {}, catalogue, date(2026, 12, day))
    assert found.overdue is overdue


def test_months_are_read_from_a_year_before_the_start_in_one_query(catalogue, tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "kpis.db")
    starts = [CALENDAR.parse_month(m) for m in ("2025-09", "2025-10", "2026-10", "2026-11", "2026-12")]
    store.write_values(
        [
            KpiValue(
                csf="reliability", kpi="mttr", scope="org", period="month", start=start,
                end=CALENDAR.next_month(start), value=float(i), unit="h", state="to_date" if i in {2, 3} else "closed",
                reported=i == 2,
            )
            for i, start in enumerate(starts)
        ]
    )  # fmt: skip
    middle = (starts[3] + starts[4]) / 2
    months = read_months(store, [sip()], catalogue, "2026-11", middle)["mttr", "org"]
    store.close()
    assert [p.month for p in months[:2]] == ["2025-10", "2025-11"]
    assert [p.month for p in months if p.value is not None] == ["2025-10", "2026-10", "2026-11"]
    assert [(p.elapsed, p.state) for p in months[-2:]] == [(1.0, "closed"), (0.5, "to_date")]
    assert len(months) == 14
    assert read_months(store, [], catalogue, "2026-11", middle) == {}


def test_a_running_month_takes_nothing_from_what_was_reached(catalogue) -> None:
    before = [9.8, 10.2, 9.9, 10.1, 10.0, 9.7, 10.3, 10.0]
    months = [Point(month=f"2026-{m:02}", value=v, count=40) for m, v in enumerate([*before, 10.0, 10.0, 5.0], 1)]
    running = Point(month="2026-12", value=9.0, count=40, state="to_date", elapsed=0.4)
    (found,) = sip_reports([sip()], {("mttr", "org"): [*months, running]}, catalogue, date(2026, 12, 12))
    assert (found.result, found.value) == ("met", 9.0)
