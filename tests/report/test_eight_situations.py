"""The eight situations that a board expects to be told, fed as 13 months of history, through statistics and rules."""

from collections.abc import Sequence

import pytest

from pipeline.report.insights import interpret
from pipeline.report.kpireport import KpiReport, Point
from pipeline.report.model import Finding
from pipeline.report.movement import assess
from pipeline.report.targets import target_state
from pipeline.report.verdict import Verdict, judge_verdicts, overall, standing
from tests.report.histories import CATALOGUE, counts, values
from tests.report.situation import report

#: Twelve months that only vary, as factors of the usual value.
NOISE = (1.0, 1.01, 0.992, 1.004, 0.988, 1.006, 1.0, 0.991, 1.009, 0.996, 1.003, 0.999)


def months(usual: float, last: float) -> list[float]:
    return [*(round(usual * factor, 4) for factor in NOISE), last]


def from_history(name: str, history: Sequence[Point]) -> KpiReport:
    """A KPI's month as the statistics see its history."""
    kpi = CATALOGUE.kpis[name]
    now, before = history[-1], history[-2]
    found = assess(kpi, history)
    made = report(kpi, now.value, previous=before.value, count=now.count, movement=found.movement)
    made.signals, made.trend, made.natural_limits = found.signals, found.trend, found.natural_limits
    made.history, made.previous_year = list(history), history[0].value
    aimed = [*history[:-1], Point(month=now.month, value=now.value, count=now.count, target=kpi.target)]
    made.target_state = target_state(kpi, aimed)
    return made


def told(
    given: dict[str, tuple[float, float]], counted: dict[str, list[int]] | None = None
) -> dict[str, list[Finding]]:
    """What is said of KPIs given by their usual value and that of the last month, and of counts by their months."""
    kpis = {name: from_history(name, values(months(*pair))) for name, pair in given.items()}
    kpis |= {name: from_history(name, counts(series)) for name, series in (counted or {}).items()}
    return interpret(CATALOGUE, kpis)


SITUATIONS = [
    (
        "user_centric_design", "content_but_not_finding", "mixed",
        {"csat": (84, 92), "session_duration": (190, 150), "pages_per_session": (3.4, 2.6)},
        "potential usability issue", "Investigate the interface",
    ),
    (
        "user_friendly_interface", "recent_changes_hurt", "bad",
        {"ces": (5.7, 4.9), "time_on_site": (5.4, 4.2), "deployment_frequency": (1.2, 1.21)},
        "Recent changes may have hurt the user experience", "Look at the interface design at once",
    ),
    (
        "scalability", "scaling_pays_off", "good",
        {"peak_response_time": (520, 410), "peak_throughput": (40, 55), "time_to_scale_up": (150, 90)},
        "", "Use the room gained",
    ),
    (
        "flexibility", "flexible_and_responsive", "good",
        {"time_to_implement": (24, 24.1), "change_feedback": (4.1, 4.5)}, "", "",
    ),
    (
        "reliability", "strong_reliability_minor", "good",
        {"availability": (99.95, 99.96), "mttr": (7.2, 7.1), "mttr_priority_4": (6.0, 4.2), "mttr_priority_3": (6.5, 6.4)}, "", "",
    ),
    (
        "data_driven_insights", "data_used_well", "good",
        {"forecast_accuracy": (92, 93), "decision_impact": (30_000, 48_000)}, "", "",
    ),
    (
        "integration", "seamless_integration", "good",
        {"sync_latency": (58, 41), "data_accuracy": (95.5, 99.8)}, "", "",
    ),
    ("security", "measures_effective", "good", {"time_to_detect": (3.6, 3.5)}, "", ""),
]  # fmt: skip
FEWER = {"security_incidents": [24, 26, 23, 25, 27, 24, 22, 25, 26, 24, 25, 23, 6], "breaches": [0] * 13}
SAYS = {
    "scaling_pays_off": "Investments in scalable infrastructure pay off",
    "flexible_and_responsive": "flexible and responsive to customer needs",
    "strong_reliability_minor": "Strong reliability",
    "data_used_well": "Data is used well for business outcomes",
    "seamless_integration": "in line with seamless integration",
    "measures_effective": "Security measures are effective",
}


