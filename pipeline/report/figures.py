"""One KPI of a report: its figures, what they are compared with, and what a reader must know of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from pipeline.catalogue.directory import Directory
from pipeline.catalogue.model import Catalogue, Kpi
from pipeline.evaluate.words import unknown_reason
from pipeline.report import words
from pipeline.report.inputs import ReportInputs, month_name, months_to
from pipeline.report.kpireport import Point
from pipeline.report.model import Restatement
from pipeline.report.months import MonthState, elapsed_share, month_point, value_state
from pipeline.time.calendar import Calendar
from pipeline.values import KpiRevision, KpiValue

#: Coverage from which a month's figure is taken as it stands; below, a note says what is missing.
ENOUGH_COVERAGE = 0.9


@dataclass(frozen=True)
class MonthlyFigures:
    """What was read, in the order in which a report asks for it."""

    catalogue: Catalogue
    inputs: ReportInputs
    calendar: Calendar
    #: (KPI, month start) → value of the scope
    values: dict[tuple[str, int], KpiValue] = field(default_factory=dict)
    #: KPI → service scope → month start → value
    services: dict[str, dict[str, dict[int, KpiValue]]] = field(default_factory=dict)
    revisions: dict[tuple[str, int], list[KpiRevision]] = field(default_factory=dict)

    @classmethod
    def of(cls, catalogue: Catalogue, inputs: ReportInputs) -> MonthlyFigures:
        """Put what was read in order."""
        found = cls(catalogue, inputs, Calendar(catalogue.organisation.zone))
        for v in inputs.values:
            found.values[(v.kpi, v.start)] = v
        for v in inputs.services:
            found.services.setdefault(v.kpi, {}).setdefault(v.scope, {})[v.start] = v
        for r in inputs.revisions:
            if r.scope == inputs.scope:
                found.revisions.setdefault((r.kpi, r.start), []).append(r)
        return found

    @cached_property
    def directory(self) -> Directory:
        """Names of scopes."""
        return Directory(self.catalogue, self.inputs.stored)

    @cached_property
    def start(self) -> int:
        """The start of the month."""
        return self.calendar.parse_month(self.inputs.month)

    @cached_property
    def end(self) -> int:
        """The end of the month."""
        return self.calendar.next_month(self.start)

    @cached_property
    def months(self) -> list[int]:
        """The starts of the months of the trend lines, oldest first."""
        return months_to(self.calendar, self.start)

    @property
    def before(self) -> int:
        """The start of the month before."""
        return self.months[-2]

    def is_over(self, start: int) -> bool:
        """Return whether everything that arrived until the end of a month has been worked through."""
        return self.calendar.next_month(start) <= self.inputs.clock

    @cached_property
    def _elapsed(self) -> dict[int, float]:
        """The share of each month that has passed."""
        ends = {start: self.calendar.next_month(start) for start in self.months}
        return {start: elapsed_share(start, end, self.inputs.clock) for start, end in ends.items()}

    @cached_property
    def _names(self) -> dict[int, str]:
        return {start: month_name(self.calendar, start) for start in self.months}

    def value(self, kpi: str, start: int) -> KpiValue | None:
        """Return the value of the scope."""
        return self.values.get((kpi, start))

    def target(self, kpi: str, start: int, scope: str) -> float | None:
        """Return the target in force in a month for a scope that has no value then."""
        team = self.directory.team(scope) if scope.startswith("service:") else None
        return self.catalogue.target_for(kpi, scope, team, self.calendar.local(start).date())

    def state(self, value: KpiValue) -> MonthState:
        """Return a value's state (``value_state``)."""
        return value_state(value, over=self.is_over(value.start))

    def revision(self, value: KpiValue) -> int:
        """Return a value's revision: 0 to date, 1 closed (or final), 2 and more restated."""
        return max(value.revision, 1) if self.state(value) != "to_date" else 0

    def history(self, kpi: Kpi) -> list[Point]:
        """Return the months of a KPI's trend line."""
        return [self._month(kpi, start) for start in self.months]

    def _month(self, kpi: Kpi, start: int) -> Point:
        value = self.value(kpi.id, start)
        if value is not None:
            return self._point(value)
        return Point(
            month=self._names[start], value=None, target=self.target(kpi.id, start, self.inputs.scope),
            state="closed" if self.is_over(start) else "to_date", definition_version=kpi.version,
            elapsed=self._elapsed[start],
        )  # fmt: skip

    def _point(self, value: KpiValue) -> Point:
        return month_point(value, self._names[value.start], self.state(value), self._elapsed[value.start])

    def below(self, kpi: str, start: int) -> dict[str, Point]:
        """Return a KPI of every service below the scope in a month, by scope; those without a value are left out."""
        months = self.services.get(kpi, {})
        found = {scope: by_start.get(start) for scope, by_start in sorted(months.items())}
        return {scope: self._point(v) for scope, v in found.items() if v is not None and v.value is not None}

    def restatements(self) -> list[Restatement]:
        """Return all values of closed months that changed afterwards, of the scope and the services below it."""
        return [
            Restatement(
                kpi=r.kpi, scope=r.scope, month=month_name(self.calendar, r.start), revision=r.revision + 1,
                old=r.value, new=r.replaced_by, reason=r.reason,
            )
            for r in self.inputs.revisions
        ]  # fmt: skip

    def why_unknown(self, kpi: Kpi) -> str:
        """Return in words why a KPI has no value this month, or none that can be judged; empty where it has one."""
        return unknown_reason(kpi, "month", self.value(kpi.id, self.start))


