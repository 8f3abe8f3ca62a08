"""What insight rules ask of the month's KPIs and CSFs, and the figures their texts carry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pipeline.catalogue.insight_language import EACH, NUMBERS, TRUTHS, split
from pipeline.evaluate.judge import badness_by
from pipeline.report import words
from pipeline.report.contributors import driver
from pipeline.report.kpireport import KpiReport
from pipeline.report.verdict import Standing

#: Other months there must be for a record.
RECORD_MONTHS = 8
#: Signals that a change against the month before shows, so that "rose from" says it.
_AGAINST_BEFORE = {"outside_limits", "two_sample"}
#: How a value stands to its target, in a word.
_STANDS = {"met": "met", "not_met": "missed", "on_track": "on track", "off_track": "off track"}


class Facts:
    """Answers the names of a condition, such as ``csat__better``, as attributes.

    Args:
        kpis: the KPI reports of one scope by id.
        csfs: how every CSF stands.
        subject: the KPI that a rule with ``each`` is tried for.
    """

    def __init__(
        self, kpis: Mapping[str, KpiReport], csfs: Mapping[str, Standing], subject: KpiReport | None = None
    ) -> None:
        self._kpis = kpis
        self._csfs = csfs
        self._subject = subject

    def kpi(self, name: str) -> KpiReport | None:
        """Return the report of a KPI, None where the scope has none."""
        return self._subject if name == EACH and self._subject is not None else self._kpis.get(name)

    def __getattr__(self, name: str) -> Any:
        """Return the answer to one name of a condition."""
        of, asked = split(name)
        standing = self._csfs.get(of)
        if standing is not None:
            return standing.score if asked == "score" else _stands(standing, asked)
        return self._meets_whole(of) if asked == "meets_whole" else ask(self.kpi(of), asked)

    def _meets_whole(self, of: str) -> bool:
        """Return whether a breakdown's value meets the target of the KPI that it is a part of."""
        part = self.kpi(of)
        whole = self._kpis.get(part.breakdown_of) if part is not None and part.breakdown_of else None
        if part is None or part.value is None or whole is None or whole.target is None:
            return False
        return badness_by(part.direction, part.value) <= badness_by(part.direction, whole.target)

    def figure(self, of: str, what: str) -> str:
        """Return a figure or name of a KPI or CSF as a text carries it."""
        standing = self._csfs.get(of)
        if standing is not None:
            return words.score(standing.score)
        report = self.kpi(of)
        return _FIGURES[what](report) if report is not None else words.UNKNOWN


def _stands(standing: Standing, asked: str) -> bool:
    return standing.state != "unknown" if asked == "known" else standing.state == asked


def ask(report: KpiReport | None, asked: str) -> Any:
    """Return what a condition asks of a KPI; of none: false, ``unknown``, or no number."""
    if report is None:
        return False if asked in TRUTHS else None if asked in NUMBERS else "unknown"
    answer = _ANSWERS.get(asked)
    return answer(report) if answer else getattr(report, asked)


def _rank(report: KpiReport) -> int:
    """Return 1 for the best month of the trend line, -1 for the worst, 0 for neither or too few months."""
    others = [
        badness_by(report.direction, p.value)
        for p in report.history[:-1]
        if p.value is not None and p.definition_version == report.definition_version
    ]
    if report.value is None or report.state == "to_date" or len(others) < RECORD_MONTHS:
        return 0
    mine = badness_by(report.direction, report.value)
    return 1 if mine < min(others) else -1 if mine > max(others) else 0


def _limits(report: KpiReport) -> str:
    within, value = report.natural_limits, report.value
    if within is None or value is None:
        return "unknown"
    return "above" if value > within.upper else "below" if value < within.lower else "inside"


def _year(report: KpiReport) -> str:
    """Compare with the same month a year before: another value only if they differ by more than months do."""
    within, value, before = report.natural_limits, report.value, report.previous_year
    if within is None or value is None or before is None:
        return "unknown"
    reach = max(within.upper - within.centre, within.centre - within.lower)
    if abs(value - before) <= reach:
        return "same"
    return "better" if badness_by(report.direction, value) < badness_by(report.direction, before) else "worse"


def _gain(report: KpiReport) -> float | None:
    """Return the change in percent, positive for the better."""
    if report.value is None or report.previous is None or not report.previous:
        return None
    now, before = badness_by(report.direction, report.value), badness_by(report.direction, report.previous)
    return 100 * (before - now) / abs(report.previous)


_ANSWERS: dict[str, Callable[[KpiReport], Any]] = {
    "better": lambda k: k.movement == "improved",
    "worse": lambda k: k.movement == "worsened",
    "steady": lambda k: k.movement == "steady",
    "known": lambda k: k.value is not None,
    "few": lambda k: k.value is not None and k.status == "unknown",
    "met": lambda k: k.target_state in {"met", "on_track"},
    "missed": lambda k: k.target_state in {"not_met", "off_track"},
    "climbing": lambda k: k.trend.direction == "improving",
    "sliding": lambda k: k.trend.direction == "worsening",
    "programme": lambda k: bool(k.programmes),
    "best": lambda k: _rank(k) > 0,
    "worst": lambda k: _rank(k) < 0,
    "dominated": lambda k: driver(k) is not None,
    "trend": lambda k: k.trend.direction,
    "limits": _limits,
    "year": _year,
    "gain_pct": _gain,
    "months": lambda k: sum(p.value is not None for p in k.history),
    "top_share": lambda k: k.contributors[0].share if k.contributors else None,
}


