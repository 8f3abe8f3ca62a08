"""Whether a Service Improvement Programme works: its KPI's months since the start against those before it.

The statistics are those of a month's movement (``movement.assess``): each whole month since the start is looked at as if it
followed the months before the start, so that what the programme has changed does not become the level it is compared with. A trend
over the months since the start counts as a change too, and, with limits of the months before, the last eight since then
on one side of their mean (the run rule of process behaviour charts).
"""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.catalogue.model import Kpi
from pipeline.evaluate.judge import badness
from pipeline.report import words
from pipeline.report.kpireport import Movement, Point
from pipeline.report.model import SipResult
from pipeline.report.movement import CHART_MONTHS, assess, comparable, find_trend
from pipeline.report.register import Sip
from pipeline.report.statistics import RUN, natural_limits, run_length
from pipeline.report.targets import meets


def judge_sip(sip: Sip, months: Sequence[Point], kpi: Kpi | None) -> tuple[SipResult, str]:
    """Return a SIP's result and the reason in one sentence.

    * *met*: the last whole month reaches the goal, and its KPI has really moved for the better;
    * *working*: it has moved for the better, the goal is not reached;
    * *worse*: it has moved for the worse;
    * *not yet*: no clear change, also where the goal was reached by no more than the usual variation;
    * unknown: no whole month since the start says enough, or there is nothing to compare it with.

    The month of the start counts as one since the start only where it began with the month.

    Args:
        sip: its start and goal; of a closed one the months up to its closing count.
        months: of its KPI and scope, from before the start.
        kpi: its KPI; None where the catalogue no longer has it.
    """
    if kpi is None:
        return "unknown", f"The catalogue has no KPI {sip.kpi} any more."
    found = comparable(kpi, [p for p in months if p.elapsed >= 1 and p.month <= (sip.closed_on or p.month)[:7]])
    before = [p for p in found if p.month < sip.start[:7]]
    since = [p for p in found if p.month > sip.start[:7] or (p.month == sip.start[:7] and sip.start.endswith("-01"))]
    if not since:
        return "unknown", "No whole month since its start says enough yet."
    if not before:
        return "unknown", "No month before its start says enough to compare with."
    now = since[-1]
    movement, reason = _moved(kpi, before, since)
    value, month = words.quantity(now.value, kpi.unit, kpi.decimals), words.month(now.month)
    reached = sip.goal is not None and now.value is not None and meets(kpi, now.value, sip.goal)
    goal = words.quantity(sip.goal, kpi.unit, kpi.decimals)
    if movement == "unknown":
        return "unknown", reason
    if movement == "worsened":
        return "worse", f"{month} has {value}: {reason}"
    if movement == "improved":
        word: SipResult = "met" if reached else "working"
        tail = f"the goal of {goal} is reached" if reached else f"the goal of {goal} is not reached yet"
        return word, f"{month} has {value}, {tail}: {reason}"
    if reached:
        return (
            "not_yet",
            f"{month} has {value} and reaches the goal of {goal}, but within the usual variation: {reason}",
        )
    return "not_yet", f"{month} has {value}: {reason}"


def _moved(kpi: Kpi, before: Sequence[Point], since: Sequence[Point]) -> tuple[Movement, str]:
    """Return how the last month since the start differs from the months before it, and what says so."""
    found = assess(kpi, [*before, since[-1]])
    reason = found.movement_reason[:1].lower() + found.movement_reason[1:]
    if found.movement != "steady":
        return found.movement, reason
    trend = find_trend(kpi, since)
    if trend.direction in {"improving", "worsening"}:
        slope = words.difference(trend.slope, kpi.unit, max(kpi.decimals, 1))
        told = f"a trend of {slope} a month over the {words.count(trend.months, 'month')} since its start."
        return ("improved" if trend.direction == "improving" else "worsened"), told
    if len(before) < CHART_MONTHS - 1:
        return "steady", reason
    centre = natural_limits([p.value for p in before if p.value is not None]).centre
    values = [p.value for p in since if p.value is not None]
    run = run_length(values, centre)
    better = badness(kpi, values[-1]) < badness(kpi, centre)
    if abs(run) < RUN or badness(kpi, values[-1]) == badness(kpi, centre):
        return "steady", reason
    usual = words.quantity(centre, kpi.unit, kpi.decimals)
    side = "better" if better else "worse"
    told = f"{words.count(abs(run), 'month')} in a row are {side} than the mean of {usual} before its start."
    return ("improved" if better else "worsened"), told
