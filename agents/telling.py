"""What rollup tells alerting: values that rules read, how far the data clock is, and planned maintenance."""

from __future__ import annotations

import time

from agents.context import Context
from agents.engines import Rollup
from agents.producing import kafka_producer, produce
from pipeline.alerts import inputs
from pipeline.alerts.book import is_current
from pipeline.alerts.conditions import needs
from pipeline.catalogue import alerts as a
from pipeline.catalogue.model import Availability
from pipeline.engine.telling import RollupOutput
from pipeline.topics import ALERT_INPUTS
from pipeline.values import CsfStatus, KpiValue

#: The clock of a partition of partials is told so often at most, seconds.
_CLOCK_EVERY_S = 1.0


class AlertTeller:
    """Tells what changed, once; where no rule reads anything it tells nothing.

    Beyond the largest sample that any rule asks for, a larger one is no news; nor is coverage where no rule asks for it.
    """

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        #: (KPI or CSF, window or month) → (sample, coverage matters) that rules ask for
        self._watched: dict[tuple[str, str], tuple[int, bool]] = {}
        for rule in ctx.plan.catalogue.alerts.values():
            for need in needs(rule):
                sample, coverage = self._watched.get(need, (0, False))
                least, coverage_too = self._asked(rule)
                self._watched[need] = max(sample, least), coverage or coverage_too
        self._told: dict[tuple[str, str, str], object] = {}
        #: data clock told and when (monotonic), by CSF
        self._clocks: dict[str, tuple[float, float]] = {}
        self._maintenance: dict[str, list[tuple[int, int]]] = {}
        #: the CSF whose partition knows of maintenance
        kpis = ctx.plan.catalogue.kpis.values()
        self._maintained_by = next((k.csf for k in kpis if isinstance(k.measure, Availability)), "")

    def _asked(self, rule: a.AnyRule) -> tuple[int, bool]:
        if isinstance(rule, a.StatusRule):
            return 0, False
        least = rule.min_sample
        if least is None:
            least = self._ctx.plan.catalogue.kpis[rule.kpi].min_sample
        return least, isinstance(rule, a.AbsenceRule) or rule.min_coverage > 0

    def forget(self) -> None:
        """Forget what was told: partitions change hands, and others told something meanwhile."""
        self._told.clear()
        self._clocks.clear()
        self._maintenance.clear()

    async def tell(self, out: RollupOutput, clock: float) -> None:
        """Tell of values and statuses of now that are written and changed."""
        messages: list[inputs.AnyInput] = []
        now = time.time()
        for value in out.values:
            asked = self._watched.get((value.kpi, value.period))
            if asked is not None and is_current(value, now) and self._is_news(value.kpi, value, _said(value, *asked)):
                messages.append(inputs.ValueTold(clock=clock, value=value))
        for status in out.statuses:
            said = (status.status, status.score)
            if (status.csf, status.period) in self._watched and self._is_news(status.csf, status, said):
                messages.append(inputs.StatusTold(clock=clock, status=status))
        await self._send(messages)

    def _is_news(self, what: str, found: KpiValue | CsfStatus, said: object) -> bool:
        key = (what, found.period, found.scope)
        if self._told.get(key) == said:
            return False
        self._told[key] = said
        return True

    async def pass_time(self, engine: Rollup) -> None:
        """Tell that everything up to the engine's clock has been told, now and then."""
        if not self._watched:
            return
        csfs, clock, now = engine.csfs, engine.clock, time.monotonic()
        due = [c for c in csfs if clock > self._clocks.get(c, (0.0, 0.0))[0]]
        if not due or any(now - self._clocks[c][1] < _CLOCK_EVERY_S for c in due if c in self._clocks):
            return
        messages: list[inputs.AnyInput] = []
        planned = engine.maintenance() if self._maintained_by in csfs else self._maintenance
        for service in planned.keys() | self._maintenance.keys():
            windows = planned.get(service, [])
            if windows != self._maintenance.get(service):
                self._maintenance[service] = windows
                messages.append(inputs.MaintenanceTold(service=service, windows=windows))
        messages.append(inputs.ClockTold(csfs=sorted(due), clock=clock))
        self._clocks |= dict.fromkeys(due, (clock, now))
        await self._send(messages)

    async def _send(self, messages: list[inputs.AnyInput]) -> None:
        records: list[tuple[bytes, bytes | None]] = [(b"told", inputs.encode(message)) for message in messages]
        await produce(kafka_producer(self._ctx.app), ALERT_INPUTS, 0, records)


def _said(value: KpiValue, sample: int, coverage: bool) -> object:
    """Return what of a value is news when it changes."""
    sums = (value.value, value.target, value.start if value.state != "live" else 0)
    return (*sums, min(value.count, sample), value.coverage if coverage else None)
