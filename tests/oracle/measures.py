"""From frames of records to the outcome of a measure: the contributions of each kind, and what they come to."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Any

import polars as pl

from pipeline.catalogue import model as m
from tests.oracle import estimates, expr, zone
from tests.oracle.records import kinds_of

_COLUMNS = ("_service", "_at")


@dataclass(frozen=True)
class Outcome:
    """A value with its sample; ``zero_needs_coverage`` marks counts of nothing."""

    value: float | None
    count: int = 0
    numerator: float | None = None
    denominator: float | None = None
    zero_needs_coverage: bool = False


UNKNOWN = Outcome(None)


def contributions(measure: m.Records | m.Stock | m.Peak, frames: dict[str, pl.DataFrame]) -> pl.DataFrame | None:
    """Return what records contribute: service, date (us) and the columns of the kind of measure."""
    parts = [_of_type(measure, frames[e], kinds_of(e)) for e in measure.events if e in frames]
    return pl.concat(parts, how="vertical_relaxed") if parts else None


def _of_type(measure: Any, frame: pl.DataFrame, kinds: dict[str, str]) -> pl.DataFrame:
    texts = _texts(measure)
    for name in {n for text in texts for n in expr.names(text)}:
        if isinstance(frame.schema[name], pl.List):
            frame = frame.filter((pl.col(name).list.len() > 0).fill_null(value=True)).explode(name)
    frame = frame.filter(expr.true(getattr(measure, "where", None), kinds).fill_null(value=False))
    at = getattr(measure, "at", None)
    dated = pl.col("_t") if at is None else expr.expression(at, kinds)[0]
    found = frame.select("_service", dated.alias("_at"), *_columns(measure, kinds))
    return found.drop_nulls([c for c in found.columns if c not in {"leave", "latency"}])


def _texts(measure: Any) -> list[str]:
    names = ("value", "of", "numerator", "denominator", "predicted", "actual", "latency", "count", "error", "weight")
    found = [getattr(measure, n, None) for n in names]
    return [t for t in found if isinstance(t, str)]


def _columns(measure: Any, kinds: dict[str, str]) -> list[pl.Expr]:
    match measure:
        case m.Sum() | m.Mean():
            return [expr.micro(measure.value, kinds).alias("num")]
        case m.Share():
            return [expr.true(measure.of, kinds).cast(pl.Int64).alias("num")]
        case m.Ratio():
            return [
                expr.micro(measure.numerator, kinds).alias("num"),
                expr.micro(measure.denominator, kinds).alias("den"),
            ]
        case m.Quantile():
            weight = expr.plain(measure.weight or "1", kinds).cast(pl.Int64).alias("weight")
            return [
                expr.micro(measure.value, kinds).alias("num"),
                expr.plain(measure.value, kinds).alias("plain"),
                weight,
            ]
        case m.Distinct() | m.Stickiness():
            return [pl.col(measure.value).cast(pl.String).alias("text")]
        case m.Forecast():
            group = pl.concat_str([pl.col(g).cast(pl.String) for g in measure.group], separator="\x1f").alias("group")
            return [
                group,
                expr.micro(measure.predicted, kinds).alias("p"),
                expr.micro(measure.actual, kinds).alias("a"),
            ]
        case m.Stock():
            enter, leave = expr.expression(measure.enter, kinds)[0], expr.expression(measure.leave, kinds)[0]
            return [enter.alias("enter"), leave.alias("leave")]
        case m.Peak():
            return [
                expr.plain(measure.count, kinds).cast(pl.Int64).alias("n"),
                expr.true(measure.error, kinds).fill_null(value=False).alias("error"),
                expr.plain(measure.latency, kinds).alias("latency"),
            ]
    return []


def summed(measure: Any, rows: dict[str, list[Any]], elapsed_s: float) -> Outcome:
    """Return the outcome of a measure that reads only the records of a span."""
    n = len(rows.get("_at", ()))
    num = rows.get("num", [])
    scale = m.SCALE_SECONDS[getattr(measure, "scale", "one")]
    match measure:
        case m.Count(per="day"):
            days = elapsed_s / 86_400
            return Outcome(n / days if days > 0 else None, n, n, days, zero_needs_coverage=True)
        case m.Count():
            return Outcome(n, n, n, None, zero_needs_coverage=True)
        case m.Sum():
            return Outcome(sum(num) / 1e6 / scale, n, zero_needs_coverage=True)
        case m.Distinct():
            found = estimates.distinct(set(rows.get("text", ())))
            return Outcome(found, round(found), zero_needs_coverage=True)
    if not n:
        return UNKNOWN
    match measure:
        case m.Mean():
            return Outcome(sum(num) / n / (1e6 * scale), n, sum(num) / (1e6 * scale), n)
        case m.Share():
            return Outcome(100 * sum(num) / n, n, sum(num), n)
        case m.Ratio():
            top, below = sum(num), sum(rows["den"])
            return Outcome(measure.factor * top / below, n, top / 1e6, below / 1e6) if below else UNKNOWN
        case m.Quantile():
            return _quantile(measure, rows, scale)
        case m.Forecast():
            return _forecast(measure, rows)
    raise NotImplementedError(type(measure).__name__)


def _quantile(measure: m.Quantile, rows: dict[str, list[Any]], scale: float) -> Outcome:
    weights = rows["weight"]
    entities = {"incident.updated", "security_incident.updated", "vulnerability.updated", "change.updated",
                "feature.updated", "survey.answered"}  # fmt: skip
    if measure.exact or entities & set(measure.events):
        numbers = [v for v, w in zip(rows["num"], weights, strict=True) for _ in range(w)]
        found = estimates.interpolated(numbers, measure.q)
        return UNKNOWN if found is None else Outcome(found / 1e6 / scale, len(numbers))
    buckets: Counter[int | None] = Counter()
    for x, w in zip(rows["plain"], weights, strict=True):
        if w > 0:
            buckets[estimates.bucket(x)] += w
    found = estimates.sketched(buckets, measure.q)
    return UNKNOWN if found is None else Outcome(found / scale, sum(buckets.values()))


def _forecast(measure: m.Forecast, rows: dict[str, list[Any]]) -> Outcome:
    groups: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for group, p, a in zip(rows["group"], rows["p"], rows["a"], strict=True):
        groups[group].append((p, a))
    total, weight = 0.0, 0
    for pairs in groups.values():
        actual = sum(abs(a) for _, a in pairs)
        if actual > 0:
            if measure.stat == "accuracy":
                one = 100 * (1 - sum(abs(a - p) for p, a in pairs) / actual)
            else:
                one = 100 * sum(p - a for p, a in pairs) / actual
            total += one * len(pairs)
            weight += len(pairs)
    return Outcome(total / weight, weight) if weight else UNKNOWN


def stock(rows: list[tuple[int, int | None]], at_us: int) -> Outcome:
    """Return how many are inside at an instant, given when each entered and left."""
    inside = [(e, x) for e, x in rows if x is None or x > e]
    entered = sum(e < at_us for e, _ in inside)
    left = sum(x is not None and x < at_us for _, x in inside)
    return Outcome(entered - left, entered, zero_needs_coverage=True)


def peak(measure: m.Peak, rows: list[tuple[int, int, bool, float | None]], zone_name: str) -> Outcome:
    """Return the figure of the busiest local clock hour of rows (us, requests, error, latency)."""
    hours: dict[int, list[tuple[int, int, bool, float | None]]] = defaultdict(list)
    for row in rows:
        if row[1] > 0:
            hours[zone.hour_of(zone_name, row[0] // 1_000_000)].append(row)
    if not hours:
        return UNKNOWN
    start = min(hours, key=lambda h: (-sum(r[1] for r in hours[h]), h))
    requests = sum(r[1] for r in hours[start])
    if measure.stat == "error_rate":
        errors = sum(r[1] for r in hours[start] if r[2])
        return Outcome(100 * errors / requests, requests, errors, requests)
    counts: Counter[Any] = Counter()
    for at, n, _, latency in hours[start]:
        if measure.stat == "throughput":
            counts[at // 60_000_000] += n
        elif latency is not None:
            counts[estimates.bucket(latency)] += n
    if measure.stat == "throughput":
        return Outcome(max(counts.values()) / 60, requests)
    return Outcome(estimates.sketched(counts, 0.95), sum(counts.values()))


def day_parts(zone_name: str, period: str, start: int, end: int, elapsed_end: int) -> list[tuple[int, int]]:
    """Return the elapsed local days of a span; a window's edges are the part inside, to whole panes it reads."""
    if period in {"day", "month"}:
        return zone.days_within(zone_name, start, max(elapsed_end, start + 1))
    if period == "hour":
        return [(start, end)]
    step = zone.STEPS[period]
    parts = []
    for a, b in zone.days_within(zone_name, start, max(elapsed_end, start + 1)):
        first, last = max(a, start), min(b, end)
        if (first, last) != (a, b):
            first, last = math.ceil(first / step) * step, last // step * step
        parts.append((first, last))
    return parts