@pytest.mark.parametrize(
    ("csf", "rule", "tone", "given", "concern", "advice"), SITUATIONS, ids=[s[1] for s in SITUATIONS]
)
def test_a_situation_is_told(
    csf: str, rule: str, tone: str, given: dict[str, tuple[float, float]], concern: str, advice: str
) -> None:
    said = told(given, FEWER if csf == "security" else None)[csf]
    assert said, "something is said"
    assert said[0].rule == rule
    assert said[0].tone == tone
    assert concern in (said[0].concern or "")
    assert advice in " ".join(said[0].suggestions)
    assert SAYS.get(rule, "") in said[0].sentence


def test_the_same_months_without_the_last_say_nothing_of_it() -> None:
    for csf, rule, _, given, _, _ in SITUATIONS:
        quiet = told({name: (usual, round(usual * 1.002, 4)) for name, (usual, _) in given.items()})
        changed = {"flexible_and_responsive", "strong_reliability_minor", "data_used_well"}  # rest on targets also
        assert rule in changed or rule not in [f.rule for f in quiet[csf]], rule


def test_verdicts_of_bad_news_and_good() -> None:
    given = {
        "ces": (5.9, 5.6),
        "time_on_site": (6.4, 5.1),
        "engagement_rate": (70, 70.1),
        "task_completion_rate": (92, 92.1),
    }
    kpis = {name: from_history(name, values(months(*pair))) for name, pair in given.items()}
    found = interpret(CATALOGUE, kpis)
    status = standing(CATALOGUE, "user_friendly_interface", kpis).state
    verdict = judge_verdicts(CATALOGUE, {"user_friendly_interface": status}, kpis, found)["user_friendly_interface"]
    assert status == "aligned", "every target is met"
    assert verdict.state == "at_risk"
    assert verdict.reason == "The score is 100 of 100, but Customer effort score and Time on site worsened."


BY_TONE = {"good": "aligned", "mixed": "at_risk", "bad": "concern"}


@pytest.mark.parametrize(("csf", "given", "state"), [(s[0], s[3], BY_TONE[s[2]]) for s in SITUATIONS])
def test_a_verdict_on_little_is_provisional_and_says_so(
    csf: str, given: dict[str, tuple[float, float]], state: str
) -> None:
    """An organisation that brings only the KPIs of a situation gets its verdict, with how little it rests on."""
    kpis = {name: from_history(name, values(months(*pair))) for name, pair in given.items()}
    if csf == "security":
        kpis |= {name: from_history(name, counts(series)) for name, series in FEWER.items()}
    found = interpret(CATALOGUE, kpis)
    verdict = judge_verdicts(CATALOGUE, {csf: "unknown"}, kpis, found)[csf]
    assert (verdict.state, verdict.provisional) == (state, True)
    assert verdict.reason.startswith("Provisional, KPIs of only ")


def test_a_verdict_on_little_that_says_nothing_is_unknown() -> None:
    kpis = {"csat": from_history("csat", values(months(90, 90.1)))}
    found = interpret(CATALOGUE, kpis)
    verdict = judge_verdicts(CATALOGUE, {"user_centric_design": "unknown"}, kpis, found)["user_centric_design"]
    assert verdict == ("unknown", "KPIs of only 33.3% of its weight can be judged; half is needed.", False)


def test_the_headline_says_how_many_verdicts_are_provisional() -> None:
    sure, little = Verdict("aligned", "Sure."), Verdict("aligned", "Little.", provisional=True)
    names = list(CATALOGUE.csfs)
    assert overall(CATALOGUE, dict.fromkeys(names, sure)).reason == "All 8 success factors are aligned."
    mixed = dict.fromkeys(names, sure) | {names[0]: little, names[1]: little}
    said = "All 8 success factors are aligned; 2 verdicts rest on little and are provisional."
    assert overall(CATALOGUE, mixed) == ("aligned", said, False)
