"""From values as a store holds them to a report: figures, comparisons, states, notes, services, restatements."""

from __future__ import annotations

import csv
import io
from typing import Any

import msgspec
import pytest

from pipeline.catalogue.loader import load_catalogue
from pipeline.catalogue.model import Service, Target
from pipeline.evaluate.judge import judge
from pipeline.report.build import build_report
from pipeline.report.inputs import ReportInputs, months_to
from pipeline.report.kpireport import KpiReport
from pipeline.report.model import Report, SipReport
from pipeline.time.calendar import Calendar
from pipeline.values import CsfStatus, Exits, KpiRevision, KpiValue
from reports import tables

BUILT_IN = load_catalogue()
CATALOGUE = msgspec.structs.replace(
    BUILT_IN,
    services={s: Service(id=s, name=s.title(), team=t) for s, t in (("mail", "it"), ("shop", "web"), ("pay", "web"))},
)
CALENDAR = Calendar("UTC")
MONTHS = months_to(CALENDAR, CALENDAR.parse_month("2026-10"))
OCTOBER, SEPTEMBER, NOVEMBER = MONTHS[-1], MONTHS[-2], CALENDAR.parse_month("2026-11")
LATER = NOVEMBER + 10 * 86_400


def value(kpi: str, number: float | None, month: int = OCTOBER, scope: str = "org", **more: Any) -> KpiValue:
    known = CATALOGUE.kpis[kpi]
    fields: dict[str, Any] = {"count": 1_000, "target": known.target, "state": "closed", "revision": 1, **more}
    status, score = judge(known, number, fields["count"], fields["target"])
    return KpiValue(
        csf=known.csf, kpi=kpi, scope=scope, period="month", start=month, end=CALENDAR.next_month(month), value=number,
        unit=known.unit, status=status, score=score, **fields,
    )  # fmt: skip


def built(*values: KpiValue, catalogue: Any = CATALOGUE, **more: Any) -> Report:
    fields: dict[str, Any] = {"month": "2026-10", "scope": "org", "clock": LATER, **more}
    fields.setdefault("exits", [Exits(topic="t", partition=0, received=5, kpi=5, clock=fields["clock"])])
    return build_report(catalogue, ReportInputs(values=list(values), **fields))


def kpi_of(report: Report, kpi: str) -> KpiReport:
    return next(k for c in report.csfs for k in c.kpis if k.id == kpi)


def test_a_value_is_compared_with_the_month_before_and_the_month_a_year_ago() -> None:
    found = kpi_of(built(value("mttr", 6.0), value("mttr", 5.0, SEPTEMBER), value("mttr", 8.0, MONTHS[0])), "mttr")
    assert (found.value, found.previous, found.previous_year) == (6.0, 5.0, 8.0)
    assert (found.change, found.change_pct, found.change_year_pct) == (1.0, 20.0, -25.0)
    assert [p.value for p in found.history] == [8.0, *[None] * 10, 5.0, 6.0]
    assert "No value in November 2025 to August 2026" in " ".join(found.notes)
    # of 0 and of an unknown month there is no percentage
    assert kpi_of(built(value("breaches", 1.0), value("breaches", 0.0, SEPTEMBER)), "breaches").change_pct is None
    assert kpi_of(built(value("mttr", 6.0)), "mttr").change_pct is None


def test_a_target_is_the_one_in_force_in_its_month_also_where_the_month_is_unknown() -> None:
    targets = [Target(kpi="mttr", value=4.0, valid_from=CALENDAR.local(OCTOBER).date())]
    found = kpi_of(built(catalogue=msgspec.structs.replace(CATALOGUE, targets=targets)), "mttr")
    assert [p.target for p in found.history[-2:]] == [CATALOGUE.kpis["mttr"].target, 4.0]
    assert kpi_of(built(value("mttr", 3.0, target=2.5)), "mttr").target_state == "not_met"


def test_a_month_is_closed_restated_or_to_date_as_its_values_are() -> None:
    closed = built(value("mttr", 6.0), value("csat", 80.0))
    assert (closed.state, closed.revision) == ("closed", 1)
    restated = built(value("mttr", 6.0, state="restated", revision=3), value("csat", 80.0))
    assert (restated.state, restated.revision) == ("restated", 3)
    late = built(value("mttr", 6.0, state="to_date", revision=0), value("csat", 80.0))
    assert (late.state, late.revision) == ("to_date", 0)
    assert late.quality.notes[0].startswith("October 2026 is over but not closed:")
    assert (kpi_of(late, "mttr").target_state, kpi_of(late, "csat").target_state) == ("met", "not_met")
    running = built(value("mttr", 6.0, state="to_date", revision=0), clock=OCTOBER + 86_400)
    assert running.quality.notes[0].startswith("October 2026 is still running:")


