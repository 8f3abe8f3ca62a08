"""How business goals stand, by the KPIs that serve them: a CSF's trouble is a goal's only where the goal's KPIs have it."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.catalogue.model import Catalogue, Goal
from pipeline.evaluate.judge import judge_csf
from pipeline.report.model import CsfReport, Finding, GoalReport
from pipeline.report.summary import concerns


def goal_reports(catalogue: Catalogue, csfs: Sequence[CsfReport]) -> list[GoalReport]:
    """Return how each business goal stands.

    Its state is that of the KPIs that serve it, judged as a CSF's are: unknown while those of half their weight are;
    an aligned goal that a bad finding touches is at risk.
    """
    return [_goal(catalogue, goal, csfs) for goal in catalogue.goals.values()]


def _goal(catalogue: Catalogue, goal: Goal, csfs: Sequence[CsfReport]) -> GoalReport:
    serving = [k for c in csfs for k in c.kpis if k.goal == goal.id]
    touching = [f for c in csfs for f in c.findings if _touches(catalogue, f, goal.id, {k.id for k in serving})]
    state = judge_csf([(k.score, k.weight) for k in serving], catalogue.organisation)[0]
    if state == "aligned" and any(f.tone == "bad" and f.concern for f in touching):
        state = "at_risk"
    return GoalReport(
        id=goal.id,
        name=goal.name,
        description=goal.description,
        state=state,
        kpis=[k.id for k in serving if k.breakdown_of is None],
        concerns=concerns(touching),
    )


def _touches(catalogue: Catalogue, finding: Finding, goal: str, serving: set[str]) -> bool:
    """Return whether a finding touches a goal: by its rule, or, told of several KPIs alike, by any of them."""
    each = finding.rule in catalogue.insights and catalogue.insights[finding.rule].each
    return finding.goal == goal or (each and not serving.isdisjoint(finding.kpis))
