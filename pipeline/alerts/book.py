"""The book of alerts: the values in force, and the state that follows from them for every rule and scope."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Literal

import msgspec

from pipeline.alerts.conditions import MONTH, Judgement, judge_rule, needs
from pipeline.alerts.inputs import StatusTold, ValueTold
from pipeline.alerts.machine import IDLE, Instance, step
from pipeline.catalogue import alerts as a
from pipeline.catalogue.derived_alerts import absence_delay_s, allowed_share
from pipeline.catalogue.model import Catalogue
from pipeline.values import WINDOWS, AlertChange, CsfStatus, KpiValue

Key = tuple[str, str]
"""Rule and scope."""
Series = tuple[str, str, str]
"""KPI or CSF, window or ``month``, scope."""
State = Literal["firing", "resolved", "unknown", "known"]


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
        #: rules that the catalogue no longer holds, of alerts that people still have open
        self.retired: dict[str, a.AnyRule] = {}
        self.series: dict[Series, KpiValue | CsfStatus] = {}
        self.clocks: dict[str, float] = {}
        #: those that are not idle
        self.instances: dict[Key, Instance] = {}
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

    def silent_after_s(self, rule: a.AnyRule) -> int:
        """Return for how long after planned maintenance, seconds, a rule's evidence is still of it.

        Maintenance takes the checks inside it out, so that a source seems to be silent until window and delay have passed.
        """
        return WINDOWS[rule.window] + self._holds[rule.id] if isinstance(rule, a.AbsenceRule) else 0

    def watches(self, what: str, period: str) -> bool:
        """Return whether any rule reads a KPI or CSF over a window or the running ``month``."""
        return (what, period) in self._readers

    def rule(self, name: str) -> a.AnyRule:
        """Return a rule, also one that was removed while its alerts are open."""
        return self.rules.get(name) or self.retired[name]

    def csf_of(self, rule: a.AnyRule) -> str:
        """Return the CSF that a rule belongs to; empty where its KPI is gone."""
        return rule.csf if isinstance(rule, a.StatusRule) else self._csf_of.get(rule.kpi, "")

    def judged(self, key: Key) -> Judgement:
        """Return what is said of an instance by the values in force."""
        return judge_rule(self.rules[key[0]], self._catalogue, _Scope(self, key[1]), self.clock_of(key))

    def clock_of(self, key: Key) -> float:
        """Return the data clock up to which an instance is judged."""
        return self.clocks.get(self.csf_of(self.rule(key[0])), 0.0)

    # --- what the catalogue no longer holds ---

    def places(self) -> set[str]:
        """Return the scopes of the services and teams that the catalogue names."""
        services = self._catalogue.services.values()
        return {f"service:{s.id}" for s in services} | {f"team:{s.team}" for s in services}

    def why_over(self, key: Key, gone: Collection[str]) -> str:
        """Return why an alert can no longer be judged, empty where it can; ``gone``: scopes no longer in the catalogue."""
        rule = self.rules.get(key[0])
        if rule is None:
            return "the rule was removed from the catalogue"
        if not _in(key[1], rule.scopes):
            return "the rule no longer covers this scope"
        return "it is no longer in the catalogue" if key[1] in gone else ""

    def forget(self, key: Key) -> None:
        """Forget the state of an alert."""
        self.instances.pop(key, None)
        self.dirty_instances.add(key)

    def retire(self, key: Key, why: str) -> Iterator[AlertChange]:
        """Forget the state of an alert that can no longer be judged; yield that it is over, if it fired."""
        before = self.instances.get(key)
        self.forget(key)
        if before is not None and before.state == "firing":
            at = max(before.at, int(self.clock_of(key)))
            yield self._change(self.rule(key[0]), key, "resolved", at, before.since, Judgement(None, note=why))

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
        after = step(before, said, at, self._holds[rule.id], rule.clear_s)
        if after.is_idle:
            if self.instances.pop(key, None) is not None:
                self.dirty_instances.add(key)
            return
        self.instances[key] = after
        # the last instant judged alone is not worth a write: judging again from an earlier one comes to the same
        if msgspec.structs.replace(after, at=before.at) != before:
            self.dirty_instances.add(key)
        yield from self._changes(rule, key, before, after, said)

    def _changes(
        self, rule: a.AnyRule, key: Key, before: Instance, after: Instance, said: Judgement
    ) -> Iterator[AlertChange]:
        states: list[State] = []
        if after.state != before.state and after.state in {"firing", "resolved"}:
            states.append("firing" if after.state == "firing" else "resolved")
        elif after.state == "firing" and (after.unknown_since is None) != (before.unknown_since is None):
            states.append("known" if after.unknown_since is None else "unknown")
        for state in states:
            since = before.since if state == "resolved" else after.since
            yield self._change(rule, key, state, after.at, since, said)

    def _change(self, rule: a.AnyRule, key: Key, state: State, at: int, since: int, said: Judgement) -> AlertChange:
        return AlertChange(
            rule=rule.id, kpi="" if isinstance(rule, a.StatusRule) else rule.kpi, csf=self.csf_of(rule), scope=key[1],
            severity=rule.severity, state=state, at=at, since=since, value=said.value, threshold=said.threshold,
            unit=said.unit, count=said.count, coverage=said.coverage, note=said.note,
        )  # fmt: skip


def _in(scope: str, scopes: tuple[str, ...]) -> bool:
    """Return whether a scope is one of a rule's."""
    return scope in scopes or f"{scope.partition(':')[0]}:*" in scopes


def is_current(value: KpiValue, now: float) -> bool:
    """Return whether a value is one that rules read: of a rolling window, or of the month that runs at ``now``."""
    return value.state == "live" or (value.period == MONTH and value.start <= now < value.end)