def test_a_reported_value_is_final_when_its_month_is_over_and_a_computed_one_when_it_is_closed() -> None:
    said = {"state": "to_date", "revision": 0, "reported": True}
    over = built(value("mttr", 6.0, **said))
    assert (over.state, over.revision, kpi_of(over, "mttr").target_state) == ("closed", 1, "met")
    assert "Brought from elsewhere" in kpi_of(over, "mttr").notes[0]
    running = built(value("mttr", 6.0, **said), clock=OCTOBER + 20 * 86_400)
    assert (running.state, running.revision) == ("to_date", 0)
    mixed = built(value("mttr", 6.0, **said), value("csat", 80.0, state="to_date", revision=0))
    assert mixed.state == "to_date"


def test_events_are_in_the_figures_up_to_the_closing_or_the_newest_arrival() -> None:
    assert built(value("mttr", 6.0), closed_at=NOVEMBER + 7_200.0).cut_off == "2026-11-01T02:00:00+00:00"
    assert built(value("mttr", 6.0)).cut_off == "2026-11-11T00:00:00+00:00"
    restated = value("mttr", 6.0, state="restated", revision=2)
    assert built(restated, closed_at=NOVEMBER + 7_200.0).cut_off == "2026-11-11T00:00:00+00:00"
    assert built(exits=[]).cut_off is None


def test_services_are_listed_by_name_and_those_that_drive_the_change_first() -> None:
    def desk(scope: str, now: float, before: float) -> list[KpiValue]:
        return [value("incidents", now, scope=scope), value("incidents", before, SEPTEMBER, scope)]

    services = [*desk("service:shop", 9, 4), *desk("service:mail", 3, 2), *desk("service:pay", 5, 5)]
    found = kpi_of(
        built(value("incidents", 17), value("incidents", 11, SEPTEMBER), services=services), "incidents"
    )  # fmt: skip
    assert [(s.name, s.value, s.previous) for s in found.services] == [("Mail", 3, 2), ("Pay", 5, 5), ("Shop", 9, 4)]
    assert [(s.scope, s.effect) for s in found.contributors] == [("service:shop", 5.0), ("service:mail", 1.0)]
    assert sum(s.share or 0 for s in found.contributors) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("scope", "name"), [("org", BUILT_IN.organisation.name), ("team:web", "web"), ("service:shop", "Shop")]
)
def test_a_team_and_a_service_have_reports_of_their_own(scope: str, name: str) -> None:
    shop = value("incidents", 9, scope="service:shop")
    status = CsfStatus(
        csf="reliability", scope=scope, period="month", start=OCTOBER, end=NOVEMBER, status="at_risk", score=70.0,
        known_weight=5.0, total_weight=8.0,
    )  # fmt: skip
    below = [] if scope.startswith("service") else [shop]
    found = built(value("incidents", 9, scope=scope), scope=scope, services=below, statuses=[status])
    assert (found.scope, found.scope_name) == (scope, name)
    assert kpi_of(found, "incidents").value == 9
    assert [s.name for s in kpi_of(found, "incidents").services] == ["Shop"] * len(below)
    assert next(c.status for c in found.csfs if c.id == "reliability") == "at_risk"


def test_months_of_another_definition_do_not_compare_and_a_note_says_so() -> None:
    old = [value("mttr", 9.0, m, definition_version=1) for m in MONTHS[:-1]]
    service = [value("mttr", 9.0, SEPTEMBER, "service:mail", definition_version=1), value("mttr", 2.0, scope="service:mail", definition_version=2)]  # fmt: skip
    report = built(value("mttr", 2.0, definition_version=2), *old, services=service)
    found = kpi_of(report, "mttr")
    assert (found.previous, found.change, found.change_pct, found.movement) == (9.0, None, None, "unknown")
    assert found.services[0].previous is None
    sentence = "Its definition changed: up to September 2026 it is version 1, now version 2; the two do not compare."
    assert sentence in found.notes
    assert any("The definition of Mean time to resolve changed" in n for n in report.quality.notes)


def test_a_restated_value_tells_what_it_was_and_why() -> None:
    why = "events arrived after the month was closed"
    revisions = [
        KpiRevision(csf="reliability", kpi="mttr", scope=s, period="month", start=OCTOBER, revision=1, value=4.0, reason=why, replaced_by=6.0)
        for s in ("org", "service:mail")
    ]  # fmt: skip
    report = built(value("mttr", 6.0, state="restated", revision=2), revisions=revisions)
    assert f"Restated, revision 2: 4.00\u00a0h became 6.00\u00a0h, because {why}." in kpi_of(report, "mttr").notes
    (told,) = report.quality.restatements
    assert (told.kpi, told.month, told.revision, told.old, told.new) == ("mttr", "2026-10", 2, 4.0, 6.0)
    assert report.quality.late == 2


def test_low_coverage_and_small_samples_are_told() -> None:
    report = built(value("csat", 80.0, coverage=0.5, count=3))
    found = kpi_of(report, "csat")
    assert "Its sources delivered 50% of the month." in found.notes
    assert any(n.startswith("Not judged: sample too small: 3 of ") for n in found.notes)
    assert report.quality.low == {"csat": 0.5}
    assert report.quality.coverage == 0.5


