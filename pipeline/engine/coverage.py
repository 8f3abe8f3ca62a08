"""Coverage: the share of a period for which the sources a KPI needs really delivered."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from pipeline.time.intervals import Intervals, clip, total, union

_encoder = msgspec.msgpack.Encoder()


@dataclass
class Polled:
    """What a source said it delivered: event types, services (None: all), intervals in epoch seconds."""

    source: str
    types: frozenset[str]
    services: frozenset[str] | None
    intervals: Intervals


class CoverageBook:
    """What each source said it delivered, from every control partition."""

    def __init__(self) -> None:
        self._polled: dict[str, Polled] = {}
        self._dirty: set[str] = set()
        self._unions: dict[tuple[frozenset[str], str], list[Intervals]] = {}

    def put(
        self, key: str, source: str, types: list[str], services: list[str] | None, spans: Intervals
    ) -> Polled | None:
        """Put what a source delivered, absolutely; return what it had said before."""
        before = self._polled.get(key)
        fresh = Polled(source, frozenset(types), None if services is None else frozenset(services), spans)
        if before != fresh:
            self._polled[key] = fresh
            self._dirty.add(key)
            self._unions.clear()
        return before

    def swap(self, key: str, said: Polled | None) -> Polled | None:
        """Set what a source said to something else for a while (None: nothing); return what it was."""
        before = self._polled.pop(key, None)
        if said is not None:
            self._polled[key] = said
        self._unions.clear()
        return before

    def of(self, types: frozenset[str], service: str, start: int, end: int) -> float | None:
        """Return the least share of [start, end) that a source of these types covers a service, None without one."""
        if end <= start:
            return None
        sources = self._sources(types, service)
        if not sources:
            return None
        return min(total(clip(spans, start, end)) for spans in sources) / (end - start)

    def _sources(self, types: frozenset[str], service: str) -> list[Intervals]:
        """Return what each source of any of these types delivered for a service, kept until one says more."""
        known = self._unions.get((types, service))
        if known is None:
            by_source: dict[str, list[tuple[int, int]]] = {}
            for e in self._polled.values():
                if e.types & types and (e.services is None or service in e.services):
                    by_source.setdefault(e.source, []).extend(e.intervals)
            known = self._unions[(types, service)] = [union(spans) for spans in by_source.values()]
        return known

    def delivered(self, types: frozenset[str]) -> list[tuple[frozenset[str] | None, Intervals]]:
        """Return (services covered, intervals) of every source of any of these types."""
        return [(e.services, e.intervals) for e in self._polled.values() if e.types & types]

    def last(self, types: frozenset[str], service: str) -> int | None:
        """Return up to when any source of these types delivered for a service, None where none says."""
        return max((spans[-1][1] for spans in self._sources(types, service) if spans), default=None)

    def mean(self, types: frozenset[str], services: Iterable[str], start: int, end: int) -> float | None:
        """Return the mean coverage of the services that any source covers, None without one."""
        shares = [c for s in services if (c := self.of(types, s, start, end)) is not None]
        return sum(shares) / len(shares) if shares else None

    def restore(self, key: bytes, value: bytes) -> None:
        """Take a recovered chunk."""
        self._polled[key.decode().removeprefix("p|")] = unpack(msgspec.msgpack.decode(value))

    def chunks(self) -> Iterable[tuple[bytes, bytes | None]]:
        """Yield the chunks that changed since the last call."""
        for key in self._dirty:
            yield f"p|{key}".encode(), _encoder.encode(pack(self._polled[key]))
        self._dirty = set()


def pack(said: Polled) -> list[Any]:
    """Return what a source said as plain lists."""
    services = None if said.services is None else sorted(said.services)
    return [said.source, sorted(said.types), services, said.intervals]


def unpack(packed: list[Any]) -> Polled:
    """Return what ``pack`` made lists of."""
    source, types, services, spans = packed
    covered = None if services is None else frozenset(services)
    return Polled(source, frozenset(types), covered, [(a, b) for a, b in spans])
