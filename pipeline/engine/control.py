"""Control events: what sources delivered, months closed, values brought from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from pipeline.engine import wire
from pipeline.engine.bounds import POLLED_INTERVALS, POLLED_KEYS, POLLED_TEXT, REPORTED_VALUES
from pipeline.engine.plan import Plan
from pipeline.errors import InvalidEvent
from pipeline.events.families import KpiReported, MonthClosed, SourcePolled
from pipeline.time.calendar import to_ms
from pipeline.time.intervals import Intervals, union

_encoder = msgspec.msgpack.Encoder()


@dataclass
class Said:
    """One statement to rollup: its kind, key, body and the CSFs it concerns."""

    kind: str
    key: str
    body: list[Any]
    shards: list[str]


class Control:
    """Control state of one source partition: polled intervals and reported values."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        #: what was before it counts nowhere, and so is covered by nobody
        self._horizon_s = plan.calendar.start_of(plan.catalogue.organisation.history_from)
        self._polled: dict[str, tuple[SourcePolled, Intervals]] = {}
        self._reported: dict[str, KpiReported] = {}
        self._dirty: set[str] = set()
        self.truncated = 0

    def act(self, event_type: str, data: Any) -> Iterator[Said]:
        """Yield what a control event says to rollup.

        Raises:
            InvalidEvent: a reported value names no KPI of the catalogue, or no scope, or there are too many already.
        """
        if event_type == "source.polled":
            yield from self._poll(data)
        elif event_type == "kpi.reported":
            yield from self._report(data)
        elif event_type == "month.closed":
            closed: MonthClosed = data
            if closed.offsets is None:
                body = [closed.month, closed.id, closed.barriers]
                yield Said(wire.BARRIER, f"barrier|{closed.month}", body, list(self._plan.catalogue.csfs))

    def _poll(self, data: SourcePolled) -> Iterator[Said]:
        types = ",".join(sorted(set(data.types)))
        services = "*" if data.services is None else ",".join(sorted(set(data.services)))
        key = f"p|{data.source}|{types}|{services}"
        if len(key) > POLLED_TEXT or (len(self._polled) >= POLLED_KEYS and key not in self._polled):
            raise InvalidEvent(
                "limit", f"one source covers too much, or more than {POLLED_KEYS} ways to cover are known"
            )
        _, before = self._polled.get(key, (data, []))
        first, last = max(to_ms(data.from_) // 1000, self._horizon_s), to_ms(data.to) // 1000
        if data.complete and last > self._horizon_s:
            before = union([*before, (first, last)])[-POLLED_INTERVALS:]
        self._polled[key] = (data, before)
        self.truncated += data.truncated
        self._dirty.add(key)
        yield self._said_polled(key)

    def _said_polled(self, key: str) -> Said:
        data, intervals = self._polled[key]
        types = set(data.types)
        catalogue = self._plan.catalogue
        shards = [
            csf
            for csf in catalogue.csfs
            if any(types & self._plan.types_of_kpi[k.id] for k in self._plan.kpis_of_csf[csf])
        ]
        services = None if data.services is None else sorted(set(data.services))
        body = [data.source, sorted(types), services, [list(i) for i in intervals]]
        return Said(wire.POLLED, key, body, shards)

    def _report(self, data: KpiReported) -> Iterator[Said]:
        kpi = self._plan.catalogue.kpis.get(data.kpi)
        if kpi is None:
            raise InvalidEvent("bad-data", f"kpi '{data.kpi[:80]}' is not in the catalogue")
        kind, _, name = data.scope.partition(":")
        if not (data.scope == "org" or (kind in {"team", "service"} and name)):
            raise InvalidEvent("bad-data", f"scope '{data.scope[:80]}' is none of org, team:ID, service:ID")
        key = f"pk|{data.kpi}|{data.scope}|{data.month}"
        if len(self._reported) >= REPORTED_VALUES and key not in self._reported:
            raise InvalidEvent("limit", f"more than {REPORTED_VALUES} values were reported")
        self._reported[key] = data
        self._dirty.add(key)
        body = [
            data.kpi, data.scope, data.month, data.value, data.target, data.numerator, data.denominator, data.count,
        ]  # fmt: skip
        yield Said(wire.REPORTED, key, body, [kpi.csf])

    def restore(self, key: bytes, value: bytes) -> None:
        """Take a recovered chunk."""
        name = key.decode()
        raw, intervals, truncated = msgspec.msgpack.decode(value)
        self.truncated = max(self.truncated, truncated)
        if name.startswith("pk|"):
            self._reported[name] = msgspec.convert(raw, KpiReported)
        else:
            self._polled[name] = (msgspec.convert(raw, SourcePolled), [(a, b) for a, b in intervals])

    def chunks(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Yield the chunks that changed since the last call."""
        for key in self._dirty:
            data: SourcePolled | KpiReported
            intervals: Intervals = []
            if key in self._reported:
                data = self._reported[key]
            else:
                data, intervals = self._polled[key]
            yield key.encode(), _encoder.encode([msgspec.to_builtins(data), intervals, self.truncated])
        self._dirty = set()