def test_a_month_without_anything_a_csf_without_sources_and_a_first_month_are_told_in_words() -> None:
    nothing = built()
    assert nothing.summary.unknown == list(CATALOGUE.csfs)
    assert nothing.quality.notes[0] == "There are no values of October 2026: nothing was imported or measured for it."
    assert all(k.value is None and k.notes and k.movement == "unknown" for c in nothing.csfs for k in c.kpis)
    first = built(value("mttr", 6.0), value("availability", 99.95))
    assert "October 2026 is the first month with values" in " ".join(first.quality.notes)
    assert "No source says anything of User-Centric Design" in first.quality.notes[0]
    assert "The first month with a value: there is nothing yet to compare it with." in kpi_of(first, "mttr").notes


def test_csf_status_and_scores_are_those_of_the_store() -> None:
    def status(month: int, state: Any, score: float) -> CsfStatus:
        return CsfStatus(csf="reliability", scope="org", period="month", start=month, end=month + 1, status=state,
                         score=score, known_weight=1.0, total_weight=1.0)  # fmt: skip

    report = built(value("mttr", 6.0), statuses=[status(SEPTEMBER, "at_risk", 70.0), status(OCTOBER, "aligned", 90.0)])
    found = next(c for c in report.csfs if c.id == "reliability")
    assert (found.status, found.score, found.previous_score) == ("aligned", 90.0, 70.0)
    assert found.scores == [*[None] * 11, 70.0, 90.0]


def test_what_keeps_missing_its_target_is_proposed_as_a_programme_unless_there_is_one() -> None:
    late = [value("mttr", 20.0 + i % 2, m) for i, m in enumerate(MONTHS)]
    (proposed,) = built(*late).proposals
    assert (proposed.kpi, proposed.scope) == ("mttr", "org")
    sip = SipReport(
        id="SIP-1", title="T", kpi="mttr", kpi_name="M", unit="h", scope="org", owner="O", status="open",
        opened="2026-09-01", due=None, baseline=20.0, goal=8.0, value=20.0, actions=[], result="not_yet",
        result_reason="R.", overdue=False, history=[],
    )  # fmt: skip
    assert built(*late, sips=[sip]).proposals == []
    assert built(*late, sips=[msgspec.structs.replace(sip, status="closed")]).proposals == [proposed]


def test_what_is_out_of_reach_refers_to_the_programme_that_is_open_for_it() -> None:
    far = [value("mttr", 400.0 + i % 2, m) for i, m in enumerate(MONTHS)]
    sip = SipReport(
        id="SIP-K7Q2F", title="Resolve sooner", kpi="mttr", kpi_name="Mean time to resolve", unit="h", scope="org", owner="Ada",
        status="in_progress", opened="2026-06-01", due=None, baseline=40.0, goal=8.0, value=40.0, actions=[], result="not_yet",
        result_reason="", overdue=False, history=[],
    )  # fmt: skip

    def said(*sips: SipReport) -> tuple[list[str], list[str]]:
        report = built(*far, sips=list(sips))
        reliability = next(c for c in report.csfs if c.id == "reliability")
        mttr = next(k for k in reliability.kpis if k.id == "mttr")
        return mttr.programmes, reliability.suggestions

    ids, suggestions = said(sip)
    assert ids == ["SIP-K7Q2F"]
    assert suggestions == [
        "Ask the owners of what is open whether their plans still reach the target: SIP-K7Q2F (mean time to resolve)."
    ]
    for none in ((), (msgspec.structs.replace(sip, status="closed"),), (msgspec.structs.replace(sip, kpi="csat"),)):
        ids, suggestions = said(*none)
        assert ids == []
        assert suggestions == [
            "Open an improvement programme for what is out of reach, or agree on a target that can be reached."
        ]


def test_the_same_inputs_give_the_same_bytes() -> None:
    values = [value(k, 5.0, m) for m in MONTHS for k in ("mttr", "csat", "incidents")]
    encoded = [msgspec.json.encode(built(*order)) for order in (values, values[::-1])]
    assert encoded[0] == encoded[1]


def test_a_brought_value_without_its_sample_says_that_it_is_unknown() -> None:
    least = CATALOGUE.kpis["csat"].min_sample
    said = {"state": "to_date", "revision": 0, "reported": True}
    without = kpi_of(built(value("csat", 80.0, count=least, **said)), "csat")
    assert not without.sample_known
    assert "its sample is not known" in without.notes[0]
    brought = kpi_of(built(value("csat", 80.0, count=least + 1, **said)), "csat")
    assert brought.sample_known
    rows = {
        row["kpi"]: row
        for row in csv.DictReader(io.StringIO(tables.render(built(value("csat", 80.0, count=least, **said)))))
    }
    assert rows["csat"]["count"] == ""
