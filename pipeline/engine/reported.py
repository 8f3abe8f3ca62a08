"""Values that were reported for a month: they stand where there are no events."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from pipeline.catalogue.model import Kpi
from pipeline.evaluate.judge import judge
from pipeline.values import KpiValue

ReportKey = tuple[str, str, int]  # KPI, scope, month start
#: value, target, numerator, denominator, count
Numbers = list[float | None]


class Reported:
    """The last report of every KPI, scope and month."""

    def __init__(self) -> None:
        self._held: dict[ReportKey, Numbers] = {}
        self._dirty: set[ReportKey] = set()

    def put(self, key: ReportKey, numbers: Numbers) -> Numbers | None:
        """Put a report; return the one it replaces."""
        before = self._held.get(key)
        self._held[key] = numbers
        self._dirty.add(key)
        return before

    def holds(self, key: ReportKey) -> bool:
        """Return whether a value was reported."""
        return key in self._held

    def swap(self, key: ReportKey, numbers: Numbers | None) -> Numbers | None:
        """Set a report to another for a while (None: take it out); return the one there was."""
        before = self._held.pop(key, None)
        if numbers is not None:
            self._held[key] = numbers
        return before

    def scopes(self, month: int) -> list[str]:
        """Return the scopes that something was reported of for a month."""
        return sorted({scope for _, scope, at in self._held if at == month})

    def fill(self, kpi: Kpi, value: KpiValue, month: int) -> None:
        """Give an unknown value what was reported for it, if anything was."""
        numbers = self._held.get((value.kpi, value.scope, month))
        if numbers is None or value.value is not None:
            return
        number, target, value.numerator, value.denominator, count = numbers
        value.value, value.reported = number, True
        value.count = int(count) if count is not None else kpi.min_sample
        value.target = target if target is not None else value.target
        value.status, value.score = judge(kpi, number, value.count, value.target)

    def restore(self, key: bytes, value: bytes) -> None:
        """Take a recovered chunk."""
        _, kpi, scope, start = key.decode().split("|")
        self._held[(kpi, scope, int(start))] = msgspec.msgpack.decode(value)

    def chunks(self) -> Iterable[tuple[bytes, bytes | None]]:
        """Yield the chunks that changed since the last call."""
        for kpi, scope, start in self._dirty:
            yield f"r|{kpi}|{scope}|{start}".encode(), msgspec.msgpack.encode(self._held[(kpi, scope, start)])
        self._dirty = set()
