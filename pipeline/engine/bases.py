"""Bases: what the measures of the catalogue ask to be folded, each once however many KPIs share it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from typing import Any

import msgspec

from pipeline.aggregate.base import VERSION, Aggregator, Contribution
from pipeline.aggregate.distinct import DistinctAggregator, hash64
from pipeline.aggregate.groups import GroupsAggregator
from pipeline.aggregate.peak import PeakAggregator
from pipeline.aggregate.points import DOWN, NONE, UNTIL_NEXT, UP, PointsAggregator, WindowsAggregator
from pipeline.aggregate.quantiles import CountsAggregator, bucket_of
from pipeline.aggregate.sums import SumsAggregator
from pipeline.catalogue.expressions import compile_of, compile_value, compile_where
from pipeline.engine.columns import bucket_key, to_micro
from pipeline.engine.happenings import counts
from pipeline.time.calendar import Calendar, to_ms
from pipeline.time.panes import DAY, HOUR, LEVELS

#: (record, its event time in ms, its entity key) → dated contributions
Extract = Callable[[Any, int, str], Iterator[tuple[int, Contribution]]]

#: A check without another holds for this many of its intervals.
STALE_INTERVALS = 2.5

_AGGREGATORS: dict[str, Aggregator] = {
    "sums": SumsAggregator(),
    "multiset": CountsAggregator(),
    "sketch": CountsAggregator(),
    "distinct": DistinctAggregator(),
    "groups": GroupsAggregator(),
    "peak": PeakAggregator(),
    "points": PointsAggregator(),
    "windows": WindowsAggregator(),
}
_LEVELS: dict[str, tuple[int, ...]] = {"points": (DAY,), "windows": (DAY,), "peak": (HOUR, DAY)}


@dataclass(frozen=True)
class BaseSpec:
    """What a base folds: its state kind, the event types it reads and the expressions it applies."""

    state: str
    events: tuple[str, ...]
    how: str
    args: tuple[tuple[str, Any], ...] = ()

    @property
    def key(self) -> str:
        """Return the name its state is kept under: changes with everything that changes the state."""
        text = msgspec.json.encode([VERSION, self.state, self.events, self.how, self.args])
        return f"{self.state}.{blake2b(text, digest_size=6).hexdigest()}"


@dataclass
class Base:
    """A base made runnable, with the CSFs (rollup shards) that read it."""

    key: str
    spec: BaseSpec
    aggregator: Aggregator
    extract: Extract
    levels: tuple[int, ...]
    #: what a record contributes, where it is dated by its event time and enters every level
    single: Callable[[Any], Contribution | None] | None = None
    shards: set[str] = field(default_factory=set)


def make_base(spec: BaseSpec, calendar: Calendar) -> Base:
    """Return the runnable base of a spec."""
    extract = _EXTRACTORS[spec.how](dict(spec.args), calendar)
    single = getattr(extract, "single", None) if spec.state not in _LEVELS else None
    return Base(spec.key, spec, _AGGREGATORS[spec.state], extract, _LEVELS.get(spec.state, LEVELS), single)


def _dating(at: str | None) -> Callable[[Any, int], int | None]:
    """Return what dates a record: event time, or the instant an expression yields."""
    if at is None:
        return lambda _record, t_ms: t_ms
    read = compile_value(at)

    def date(record: Any, _t_ms: int) -> int | None:
        found = read(record)
        return to_ms(found) if isinstance(found, datetime) else None

    return date


def _per_record(args: dict[str, Any], contribution: Callable[[Any], Contribution | None]) -> Extract:
    """Return an extractor that yields at most one contribution a record."""
    where, date = compile_where(args["where"]), _dating(args["at"])
    always = args["where"] is None

    def extract(record: Any, t_ms: int, _entity: str) -> Iterator[tuple[int, Contribution]]:
        if always or where(record):
            at = date(record, t_ms)
            if at is not None:
                found = contribution(record)
                if found is not None:
                    yield at, found

    if args["at"] is None:
        if always:
            single = contribution
        else:

            def single(record: Any) -> Contribution | None:
                return contribution(record) if where(record) else None

        extract.single = single  # type: ignore[attr-defined] # the same without dating, for the hot path
    return extract


def _count(args: dict[str, Any], _calendar: Calendar) -> Extract:
    return _per_record(args, lambda _record: (1, 1, 0))


def _value(args: dict[str, Any], _calendar: Calendar) -> Extract:
    read = compile_value(args["value"])

    def contribution(record: Any) -> Contribution | None:
        number = to_micro(read(record))
        return None if number is None else (1, number, 1)

    return _per_record(args, contribution)


def _share(args: dict[str, Any], _calendar: Calendar) -> Extract:
    of = compile_of(args["of"])

    def contribution(record: Any) -> Contribution | None:
        known = of(record)
        return None if known is None else (1, int(known), 1)

    return _per_record(args, contribution)


def _ratio(args: dict[str, Any], _calendar: Calendar) -> Extract:
    above, below = compile_value(args["numerator"]), compile_value(args["denominator"])

    def contribution(record: Any) -> Contribution | None:
        num, den = to_micro(above(record)), to_micro(below(record))
        return None if num is None or den is None else (1, num, den)

    return _per_record(args, contribution)


def _items(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


def _multiset(args: dict[str, Any], _calendar: Calendar) -> Extract:
    read, weigh = compile_value(args["value"]), compile_value(args["weight"] or "1")

    def contribution(record: Any) -> Contribution | None:
        weight = weigh(record)
        numbers = [n for n in map(to_micro, _items(read(record))) if n is not None]
        if not numbers or not isinstance(weight, int) or weight <= 0:
            return None
        return [(n, weight) for n in numbers]

    return _per_record(args, contribution)


def _sketch(args: dict[str, Any], _calendar: Calendar) -> Extract:
    read, weigh = compile_value(args["value"]), compile_value(args["weight"] or "1")

    def contribution(record: Any) -> Contribution | None:
        weight = weigh(record)
        buckets = [b for b in map(bucket_key, _items(read(record))) if b is not None]
        if not buckets or not isinstance(weight, int) or weight <= 0:
            return None
        return [(b, weight) for b in buckets]

    return _per_record(args, contribution)


def _distinct(args: dict[str, Any], _calendar: Calendar) -> Extract:
    read = compile_value(args["value"])

    def contribution(record: Any) -> Contribution | None:
        value = read(record)
        return None if value is None else hash64(str(value))

    return _per_record(args, contribution)


def _forecast(args: dict[str, Any], _calendar: Calendar) -> Extract:
    predicted, actual = compile_value(args["predicted"]), compile_value(args["actual"])
    fields = args["group"]

    def contribution(record: Any) -> Contribution | None:
        p, a = to_micro(predicted(record)), to_micro(actual(record))
        if p is None or a is None:
            return None
        return "\x1f".join(str(getattr(record, f)) for f in fields), p, a

    return _per_record(args, contribution)


def _peak(args: dict[str, Any], calendar: Calendar) -> Extract:
    latency, count, error = compile_value(args["latency"]), compile_value(args["count"]), compile_where(args["error"])

    def extract(record: Any, t_ms: int, _entity: str) -> Iterator[tuple[int, Contribution]]:
        at_s, n, value = t_ms // 1000, count(record), latency(record)
        if isinstance(n, int) and n > 0:
            bucket = bucket_of(float(value)) if isinstance(value, int | float) else None
            hour = calendar.hour_start(at_s)
            yield t_ms, (hour, (at_s - hour) // 60, n, error(record), bucket)

    return extract


def _stock(args: dict[str, Any], _calendar: Calendar) -> Extract:
    where, enter, leave = compile_where(args["where"]), _dating(args["enter"]), _dating(args["leave"])

    def extract(record: Any, t_ms: int, _entity: str) -> Iterator[tuple[int, Contribution]]:
        entered = enter(record, t_ms)
        if entered is None or not where(record):
            return
        left = leave(record, t_ms)
        if left is None or left > entered:
            yield entered, (1, 1, 0)
            if left is not None:
                yield left, (0, 0, 1)

    return extract


def _checks(_args: dict[str, Any], _calendar: Calendar) -> Extract:
    def extract(record: Any, t_ms: int, _entity: str) -> Iterator[tuple[int, Contribution]]:
        code = NONE if record.up is None else UP if record.up else DOWN
        good_for = UNTIL_NEXT if record.valid_until == "next" else int(record.interval_s * 1000 * STALE_INTERVALS)
        yield t_ms, (record.check, t_ms, code, good_for)

    return extract


def _syncs(args: dict[str, Any], _calendar: Calendar) -> Extract:
    where, completed = compile_where(args["where"]), _dating(args["completed"])

    def extract(record: Any, t_ms: int, _entity: str) -> Iterator[tuple[int, Contribution]]:
        at = completed(record, t_ms)
        if at is not None and where(record):
            yield at, (f"{record.from_}\x1f{record.to}", at, UP, UNTIL_NEXT)

    return extract


def _major(_args: dict[str, Any], _calendar: Calendar) -> Extract:
    def extract(record: Any, _t_ms: int, entity: str) -> Iterator[tuple[int, Contribution]]:
        if record.major and record.state != "cancelled":
            start = to_ms(record.opened_at)
            yield start, (entity, start, -1 if record.resolved_at is None else to_ms(record.resolved_at))

    return extract


def _maintenance(_args: dict[str, Any], _calendar: Calendar) -> Extract:
    def extract(record: Any, t_ms: int, entity: str) -> Iterator[tuple[int, Contribution]]:
        if counts(record, t_ms):
            start, end = to_ms(record.starts_at), to_ms(record.ends_at)
            yield start, (entity, start, end)

    return extract


_EXTRACTORS: dict[str, Callable[[dict[str, Any], Calendar], Extract]] = {
    "count": _count,
    "value": _value,
    "share": _share,
    "ratio": _ratio,
    "multiset": _multiset,
    "sketch": _sketch,
    "distinct": _distinct,
    "forecast": _forecast,
    "peak": _peak,
    "stock": _stock,
    "checks": _checks,
    "syncs": _syncs,
    "major": _major,
    "maintenance": _maintenance,
}
