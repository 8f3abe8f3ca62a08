"""What is read first: verdicts in words, what needs a decision, how the goals stand."""

from __future__ import annotations

from pipeline.report.goals import goal_reports
from pipeline.report.insights import interpret
from pipeline.report.kpireport import KpiReport, Signal
from pipeline.report.model import CsfReport, Finding
from pipeline.report.proposals import propose
from pipeline.report.summary import Summary, changes, insight, summarise
from pipeline.report.verdict import Verdict, judge_verdicts, standing
from tests.report.histories import CATALOGUE
from tests.report.situation import situation

FAR = {
    "availability": {"value": None},
    "csat": {"value": None},
    "ces": {"value": None},
    "incidents": {"value": 7508, "previous": 7934},
    "mtta": {"value": 21.63, "previous": 28.03, "movement": "unknown"},
    "mttr": {"value": 94.77, "previous": 101.28, "movement": "unknown"},
    "sla_met": {"value": 77.19, "previous": 72.74},
    "reopen_rate": {"value": 0.87, "previous": 1.09},
    "backlog": {"value": 2044, "previous": 2961},
}


def _csf(csf: str, kpis: dict[str, KpiReport], findings: list[Finding], verdict: Verdict) -> CsfReport:
    own = [k for k in kpis.values() if k.csf == csf]
    return CsfReport(
        id=csf, name=csf, statement="", status=verdict.state, score=None, previous_score=None, scores=[], verdict=verdict.state,
        verdict_reason=verdict.reason, insight=insight(findings, own), concerns=[], suggestions=[], findings=findings, kpis=own,
        comment=None,
    )  # fmt: skip


def _read(given: dict[str, dict[str, object]]) -> tuple[Summary, dict[str, Verdict], list[CsfReport]]:
    kpis = situation(given)
    findings = interpret(CATALOGUE, kpis)
    verdicts = judge_verdicts(
        CATALOGUE, {c: standing(CATALOGUE, c, kpis).state for c in CATALOGUE.csfs}, kpis, findings
    )
    csfs = [_csf(c, kpis, findings[c], verdicts[c]) for c in CATALOGUE.csfs]
    return summarise(CATALOGUE, verdicts, kpis, findings, propose(CATALOGUE, kpis, "org")), verdicts, csfs


def test_one_factor_far_from_its_targets_is_one_sentence_one_concern_one_decision() -> None:
    summary, verdicts, csfs = _read(FAR)
    found = next(c for c in csfs if c.id == "reliability")
    assert found.insight.replace("\u00a0", " ") == (
        "Far from target: mean time to resolve (94.77 h, target 8 h); SLA met (77.19%, target 95%); mean time to acknowledge "
        "(21.63 h, target 0.5 h); backlog (2,044, target 50) and incidents (7,508, target 100)."
    )
    assert len([f for f in found.findings if f.concern]) == 1
    assert verdicts["reliability"].reason.endswith(
        "far from target: Mean time to resolve, SLA met, Mean time to acknowledge and 2 more."
    )
    assert (
        summary.headline == "Too little is known: only 1 of 8 success factors can be judged; of concern: Reliability."
    )
    assert summary.decisions == [
        "Reliability: Out of reach as things stand: mean time to resolve, SLA met, mean time to acknowledge, backlog and incidents. "
        "Open an improvement programme for what is out of reach, or agree on a target that can be reached."
    ], "no programme is proposed beside it"


def test_a_decision_says_why() -> None:
    given = {
        name: {"value": v, "previous": p, "movement": "worsened"}
        for name, v, p in (("ces", 4.6, 5.6), ("time_on_site", 3.1, 5.2))
    }
    summary, _, _ = _read({**given, "deployment_frequency": {"value": 3.0, "previous": 3.0}})
    assert summary.decisions[0].startswith(
        "User-Friendly Interface: Recent changes may have hurt the user experience. Look at the interface design at once"
    )


def test_a_factor_of_concern_whose_figures_rest_on_little_still_asks_for_something() -> None:
    given = {
        name: {"value": v, "coverage": 0.2, "movement": "unknown"}
        for name, v in (("sync_latency", 27_000.0), ("sync_success_rate", 80.0), ("data_accuracy", 80.0))
    }
    kpis = situation(
        {
            **given,
            "data_consistency": {"value": 99.9, "coverage": 0.2, "movement": "unknown"},
            "data_freshness": {"value": 9000.0, "coverage": 0.2, "movement": "unknown"},
        }
    )
    findings = interpret(CATALOGUE, kpis)
    verdicts = judge_verdicts(CATALOGUE, {"integration": "concern"}, kpis, findings)
    (decision,) = [d for d in summarise(CATALOGUE, verdicts, kpis, findings).decisions if d.startswith("Integration")]
    assert "far from target: " in decision
    assert decision.endswith(" Find out why so little was delivered, before these figures are used.")


def test_a_factor_without_a_kpi_on_target_is_not_aligned() -> None:
    kpis = situation({"csat": {"value": 82.1}, "nps": {"value": 39.8}})
    findings = interpret(CATALOGUE, kpis)
    verdict = judge_verdicts(CATALOGUE, {"user_centric_design": "aligned"}, kpis, findings)["user_centric_design"]
    assert verdict == ("at_risk", "The score is 92 of 100, but none of 2 KPIs is on target.", False)
    assert findings["user_centric_design"][1].sentence == "Short of target: net promoter score (39.8, target 40)."


def test_a_goal_stands_as_the_kpis_that_serve_it() -> None:
    _, _, csfs = _read(FAR)
    states = {g.id: g for g in goal_reports(CATALOGUE, csfs)}
    assert states["business_continuity"].state == "concern"
    assert states["business_continuity"].concerns
    assert states["customer_satisfaction"].state == "unknown", (
        "of its KPIs only the reopen rate is known, and it is on target"
    )


def test_a_concern_of_several_kpis_touches_each_of_their_goals() -> None:
    _, _, csfs = _read({"reopen_rate": {"value": 6.0}, "mttr": {"value": 11.0}})
    touched = {g.id for g in goal_reports(CATALOGUE, csfs) if g.concerns}
    assert touched == {"business_continuity", "customer_satisfaction"}


def test_a_change_names_the_usual_range_only_where_the_value_lies_outside_it() -> None:
    kpis = situation({"nps": {"value": 38.1, "previous": 38.2, "movement": "improved", "limits": (2.7, 43.7)}})
    (outside,) = changes(CATALOGUE, kpis)
    assert outside.sentence == "Net promoter score stood at 38.1; usually 2.7 to 43.7 (target 40, missed)."
    kpis["nps"].signals = [Signal(kind="run_of_eight", good=True, text="Eight months in a row above the centre 23.2.")]
    (run,) = changes(CATALOGUE, kpis)
    assert run.sentence == "Net promoter score stood at 38.1, usually 23.2 (target 40, missed)."
