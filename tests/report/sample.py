"""A report written by hand that has everything in it: every verdict and state, unknowns, one month of history, a changed
definition, restatements, low coverage, programmes of every result, comments, contributors, evidence.

No statistics run here: what the report says of a KPI is written down, so that only its looks are under test.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import fmean
from typing import Any

from pipeline.report.kpireport import Contributor, Evidence, KpiReport, NaturalLimits, Point, Signal, Trend
from pipeline.report.model import (
    SCHEMA_VERSION,
    Change,
    Comment,
    CsfReport,
    Difference,
    Figure,
    Finding,
    GoalReport,
    Issue,
    Proposal,
    Quality,
    Report,
    Restatement,
    SipReport,
    Summary,
)  # fmt: skip

MONTHS = [f"2025-{m:02d}" for m in range(10, 13)] + [f"2026-{m:02d}" for m in range(1, 11)]
MISSING = None


def points(values: Sequence[float | None], target: float | None = None, **more: Any) -> list[Point]:
    """Months ending in October 2026; what is shorter than 13 begins with unknown ones."""
    padded = [None] * (13 - len(values)) + list(values)
    later: dict[str, float] = more.pop("targets", {})
    versions: dict[str, int] = more.pop("versions", {})
    made, now, version = [], target, 1
    for month, value in zip(MONTHS, padded, strict=True):
        now, version = later.get(month, now), versions.get(month, version)
        made.append(Point(month=month, value=value, target=now, coverage=0.99, count=900, definition_version=version))
    return made


def kpi(csf: str, id_: str, name: str, unit: str, values: Sequence[float | None], **more: Any) -> KpiReport:
    """One KPI: its months tell value, change and limits; everything else is given."""
    target = more.pop("target", None)
    history = points(values, target, targets=more.pop("targets", {}), versions=more.pop("versions", {}))
    value, previous, year = history[-1].value, history[-2].value, history[0].value
    known = [p.value for p in history[:-1] if p.value is not None]
    limits = None
    if len(known) >= 8:
        reach = 2.66 * fmean(abs(b - a) for a, b in pairwise(known))
        centre = fmean(known)
        limits = NaturalLimits(lower=max(0.0, centre - reach), centre=centre, upper=centre + reach, months=len(known))

    def pct(before: float | None) -> float | None:
        return None if value is None or not before else 100 * (value - before) / abs(before)

    services = more.pop("services", [])
    movement = more.pop("movement", "unknown" if value is None or len(known) < 1 else "steady")
    base: dict[str, Any] = {
        "id": id_, "name": name, "csf": csf, "unit": unit, "direction": "up", "decimals": 1, "weight": 1.0,
        "definition": f"{name}, as agreed with those who own it; counted once, from the records of the source.",
        "definition_version": history[-1].definition_version, "owner": "Service operations", "activity": "deliver_and_support",
        "goal": None, "value": value, "numerator": None if value is None else value * 9, "denominator": None if value is None else 900.0,
        "count": 0 if value is None else 900, "coverage": None if value is None else 0.992, "status": "unknown" if value is None else "on_target",
        "score": None if value is None else 100.0, "state": "closed", "revision": 1, "reported": False, "target": history[-1].target,
        "target_state": "no_target" if history[-1].target is None else "unknown" if value is None else "met", "previous": previous,
        "previous_year": year, "change": None if value is None or previous is None else value - previous, "change_pct": pct(previous),
        "change_year_pct": pct(year), "movement": movement, "movement_reason": "Within its natural limits: no clear change.",
        "signals": [], "trend": Trend(direction="none", slope=0.02, p_value=0.412, months=len(known)) if len(known) > 3 else Trend(),
        "natural_limits": limits, "history": history, "contributors": services[:4], "services": services, "evidence": [],
        "evidence_total": 0, "notes": [],
    }  # fmt: skip
    return KpiReport(**(base | more))


def by_service(
    *rows: tuple[str, float | None, float | None, float | None], total: float | None = None
) -> list[Contributor]:
    return [
        Contributor(scope=f"service:{name.lower().replace(' ', '-')}", name=name, value=value, previous=previous, effect=effect,
                    share=None if effect is None or not total else effect / total, count=300)
        for name, value, previous, effect in rows
    ]  # fmt: skip


def finding(csf: str, rule: str, tone: str, sentence: str, kpis: Sequence[str], **more: Any) -> Finding:
    base: dict[str, Any] = {"concern": None, "suggestions": [], "activity": None, "goal": None}
    figures = [Figure(kpi=k, text=t) for t, k in more.pop("figures", [])]
    return Finding(rule=rule, csf=csf, tone=tone, sentence=sentence, kpis=list(kpis), figures=figures, **(base | more))  # type: ignore[arg-type]


def csf(id_: str, name: str, statement: str, scores: Sequence[float | None], verdict: str, reason: str,
        findings: list[Finding], kpis: list[KpiReport], **more: Any) -> CsfReport:  # fmt: skip
    return CsfReport(
        id=id_, name=name, statement=statement, status=more.pop("status", verdict), score=scores[-1],
        previous_score=scores[-2] if len(scores) > 1 else None, scores=[None] * (13 - len(scores)) + list(scores), verdict=verdict,  # type: ignore[arg-type]
        verdict_reason=reason, insight=" ".join(f.sentence for f in findings) or more.pop("silent", ""),
        concerns=[f.concern for f in findings if f.concern], suggestions=[s for f in findings for s in f.suggestions],
        findings=findings, kpis=kpis, comment=more.pop("comment", None),
    )  # fmt: skip


def _user_centric() -> CsfReport:
    c = "user_centric_design"
    satisfaction = by_service(("Web shop", 91.2, 86.0, 2.1), ("Customer portal", 84.9, 84.1, 0.4), ("Mobile app", 79.8, 80.3, -0.2),
                              total=2.3)  # fmt: skip
    return csf(c, "User-Centric Design", "Enhance user satisfaction and engagement.",
        [71, 72, 70, 74, 73, 75, 74, 76, 78, 77, 79, 78, 74], "at_risk",
        "All weighty KPIs meet their targets, yet two of engagement worsened while satisfaction rose.",
        [finding(c, "satisfied_but_leaving", "mixed",
            "Customer satisfaction rose to 88.4% (86.1% in September), while sessions became shorter (172 s after 214 s) and saw "
            "fewer pages (2.61 after 3.12): people may be content with what they find and still not find everything.",
            ["csat", "session_duration", "pages_per_session"],
            figures=[("88.4%", "csat"), ("172 s", "session_duration"), ("2.61", "pages_per_session")],
            concern="A usability issue may hide behind good marks: sessions are shorter and see fewer pages than at any time in a year.",
            suggestions=["Investigate the interface of the web shop's search and product pages with five users.",
                         "Ask in the next survey whether people found what they came for."],
            activity="engage", goal="customer_satisfaction")],
        [kpi(c, "csat", "Customer satisfaction", "%", [82.1, 83.0, 82.4, 84.2, 83.1, 84.9, 84.0, 85.2, 85.0, 86.3, 85.7, 86.1, 88.4],
             target=80.0, targets={"2026-04": 85.0}, weight=2.0, movement="improved", services=satisfaction,
             movement_reason="Above its upper natural limit: a real improvement.",
             signals=[Signal(kind="outside_limits", good=True, text="88.4% is above the upper natural limit of 87.5%."),
                      Signal(kind="two_sample", good=True, text="Against September: 2.3 points more.", p_value=0.018)],
             trend=Trend(direction="improving", slope=0.41, p_value=0.0004, months=13)),
         kpi(c, "nps", "Net promoter score", "points", [31, 33, 30, 34, 33, 35, 36, 34, 37, 38, 36, 39, 38], target=40.0,
             status="amber", target_state="not_met", score=92.0),
         kpi(c, "session_duration", "Session duration", "s", [210, 214, 209, 212, 216, 208, 211, 215, 213, 210, 212, 214, 172],
             decimals=0, target=180.0, movement="worsened", status="amber", target_state="not_met",
             movement_reason="Below its lower natural limit: a real change for the worse.",
             signals=[Signal(kind="outside_limits", good=False, text="172 s is below the lower natural limit of 203 s.")],
             services=by_service(("Web shop", 148.0, 221.0, None), ("Customer portal", 201.0, 204.0, None))),
         kpi(c, "pages_per_session", "Pages per session", "pages",
             [3.05, 3.1, 3.0, 3.08, 3.12, 3.02, 3.06, 3.11, 3.09, 3.04, 3.07, 3.12, 2.61], decimals=2, target=3.0, movement="worsened",
             status="amber", target_state="not_met", movement_reason="Below its lower natural limit: a real change for the worse.",
             signals=[Signal(kind="outside_limits", good=False, text="2.61 is below the lower natural limit of 2.93.")]),
         kpi(c, "active_users", "Active users", "users", [14210, 14310, 15980, 14055, 14120, 14480, 14600, 14550, 14720, 14690, 14810, 14905, 15012],
             decimals=0, target=12000.0)],
        comment=Comment(csf=c, author="Ana Prior, Head of Digital", at="2026-11-04",
            text="The new product pages answer more on the first page, so a part of the shorter sessions is what we wanted.\n"
                 "The search is another matter; we look into it this month."),
    )  # fmt: skip


def _interface() -> CsfReport:
    c = "user_friendly_interface"
    return csf(c, "User-Friendly Interface", "Give an effortless user experience.", [52.0], "unknown",
        "More than half of the weight is unknown: only one month was measured and the survey has too few answers.",
        [], [kpi(c, "ces", "Customer effort score", "points (1-7)", [MISSING], target=5.5,
                 movement_reason="Unknown: 4 answers, 10 are needed.", notes=["Sample too small: 4 of 10 answers."], count=4),
             kpi(c, "task_completion_rate", "Task completion", "%", [74.2], target=80.0, status="amber", target_state="not_met",
                 movement="unknown", movement_reason="Unknown: October is the first month measured.", score=61.0,
                 notes=["The first month that was measured: nothing to compare it with yet."])],
        silent="One month of history says nothing about change.")  # fmt: skip


def _scalability() -> CsfReport:
    c = "scalability"
    return csf(c, "Scalability", "Perform well at peak use.", [66, 65, 68, 70, 74, 78, 81, 85, 88, 90, 92, 93, 95], "aligned",
        "Every KPI meets its target and two improved.",
        [finding(c, "infrastructure_pays", "good",
            "Response time in the peak hour fell to 412 ms (508 ms in September) and time to scale up to 74 s: the investments in "
            "scalable infrastructure pay off.", ["peak_response_time", "time_to_scale_up"],
            figures=[("412 ms", "peak_response_time"), ("74 s", "time_to_scale_up")],
            suggestions=["Keep the settings of the autoscaler, and write down what they rest on."])],
        [kpi(c, "peak_response_time", "Peak response time", "ms", [705, 690, 702, 668, 640, 611, 590, 575, 560, 541, 530, 508, 412],
             direction="down", decimals=0, target=600.0, movement="improved", movement_reason="Eight months below the centre line.",
             signals=[Signal(kind="run_of_eight", good=True, text="Eight months in a row on the better side of the centre line.")],
             trend=Trend(direction="improving", slope=-23.4, p_value=0.0001, months=13)),
         kpi(c, "peak_throughput", "Peak throughput", "req/s", [820, 840, 1312, 860, 870, 905, 910, 930, 955, 960, 990, 1010, 1043], decimals=0),
         kpi(c, "time_to_scale_up", "Time to scale up", "s", [140, 138, 141, 139, 136, 101, 99, 97, 95, 92, 90, 88, 74], direction="down",
             decimals=0, target=120.0, versions={"2026-03": 2}, movement="improved", movement_reason="Below its lower natural limit.",
             notes=["Its definition changed in March 2026 (version 2): months before are drawn apart and not compared."],
             signals=[Signal(kind="outside_limits", good=True, text="74 s is below the lower natural limit of 81 s.")])],
    )  # fmt: skip


def _flexibility() -> CsfReport:
    c = "flexibility"
    return csf(c, "Flexibility", "Adapt quickly to customer needs.", [80, 81, 80, 82, 79, 80, 83, 82, 81, 84, 82, 83, 72], "at_risk",
        "Delivery became faster while more changes failed.",
        [finding(c, "faster_but_fails", "mixed",
            "Changes reach users faster (lead time 21.4 h after 30.2 h), but fewer of them succeed: 88.1% after 94.0%.",
            ["change_lead_time", "change_success_rate"], figures=[("21.4 h", "change_lead_time"), ("88.1%", "change_success_rate")],
            concern="Speed is bought with failed changes.", suggestions=["Run the tests of the ordering service before each deployment, not nightly."],
            activity="design_and_transition", goal="time_to_market")],
        [kpi(c, "change_lead_time", "Lead time of changes", "h", [33.1, 31.8, 32.4, 30.9, 31.5, 30.2, 32.0, 31.1, 30.8, 31.9, 30.4, 30.2, 21.4],
             direction="down", target=24.0, movement="improved", movement_reason="Below its lower natural limit.",
             signals=[Signal(kind="outside_limits", good=True, text="21.4 h is below the lower natural limit of 28.1 h.")]),
         kpi(c, "change_success_rate", "Change success rate", "%", [94.2, 93.8, 94.6, 94.1, 93.5, 94.8, 94.0, 93.9, 94.4, 94.1, 94.3, 94.0, 88.1],
             target=95.0, status="red", target_state="not_met", movement="worsened", weight=2.0,
             movement_reason="Below its lower natural limit: a real change for the worse.",
             signals=[Signal(kind="outside_limits", good=False, text="88.1% is below the lower natural limit of 92.6%.")],
             services=by_service(("Ordering", 71.4, 95.0, -4.9), ("Billing", 90.0, 93.1, -0.8), ("Web shop", 95.2, 94.9, 0.1), total=-5.9),
             evidence=[Evidence(number=f"CHG00{n}", service="Ordering", value=None, at="2026-10-14T09:12:00+02:00") for n in range(41200, 41232)],
             evidence_total=61)],
    )  # fmt: skip


def _reliability() -> CsfReport:
    c = "reliability"
    stores = by_service(
        ("Warehouse", 6.0, 1.0, 5.0),
        ("Ordering", 4.0, 2.0, 2.0),
        ("Web shop", 1.0, 1.0, 0.0),
        ("Billing", 0.0, 2.0, -2.0),
        total=5.0,
    )
    return csf(c, "Reliability", "Keep services up and resolve quickly what fails.", [88, 90, 89, 91, 87, 90, 92, 91, 90, 89, 88, 86, 54], "concern",
        "Availability and time to resolve both missed their targets and worsened.",
        [finding(c, "down_and_slow", "bad",
            "Availability fell to 99.312% (99.942% in September) and repairs took 9.41 h on average after 4.02 h. The warehouse caused "
            "most of it: 6 of 11 outages.", ["availability", "mttr", "outages"],
            figures=[("99.312%", "availability"), ("9.41 h", "mttr"), ("6 of 11 outages", "outages")],
            concern="Services fail more often and stay down for longer; the cause recurs in the warehouse.",
            suggestions=["Open a problem record for the warehouse's message queue, which failed four times.",
                         "Staff the second line at weekends until the cause is gone."],
            activity="deliver_and_support", goal="business_continuity"),
         finding(c, "minor_incidents_ok", "good", "Minor incidents were still resolved quickly: 1.80 h for priority 4.", ["mttr_p4"],
            figures=[("1.80 h", "mttr_p4")])],
        [kpi(c, "availability", "Availability", "%", [99.95, 99.961, 99.944, 99.957, 99.95, 99.962, 99.948, 99.955, 99.951, 99.949, 99.96, 99.942, 99.312],
             decimals=3, target=99.9, weight=3.0, status="amber", target_state="not_met", movement="worsened", state="restated", revision=2,
             movement_reason="Below its lower natural limit: a real change for the worse.", numerator=2_656_320.0, denominator=2_674_722.0,
             count=2_674_722, coverage=0.9993,
             signals=[Signal(kind="outside_limits", good=False, text="99.312% is below the lower natural limit of 99.928%.")],
             notes=["Restated on 9 November: a check of the warehouse delivered late."],
             services=by_service(("Warehouse", 97.10, 99.95, -0.41), ("Ordering", 99.21, 99.93, -0.20), ("Web shop", 99.97, 99.96, 0.0), total=-0.63)),
         kpi(c, "outages", "Outages", "outages", [5, 7, 4, 6, 5, 6, 7, 5, 4, 6, 5, 6, 11], direction="down", decimals=0, target=8.0,
             status="amber", target_state="not_met", movement="worsened", movement_reason="Above its upper natural limit.", services=stores,
             signals=[Signal(kind="outside_limits", good=False, text="11 is above the upper natural limit of 10.")]),
         kpi(c, "incidents", "Incidents", "incidents", [1402, 1388, 1420, 1377, 1398, 1411, 1390, 1405, 1399, 1408, 1382, 1401, 1431],
             direction="down", decimals=0, target=100.0, status="red", target_state="not_met", score=0.0, services=stores,
             evidence=[Evidence(number=f"INC00{n}", service="Warehouse", value=None, at="2026-10-11T22:40:00+02:00") for n in range(93110, 93150)],
             evidence_total=1431),
         kpi(c, "incidents_p1", "Incidents, priority 1", "incidents", [2, 1, 2, 0, 1, 2, 1, 1, 0, 2, 1, 1, 5], direction="down", decimals=0,
             weight=0.0, breakdown_of="incidents", movement="worsened", status="unknown", movement_reason="Above its upper natural limit.",
             signals=[Signal(kind="outside_limits", good=False, text="5 is above the upper natural limit of 4.")]),
         kpi(c, "mttr", "Mean time to resolve", "h", [4.1, 3.9, 4.3, 4.0, 3.8, 4.2, 4.1, 3.9, 4.0, 4.2, 4.1, 4.02, 9.41], direction="down",
             decimals=2, target=8.0, weight=2.0, status="amber", target_state="not_met", movement="worsened",
             movement_reason="Above its upper natural limit: a real change for the worse.",
             signals=[Signal(kind="outside_limits", good=False, text="9.41 h is above the upper natural limit of 4.7 h.")]),
         kpi(c, "mttr_p4", "Mean time to resolve, priority 4", "h", [1.9, 1.8, 2.0, 1.9, 1.7, 1.8, 1.9, 1.8, 1.9, 1.8, 1.7, 1.9, 1.8],
             direction="down", decimals=2, weight=0.0, breakdown_of="mttr", status="unknown"),
         kpi(c, "mtbf", "Mean time between failures", "h", [141.0, 139.0, MISSING, MISSING, 150.2, 148.0, 139.9, 144.0, 151.0, 146.5, 149.0, 147.0, 66.4],
             target=100.0, status="red", target_state="not_met", movement="worsened", movement_reason="Below its lower natural limit.",
             signals=[Signal(kind="three_of_four", good=False, text="Three of the last four months are nearer to the lower limit than to the centre.")],
             notes=["December 2025 and January 2026 are unknown: no outage began."])],
        comment=Comment(csf=c, author="J. Okafor, Service Operations", at="2026-11-05T10:20:00+01:00",
            text="The queue's vendor delivered the mended version on 2 November; no outage since then."),
    )  # fmt: skip


def _data() -> CsfReport:
    c = "data_driven_insights"
    return csf(c, "Data-Driven Insights", "Use data for business growth.", [84, 83, 85, 86, 84, 86, 87, 85, 88, 86, 87, 88, 89], "aligned",
        "Forecasts are accurate and decisions paid.",
        [finding(c, "data_used_well", "good",
            "Forecasts were right to 91.2% and decisions based on them brought EUR 412,000 more than without: data is used well for outcomes.",
            ["forecast_accuracy", "decision_impact"], figures=[("91.2%", "forecast_accuracy"), ("EUR 412,000", "decision_impact")])],
        [kpi(c, "forecast_accuracy", "Forecast accuracy", "%", [89.9, 90.2, 90.0, 90.4, 90.1, 90.6, 90.9, 90.5, 91.0, 90.8, 91.1, 91.0, 91.2], target=85.0),
         kpi(c, "forecast_bias", "Forecast bias", "%", [-2.1, -1.8, 0.4, -0.9, 1.2, -0.4, 0.8, -1.1, 0.2, 0.5, -0.6, -0.2, -0.4], direction="zero", target=5.0),
         kpi(c, "decision_impact", "Impact of decisions", "EUR", [210e3, 190e3, 305e3, 280e3, 260e3, 310e3, 290e3, 335e3, 320e3, 350e3, 341e3, 370e3, 412e3],
             decimals=0, target=250000.0, reported=True, notes=["Reported by Finance, not computed from events."])],
    )  # fmt: skip


def _integration() -> CsfReport:
    c = "integration"
    return csf(c, "Integration", "Share data efficiently and accurately.", [79, 80, 78, 81, 80, 82, 81, 83, 82, 84, 83, 84, 85], "aligned",
        "Every KPI that is known meets its target.",
        [finding(c, "steady", "neutral", "Data accuracy and latency of synchronisation show no clear change; both meet their targets.", ["data_accuracy", "sync_latency"])],
        [kpi(c, "sync_latency", "Latency of synchronisation", "s", [41, 40, 43, 39, 42, 40, 41, 38, 42, 40, 39, 41, 40], direction="down", decimals=0, target=60.0),
         kpi(c, "data_accuracy", "Data accuracy", "%", [99.21, 99.3, 99.25, 99.28, 99.31, 99.27, 99.3, 99.33, 99.29, 99.32, 99.35, 99.31, 99.9996],
             decimals=2, target=99.0, coverage=0.61, notes=["Coverage is low: the source delivered for 61.0% of the month."]),
         kpi(c, "data_freshness", "Data freshness", "s", [MISSING], direction="down", decimals=0, target=300.0,
             movement_reason="Unknown: no source delivers it.", notes=["No source delivers it."])],
    )  # fmt: skip


def _security() -> CsfReport:
    c = "security"
    return csf(c, "Security", "Protect against incidents and breaches.", [90, 88, 91, 92, 90, 93, 92, 94, 93, 95, 94, 95, 97], "aligned",
        "No breach, and fewer incidents than in any month before.",
        [finding(c, "fewer_incidents", "good", "Security incidents fell to 3 (14 in September), none of them a breach: the measures are effective.",
            ["security_incidents", "breaches"], figures=[("3", "security_incidents")])],
        [kpi(c, "security_incidents", "Security incidents", "incidents", [15, 14, 16, 13, 15, 14, 15, 13, 16, 14, 15, 14, 3], direction="down",
             decimals=0, target=10.0, movement="improved", movement_reason="Below its lower natural limit.",
             signals=[Signal(kind="outside_limits", good=True, text="3 is below the lower natural limit of 9.")]),
         kpi(c, "breaches", "Breaches", "breaches", [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], direction="down", decimals=0, target=0.0),
         kpi(c, "time_to_contain", "Time to contain", "h", [20.1, 18.8, 19.4, 21.0, 18.2, 20.5, 19.9, 18.7, 20.2, 19.1, 19.8, 18.9, 17.6], direction="down", target=24.0)],
    )  # fmt: skip


def sip(
    number: int,
    title: str,
    kpi_id: str,
    name: str,
    unit: str,
    result: str,
    reason: str,
    values: Sequence[float | None],
    **more: Any,
) -> SipReport:
    base: dict[str, Any] = {
        "scope": "org", "owner": "J. Okafor", "status": "in_progress", "opened": "2026-05-04", "due": "2026-12-31", "baseline": values[0],
        "goal": None, "value": values[-1], "actions": [], "overdue": False,
    }  # fmt: skip
    return SipReport(id=f"SIP-{number:04d}", title=title, kpi=kpi_id, kpi_name=name, unit=unit, result=result, result_reason=reason,  # type: ignore[arg-type]
                     history=points(values, more.get("goal"))[-len(values):], **(base | more))  # fmt: skip


def _sips() -> list[SipReport]:
    return [
        sip(1, "Queue of the warehouse", "availability", "Availability", "%", "worse", "Availability fell below its natural limits since the start.",
            [99.95, 99.951, 99.949, 99.96, 99.942, 99.312], goal=99.95, actions=["Vendor's mended version in use (2 November)", "Second queue on another host"]),
        sip(2, "Faster pages at peak", "peak_response_time", "Peak response time", "ms", "met", "At or below its goal of 450 ms, and really better than at the start.",
            [640, 611, 590, 575, 560, 541, 530, 508, 412], goal=450.0, status="closed", opened="2026-02-01", due=None),
        sip(3, "Content customers", "nps", "Net promoter score", "points", "not_yet", "Still within the natural limits of the months before it began.",
            [35, 36, 34, 37, 38, 36, 39, 38], goal=45.0, overdue=True, due="2026-09-30", actions=["Calls back within a day"]),
        sip(4, "Changes in a day", "change_lead_time", "Lead time of changes", "h", "working", "Really better since the start; the goal is not reached yet.",
            [30.2, 32.0, 31.1, 30.8, 31.9, 30.4, 30.2, 21.4], goal=16.0),
        sip(5, "Fresh data", "data_freshness", "Data freshness", "s", "unknown", "Unknown: no month since the start has a value.", [None, None], goal=300.0, status="on_hold"),
    ]  # fmt: skip


def report() -> Report:
    """October 2026 of a made-up organisation: closed, restated once, second issue."""
    csfs = [
        _user_centric(),
        _interface(),
        _scalability(),
        _flexibility(),
        _reliability(),
        _data(),
        _integration(),
        _security(),
    ]
    sips = _sips()
    for kpi_report in (k for c in csfs for k in c.kpis):
        kpi_report.programmes = [s.id for s in sips if s.kpi == kpi_report.id and s.status != "closed"]
        kpi_report.sample_unit = "s" if kpi_report.id == "availability" else ""
    by_verdict = {v: [c.id for c in csfs if c.verdict == v] for v in ("aligned", "at_risk", "concern", "unknown")}
    return Report(
        schema_version=SCHEMA_VERSION, organisation="Northwind Retail", month="2026-10", start="2026-10-01T00:00:00+02:00",
        end="2026-11-01T00:00:00+01:00", zone="Europe/Berlin", currency="EUR", scope="org", scope_name="Whole organisation",
        state="restated", revision=2, cut_off="2026-11-09T06:00:00+01:00", catalogue="4f1c2a9e",
        summary=Summary(verdict="concern",
            headline="Reliability needs attention: services failed more often and took twice as long to repair. Four of eight critical success factors are aligned.",
            changes=[Change(kpi="mttr", csf="reliability", good=False, sentence="Mean time to resolve rose from 4.02 h to 9.41 h, far above its natural limits."),
                     Change(kpi="security_incidents", csf="security", good=True, sentence="Security incidents fell from 14 to 3, the fewest in 13 months."),
                     Change(kpi="change_success_rate", csf="flexibility", good=False, sentence="Change success rate fell from 94.0% to 88.1%, mostly through Ordering.")],
            decisions=["Whether the second line is staffed at weekends until the warehouse's queue is mended (Reliability).",
                       "Whether Ordering may deploy without tests before each deployment (Flexibility)."], **by_verdict),
        csfs=csfs,
        goals=[
            GoalReport(id="customer_satisfaction", name="Customers who stay and recommend us", description="People are content, come back and say so to others.",
                       state="at_risk", kpis=["csat", "nps"], concerns=["A usability issue may hide behind good marks."]),
            GoalReport(id="time_to_market", name="Ideas in use sooner", description="What customers ask for is in their hands quickly and safely.",
                       state="at_risk", kpis=["change_lead_time", "change_success_rate"], concerns=["Speed is bought with failed changes."]),
            GoalReport(id="business_continuity", name="Business that does not stop", description="Services are there when they are needed.",
                       state="concern", kpis=["availability", "mttr", "outages"], concerns=["Services fail more often and stay down for longer."]),
            GoalReport(id="trust_and_compliance", name="Trust and compliance", description="Customers can rely on how we protect what is theirs.",
                       state="aligned", kpis=["security_incidents", "breaches"], concerns=[]),
        ],
        sips=sips,
        proposals=[Proposal(kpi="change_success_rate", scope="service:ordering", title="Changes of Ordering that succeed",
                            reason="Its change success rate was below target in 3 of the last 4 months.")],
        quality=Quality(coverage=0.964, enough=0.8, low={"data_accuracy": 0.61},
            unknown={"ces": "sample too small: 4 of 10", "data_freshness": "no source"}, late=214, truncated=1200,
            exits={"kpi": 18_402_311, "dead_letter": 214, "duplicate": 10_412, "unmapped": 3_120, "ignored": 88},
            restatements=[Restatement(kpi="availability", scope="org", month="2026-10", revision=2, old=99.401, new=99.312,
                                      reason="late events of the warehouse's checks")],
            notes=["The survey tool was away on 12 and 13 October; its answers came on 14 October and are in the figures."]),
        issue=Issue(number=2, at="2026-11-09T06:05:00+01:00", by="schedule", differences=[
            Difference(what="Availability, whole organisation", old="99.401%", new="99.312%", reason="late events of the warehouse's checks"),
            Difference(what="Reliability, score", old="58", new="54"),
        ]),
    )  # fmt: skip


def single_month() -> Report:
    """A report whose organisation has one month, no programme, no issue, no comment, and one CSF without any KPI."""
    whole = report()
    factor = _interface()
    empty = csf("integration", "Integration", "Share data efficiently and accurately.", [None], "unknown", "No source delivers any of its KPIs.", [], [],
                silent="Nothing is measured here yet.")  # fmt: skip
    whole.csfs, whole.sips, whole.proposals, whole.goals, whole.issue = [factor, empty], [], [], [], None
    whole.state, whole.revision, whole.cut_off = "to_date", 0, None
    whole.summary = Summary(verdict="unknown", headline="Too little is known for a verdict.", aligned=[], at_risk=[], concern=[],
                            unknown=["user_friendly_interface", "integration"], changes=[], decisions=[])  # fmt: skip
    whole.quality = Quality(
        coverage=None, enough=0.8, low={}, unknown={}, late=0, truncated=0, exits={}, restatements=[], notes=[]
    )
    return whole
