"""The book of alerts: the values in force, and the state that follows from them for every rule and scope."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from pipeline.alerts.conditions import MONTH, Judgement, judge_rule, needs
from pipeline.alerts.inputs import StatusTold, ValueTold
from pipeline.alerts.machine import IDLE, Instance, step
from pipeline.catalogue import alerts as a
from pipeline.catalogue.derived_alerts import absence_delay_s, allowed_share
from pipeline.catalogue.model import Catalogue
from pipeline.values import AlertChange, CsfStatus, KpiValue

Key = tuple[str, str]
"""Rule and scope."""
Series = tuple[str, str, str]
"""KPI or CSF, window or ``month``, scope."""


@dataclass(frozen=True)
class _Scope:
    """The values in force of one scope."""

    book: AlertBook
    scope: str

    def value(self, kpi: str, period: str) -> KpiValue | None:
        """Return the value of a KPI over a window, or of the running month."""
        found = self.book.series.get((kpi, period, self.scope))
        return found if isinstance(found, KpiValue) else None

    def status(self, csf: str, window: str) -> CsfStatus | None:
        """Return the status of a CSF over a window."""
        found = self.book.series.get((csf, window, self.scope))
        return found if isinstance(found, CsfStatus) else None


class AlertBook:
    """Values, clocks and instances; says which alerts changed."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self.rules = catalogue.alerts
        self.series: dict[Series, KpiValue | CsfStatus] = {}
        self.clocks: dict[str, float] = {}
        #: those that are not idle
        self.instances: dict[Key, Instance] = {}
        #: what was said last of instances that are not idle
        self.said: dict[Key, Judgement] = {}
        self.dirty_series: set[Series] = set()
        self.dirty_instances: set[Key] = set()
        self._readers: dict[tuple[str, str], list[a.AnyRule]] = defaultdict(list)
        for rule in self.rules.values():
            for need in needs(rule):
                self._readers[need].append(rule)
        self._holds = {rule.id: self._hold_s(rule) for rule in self.rules.values()}
        #: KPI or CSF → CSF
        self._csf_of = {k.id: k.csf for k in catalogue.kpis.values()} | {c: c for c in catalogue.csfs}

    def _hold_s(self, rule: a.AnyRule) -> int:
        if not isinstance(rule, a.AbsenceRule):
            return rule.hold_s
        kpi = self._catalogue.kpis[rule.kpi]
        return absence_delay_s(rule, allowed_share(kpi, kpi.target))

    def watches(self, what: str, period: str) -> bool:
        """Return whether any rule reads a KPI or CSF over a window or the running ``month``."""
        return (what, period) in self._readers

    def csf_of(self, rule: a.AnyRule) -> str:
        """Return the CSF that a rule belongs to."""
        return rule.csf if isinstance(rule, a.StatusRule) else self._csf_of[rule.kpi]

    def judged(self, key: Key) -> Judgement:
        """Return what is said of an instance by the values in force."""
        return judge_rule(self.rules[key[0]], self._catalogue, _Scope(self, key[1]), self.clock_of(key))

    def clock_of(self, key: Key) -> float:
        """Return the data clock up to which an instance is judged."""
        return self.clocks.get(self.csf_of(self.rules[key[0]]), 0.0)

    def take(self, told: ValueTold | StatusTold) -> Iterator[AlertChange]:
        """Take a value or status, unless one of later is known; yield what changes by it."""
        found = told.value if isinstance(told, ValueTold) else told.status
        what = found.kpi if isinstance(found, KpiValue) else found.csf
        series = (what, found.period, found.scope)
        if not self.watches(what, found.period):
            return
        known = self.series.get(series)
        if known is not None and (known.end, known.start) > (found.end, found.start):
            return
        clock = max(self.clocks.get(found.csf, 0.0), told.clock)
        self.clocks[found.csf] = clock
        if known != found:
            self.series[series] = found
            self.dirty_series.add(series)
        for rule in self._readers[what, found.period]:
            if _in(found.scope, rule.scopes):
                yield from self._judge((rule.id, found.scope), int(clock))

    def pass_time(self, csfs: list[str], clock: float) -> Iterator[AlertChange]:
        """Let time pass for some CSFs: what waits for it is judged again, by the values that still hold."""
        moved = {csf for csf in csfs if clock > self.clocks.get(csf, 0.0)}
        self.clocks |= dict.fromkeys(moved, clock)
        for key in list(self.instances):
            if self.csf_of(self.rules[key[0]]) in moved:
                yield from self._judge(key, int(clock))

    def _judge(self, key: Key, at: int) -> Iterator[AlertChange]:
        rule = self.rules[key[0]]
        said = judge_rule(rule, self._catalogue, _Scope(self, key[1]), at)
        before = self.instances.get(key, IDLE)
        after = step(before, said, at, self._holds[rule.id])
        if after.is_idle:
            if self.instances.pop(key, None) is not None:
                self.dirty_instances.add(key)
            self.said.pop(key, None)
            return
        self.instances[key], self.said[key] = after, said
        # the last instant judged alone is not worth a write: judging again from an earlier one comes to the same
        if msgspec.structs.replace(after, at=before.at) != before:
            self.dirty_instances.add(key)
        yield from self._changes(rule, key, before, after, said)

    def _changes(
        self, rule: a.AnyRule, key: Key, before: Instance, after: Instance, said: Judgement
    ) -> Iterator[AlertChange]:
        states: list[str] = []
        if after.state != before.state and after.state in {"firing", "resolved"}:
            states.append(after.state)
        elif after.state == "firing" and (after.unknown_since is None) != (before.unknown_since is None):
            states.append("known" if after.unknown_since is None else "unknown")
        for state in states:
            yield AlertChange(
                rule=rule.id,
                kpi="" if isinstance(rule, a.StatusRule) else rule.kpi,
                csf=self.csf_of(rule),
                scope=key[1],
                severity=rule.severity,
                state=state,  # type: ignore[arg-type] # one of the four
                at=after.at,
                since=before.since if state == "resolved" else after.since,
                value=said.value,
                threshold=said.threshold,
                unit=said.unit,
                count=said.count,
                coverage=said.coverage,
                note=said.note,
            )


def _in(scope: str, scopes: tuple[str, ...]) -> bool:
    """Return whether a scope is one of a rule's."""
    return scope in scopes or f"{scope.partition(':')[0]}:*" in scopes


def is_current(value: KpiValue, now: float) -> bool:
    """Return whether a value is one that rules read: of a rolling window, or of the month that runs at ``now``."""
    return value.state == "live" or (value.period == MONTH and value.start <= now < value.end)