# -- figures ---------------------------------------------------------------------------------------------------------


def _quantity(report: KpiReport, value: float | None) -> str:
    return words.quantity(value, report.unit, report.decimals)


def _from_to(report: KpiReport, before: float | None, value: float | None) -> str:
    """Return ``from 81.0% to 87.2%``: the unit once."""
    return f"from {words.between(before, value, report.unit, report.decimals)}"


def _is_step(value: float, before: float, usual: float) -> bool:
    """Return whether a value left its usual level in this month: at least half of the way to it since the month before."""
    return (value - before) * (value - usual) > 0 and abs(value - before) >= abs(value - usual) / 2


def move(report: KpiReport) -> str:
    """Return what the value did, in words that its movement bears out and that suit one or many."""
    value, before, within = report.value, report.previous, report.natural_limits
    if value is None:
        return words.UNKNOWN
    now = _quantity(report, value)
    if report.movement in {"improved", "worsened"}:
        kind = report.signals[0].kind if report.signals else "two_sample"
        usual = within.centre if within else before
        step = before is not None and usual is not None and _is_step(value, before, usual)
        if step and kind in _AGAINST_BEFORE:
            return f"{'rose' if value > (before or 0.0) else 'fell'} {_from_to(report, before, value)}"
        return f"stood at {now}{after(report, usual)}" + (
            f", usually {_quantity(report, usual)}" if usual is not None else ""
        )
    return f"held at {now}" if report.movement == "steady" else f"came to {now}"


def after(report: KpiReport, usual: float | None) -> str:
    """Return the month before where the value came back from there by much; the movement alone would hide that."""
    value, before = report.value, report.previous
    if value is None or before is None or usual is None or (value - before) * (value - usual) >= 0:
        return ""
    return f" after {_quantity(report, before)}" if abs(value - before) >= abs(value - usual) / 2 else ""


def _target(report: KpiReport) -> str:
    known = report.direction == "zero" and report.target is not None
    return ("\u00b1" if known else "") + words.bound(report.target, report.unit, report.decimals)


def aim(report: KpiReport) -> str:
    """Return the target with how the value stands to it, where that can be said."""
    if report.target is None:
        return words.UNKNOWN
    stands = _STANDS.get(report.target_state)
    return f"target {_target(report)}" + (f", {stands}" if stands else "")


def _gap(report: KpiReport) -> str:
    if report.value is None or report.target is None:
        return words.UNKNOWN
    off = abs(report.value) - report.target if report.direction == "zero" else report.value - report.target
    return words.difference(abs(off), report.unit, report.decimals).removeprefix("+")


def limits_text(report: KpiReport) -> str:
    """Return a KPI's natural process limits, ``81.0 to 90.5%``."""
    within = report.natural_limits
    return words.between(within.lower, within.upper, report.unit, report.decimals) if within else words.UNKNOWN


def _top_move(report: KpiReport) -> str:
    if not report.contributors:
        return words.UNKNOWN
    top = report.contributors[0]
    return f"{top.name} ({_from_to(report, top.previous, top.value)})"


_FIGURES: dict[str, Callable[[KpiReport], str]] = {
    "value": lambda k: _quantity(k, k.value),
    "previous": lambda k: _quantity(k, k.previous),
    "previous_year": lambda k: _quantity(k, k.previous_year),
    "target": _target,
    "aim": aim,
    "change": lambda k: words.difference(k.change, k.unit, k.decimals),
    "change_pct": lambda k: words.percent(k.change_pct, signed=True),
    "change_year_pct": lambda k: words.percent(k.change_year_pct, signed=True),
    "gap": _gap,
    "move": move,
    "improvement": lambda k: move(k) if k.movement == "improved" else words.UNKNOWN,
    "worsening": lambda k: move(k) if k.movement == "worsened" else words.UNKNOWN,
    "usual": lambda k: _quantity(k, k.natural_limits.centre if k.natural_limits else None),
    "limits": limits_text,
    "slope": lambda k: words.difference(k.trend.slope, k.unit, max(k.decimals, 1)),
    "coverage": lambda k: words.share(k.coverage),
    "count": lambda k: words.sample(k.count, k.sample_unit),
    "months": lambda k: words.number(sum(p.value is not None for p in k.history)),
    "top_share": lambda k: words.share(k.contributors[0].share if k.contributors else None),
    "top_move": _top_move,
    "top": lambda k: k.contributors[0].name if k.contributors else words.UNKNOWN,
    "name": lambda k: words.inside(k.name),
    "programmes": lambda k: words.listing(k.programmes) if k.programmes else words.UNKNOWN,
}
