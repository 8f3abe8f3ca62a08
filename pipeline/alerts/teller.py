"""What alerting is told: values that rules read and that say something new, how far the data is, planned maintenance.

Beyond the largest sample that any rule asks for, a larger one is no news; nor is coverage where no rule asks for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pipeline.alerts import inputs
from pipeline.alerts.book import is_current
from pipeline.alerts.conditions import needs
from pipeline.catalogue import alerts as a
from pipeline.catalogue.model import Availability, Catalogue
from pipeline.values import CsfStatus, KpiValue

Windows = Mapping[str, list[tuple[int, int]]]
"""Service → planned maintenance that counts, [start, end) in epoch seconds."""


class Teller:
    """Chooses what is news of what one rollup says; where no rule reads anything there is none."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        #: (KPI or CSF, window or month) → (sample, coverage matters) that rules ask for
        self._watched: dict[tuple[str, str], tuple[int, bool]] = {}
        for rule in catalogue.alerts.values():
            for need in needs(rule):
                sample, coverage = self._watched.get(need, (0, False))
                least, coverage_too = self._asked(rule)
                self._watched[need] = max(sample, least), coverage or coverage_too
        self._told: dict[tuple[str, str, str], object] = {}
        #: data clock told, by CSF
        self._clocks: dict[str, float] = {}
        self._maintenance: dict[str, list[tuple[int, int]]] = {}
        #: the CSF whose partition knows of maintenance
        kpis = catalogue.kpis.values()
        self._maintained_by = next((k.csf for k in kpis if isinstance(k.measure, Availability)), "")

    @property
    def listens(self) -> bool:
        """Whether any rule reads anything."""
        return bool(self._watched)

    def _asked(self, rule: a.AnyRule) -> tuple[int, bool]:
        if isinstance(rule, a.StatusRule):
            return 0, False
        least = rule.min_sample
        if least is None:
            least = self._catalogue.kpis[rule.kpi].min_sample
        return least, isinstance(rule, a.AbsenceRule) or rule.min_coverage > 0

    def forget(self) -> None:
        """Forget what was told: partitions change hands, and others told something meanwhile."""
        self._told.clear()
        self._clocks.clear()
        self._maintenance.clear()

    def news(
        self, values: Iterable[KpiValue], statuses: Iterable[CsfStatus], clock: float, now: float
    ) -> list[inputs.AnyInput]:
        """Return messages of values and statuses of now that changed.

        Args:
            values: that are written.
            statuses: that are written.
            clock: of the data, epoch seconds.
            now: epoch seconds.
        """
        messages: list[inputs.AnyInput] = []
        for value in values:
            asked = self._watched.get((value.kpi, value.period))
            if asked is not None and is_current(value, now) and self._is_news(value.kpi, value, _said(value, *asked)):
                messages.append(inputs.ValueTold(clock=clock, value=value))
        for status in statuses:
            said = (status.status, status.score)
            if (status.csf, status.period) in self._watched and self._is_news(status.csf, status, said):
                messages.append(inputs.StatusTold(clock=clock, status=status))
        return messages

    def _is_news(self, what: str, found: KpiValue | CsfStatus, said: object) -> bool:
        key = (what, found.period, found.scope)
        if self._told.get(key) == said:
            return False
        self._told[key] = said
        return True

    def behind(self, csfs: Iterable[str], clock: float) -> list[str]:
        """Return the CSFs of which an earlier data clock was told."""
        return [csf for csf in csfs if clock > self._clocks.get(csf, 0.0)]

    def time(self, csfs: Iterable[str], clock: float, planned: Windows) -> list[inputs.AnyInput]:
        """Return messages that everything of some CSFs up to a clock was told, and of maintenance that changed.

        Args:
            csfs: all those of a rollup.
            clock: its data clock, epoch seconds.
            planned: the maintenance that it knows of.
        """
        messages: list[inputs.AnyInput] = []
        known = planned if self._maintained_by in csfs else self._maintenance
        for service in sorted(known.keys() | self._maintenance.keys()):
            windows = known.get(service, [])
            if windows != self._maintenance.get(service):
                self._maintenance[service] = windows
                messages.append(inputs.MaintenanceTold(service=service, windows=windows))
        if due := sorted(self.behind(csfs, clock)):
            messages.append(inputs.ClockTold(csfs=due, clock=clock))
            self._clocks |= dict.fromkeys(due, clock)
        return messages


def _said(value: KpiValue, sample: int, coverage: bool) -> object:
    """Return what of a value is news when it changes."""
    sums = (value.value, value.target, value.start if value.state != "live" else 0)
    return (*sums, min(value.count, sample), value.coverage if coverage else None)