def sample_known(kpi: Kpi, value: KpiValue) -> bool:
    """Return whether the sample of a value is known: brought values may come without, and count as just large enough."""
    return not value.reported or value.denominator is not None or value.count > kpi.min_sample


def notes(figures: MonthlyFigures, kpi: Kpi, history: Sequence[Point]) -> list[str]:
    """Return what a reader must know of a KPI's figures, a sentence each."""
    value = figures.value(kpi.id, figures.start)
    month = words.month(figures.inputs.month)
    found: list[str] = []
    if value is None or value.value is None:
        reason = figures.why_unknown(kpi)
        return [f"No value in {month}: {reason}."] if reason else []
    if value.reported:
        sample = "" if sample_known(kpi, value) else "; its sample is not known"
        found.append(f"Brought from elsewhere, not worked out from events{sample}.")
    if value.status == "unknown" and (reason := figures.why_unknown(kpi)):
        found.append(f"Not judged: {reason}.")
    if value.coverage is not None and value.coverage < ENOUGH_COVERAGE:
        found.append(f"Its sources delivered {words.share(value.coverage)} of the month.")
    if value.reason and figures.state(value) != "restated":
        found.append(_sentence(value.reason))
    found.extend(_changed_definition(history, value.definition_version))
    found.extend(_gaps(history))
    found.extend(_restated(figures.revisions.get((kpi.id, figures.start), []), kpi))
    return found


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".") + "."


def _changed_definition(history: Sequence[Point], version: int) -> list[str]:
    others = [p for p in history if p.value is not None and p.definition_version != version]
    if not others:
        return []
    last, number = words.month(others[-1].month), others[-1].definition_version
    return [
        f"Its definition changed: up to {last} it is version {number}, now version {version}; the two do not compare."
    ]


def _gaps(history: Sequence[Point]) -> list[str]:
    """Say which months between the first known one and this one are unknown, or that this is the first."""
    before = history[:-1]
    known = [i for i, p in enumerate(before) if p.value is not None]
    if not known:
        return ["The first month with a value: there is nothing yet to compare it with."]
    missing = [p.month for p in before[known[0] :] if p.value is None]
    return [f"No value in {words.periods(missing)}."] if missing else []


def _restated(revisions: Sequence[KpiRevision], kpi: Kpi) -> list[str]:
    if not revisions:
        return []
    last = max(revisions, key=lambda r: r.revision)
    old = words.quantity(last.value, kpi.unit, kpi.decimals)
    new = words.quantity(last.replaced_by, kpi.unit, kpi.decimals)
    return [f"Restated, revision {last.revision + 1}: {old} became {new}, because {last.reason}."]


def percent_change(value: float | None, previous: float | None) -> float | None:
    """Return 100 x (value - previous) / |previous|; None where either is unknown or previous is 0."""
    if value is None or previous is None or previous == 0:
        return None
    return 100 * (value - previous) / abs(previous)
