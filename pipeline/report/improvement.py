"""Improvement programmes judged by the same statistics as movements, and those that the data proposes.

A programme began on a day; the months before it are its baseline. It is *met* once a closed month reaches the goal,
*working* (or *worse*) once the months since then show a signal: outside the natural limits of the months before, a
run, three of four near a limit, or a trend; with too few months before for limits, by the comparison of all counts
since with those before. Else *not yet*: that nothing shows yet is no proof that nothing works.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from pipeline.catalogue.model import Catalogue, Kpi
from pipeline.evaluate.judge import badness
from pipeline.report import words
from pipeline.report.comparison import by_chance, by_chance_and_spread, pooled
from pipeline.report.contributors import dominant
from pipeline.report.levels import FEWEST, level
from pipeline.report.model import KpiReport, Point, Proposal, SipResult
from pipeline.report.movement import BEYOND_CHANCE, CLEAR, assess, comparable, find_trend, finest
from pipeline.report.register import Sip
from pipeline.report.statistics import RUN, near_limit, run_length
from pipeline.report.targets import meets

#: A KPI is a recurring concern that was one in so many of the last months.
RECURRING, LAST = 3, 4
#: Proposals in one report.
MOST = 5


def evaluate(sip: Sip, kpi: Kpi, history: Sequence[Point]) -> tuple[SipResult, str]:
    """Return whether a programme's KPI has really moved since it started, and why in one sentence.

    Args:
        sip: its start and goal.
        kpi: gives direction, unit and measure.
        history: months in any order, from before the start to the one reported.
    """
    months = comparable(kpi, history)
    first = sip.start[:7]
    before = [p for p in months if p.month < first]
    # of the month it began in, only a first day makes it a month of the programme
    since = [p for p in months if p.month > first or (p.month == first and sip.start[8:] == "01")]
    if not since:
        return "unknown", "No month since it started can be judged yet."
    last = since[-1]
    over = last.state != "to_date"
    if sip.goal is not None and over and meets(kpi, last.value or 0.0, sip.goal):
        return "met", f"{_at(kpi, last)} reaches the goal of {_quantity(kpi, sip.goal)}."
    whole = [p for p in since if p.state != "to_date"]
    if not whole:
        return "not_yet", "The first month since it started is still running."
    found = _charted(kpi, before, whole) if len(before) >= FEWEST else _counted(kpi, before, whole)
    found = found or _trending(kpi, whole)
    if found is not None:
        return found
    return "not_yet", f"No signal in {words.count(len(whole), 'month')}: {_at(kpi, whole[-1])} is within what is usual."


def _quantity(kpi: Kpi, value: float | None) -> str:
    return words.quantity(value, kpi.unit, kpi.decimals)


def _at(kpi: Kpi, point: Point) -> str:
    return f"{_quantity(kpi, point.value)} in {words.month(point.month)}"


def _result(kpi: Kpi, value: float, than: float) -> SipResult:
    return "working" if badness(kpi, value) < badness(kpi, than) else "worse"


def _charted(kpi: Kpi, before: Sequence[Point], since: Sequence[Point]) -> tuple[SipResult, str] | None:
    """Judge by the natural limits of the months before it started."""
    reached = level([p.value for p in before if p.value is not None], finest(kpi))
    drawn = reached.limits(finest(kpi))
    if drawn is None:
        return None
    values = [p.value for p in since if p.value is not None]
    last, result = values[-1], _result(kpi, values[-1], drawn.centre)
    limits = words.between(drawn.lower, drawn.upper, kpi.unit, kpi.decimals)
    months = words.count(len(reached.members), "month")
    chance = by_chance(kpi, since[-1:], [before[i] for i in reached.members])
    if drawn.side(last) and (chance is None or chance <= BEYOND_CHANCE):
        return result, f"{_at(kpi, since[-1])} is outside the natural limits {limits} of the {months} before."
    run = run_length(values, drawn.centre)
    if abs(run) >= RUN:
        side = "above" if run > 0 else "below"
        return (
            result,
            f"{words.count(abs(run), 'month')} in a row {side} {_quantity(kpi, drawn.centre)}, the centre before.",
        )
    if near_limit(values, drawn):
        return result, f"Three of its last four months are nearer a natural limit ({limits}) than the centre before."
    return None


def _counted(kpi: Kpi, before: Sequence[Point], since: Sequence[Point]) -> tuple[SipResult, str] | None:
    """Judge by all counts since the start against all before, where there are counts and few months."""
    then, now = pooled(kpi, before), pooled(kpi, since)
    p = by_chance_and_spread(kpi, since, before, before)
    if then is None or now is None or p is None or p > CLEAR:
        return None
    result = _result(kpi, now.hits / now.size, then.hits / then.size)
    return result, (
        f"{words.count(len(since), 'month')} since it started differ from the {words.count(len(before), 'month')} before by more "
        f"than chance; the last is {_at(kpi, since[-1])}."
    )


def _trending(kpi: Kpi, since: Sequence[Point]) -> tuple[SipResult, str] | None:
    trend = find_trend(kpi, since)
    if trend.direction not in {"improving", "worsening"}:
        return None
    slope = words.difference(trend.slope, kpi.unit, max(kpi.decimals, 1))
    result: SipResult = "working" if trend.direction == "improving" else "worse"
    return result, f"A trend of {slope} a month over the {words.count(trend.months, 'month')} since it started."


def propose(
    catalogue: Catalogue, kpis: Mapping[str, KpiReport], scope: str, taken: Collection[tuple[str, str]] = ()
) -> list[Proposal]:
    """Return programmes that the data proposes: KPIs of concern in three of the last four months, weightiest first.

    A month is of concern where the KPI missed its target or worsened. Where one service dominates a change for the worse,
    the programme is proposed for it: a recurring cause has a place.

    Args:
        catalogue: the KPIs.
        kpis: the KPI reports of the scope.
        scope: of the report.
        taken: (KPI, scope) of programmes that are open already; nothing is proposed beside them.
    """
    found: list[tuple[float, Proposal]] = []
    for report in kpis.values():
        kpi = catalogue.kpis[report.id]
        if kpi.weight <= 0:
            continue
        months = _of_concern(kpi, report.history)
        if len(months) < RECURRING or report.value is None:
            continue
        top = dominant(report.contributors) if report.movement == "worsened" else None
        place, name = (top.scope, f" of {top.name}") if top else (scope, "")
        if {(kpi.id, place), (kpi.id, scope)} & set(taken):
            continue
        reason = f"Missed its target or worsened in {words.listing([words.month(m) for m in months])}; it is now "
        reason += f"{_quantity(kpi, report.value)} (target {words.bound(report.target, kpi.unit, kpi.decimals)})."
        if top:
            reason += f" {top.name} makes {words.share(top.share)} of the change."
        found.append(
            (kpi.weight, Proposal(kpi=kpi.id, scope=place, title=f"Improve {report.name}{name}", reason=reason))
        )
    return [proposal for _, proposal in sorted(found, key=lambda pair: (-pair[0], pair[1].kpi))][:MOST]


def _of_concern(kpi: Kpi, history: Sequence[Point]) -> list[str]:
    """Return those of the last four months in which a KPI missed its target or worsened, where they are over."""
    months = sorted(history, key=lambda p: p.month)
    over = [i for i, p in enumerate(months) if p.state != "to_date"][-LAST:]
    return [months[i].month for i in over if _concerns(kpi, months[: i + 1])]


def _concerns(kpi: Kpi, history: Sequence[Point]) -> bool:
    now = history[-1]
    if now.value is None or now.count < kpi.min_sample:
        return False
    missed = now.target is not None and not meets(kpi, now.value, now.target)
    return missed or assess(kpi, history).movement == "worsened"
