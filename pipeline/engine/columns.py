"""Bases over many records at once: what they read is gathered into columns, which Python folds in C.

A record at a time costs a function call, a tuple and a dictionary a base. Here one compiled function a type makes
columns of what its bases read, each expression once, and each base makes its state of whole columns. That is the
state that adding the records one by one would give: ``tests/core/test_columns.py`` holds them to it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta
from itertools import compress
from typing import Any

from pipeline.aggregate.base import MICRO, State
from pipeline.aggregate.distinct import distinct_of
from pipeline.aggregate.quantiles import bucket_of
from pipeline.catalogue.expressions import compile_columns
from pipeline.time.calendar import MICROSECOND

Column = list[Any]
#: Columns → the state that their records make, None where none of them contributes.
Fold = Callable[[Sequence[Column]], State | None]

#: Buckets remembered by value: whole milliseconds repeat. A plain dictionary costs half of what an LRU cache does.
_REMEMBERED = 65_536
_buckets: dict[float, int] = {}
_FLOATS = {float}


class Columns:
    """The columns that the bases of one record type read, each expression once."""

    def __init__(self) -> None:
        self._texts: list[str] = []

    def index(self, text: str) -> int:
        """Return the number of an expression's column."""
        if text not in self._texts:
            self._texts.append(text)
        return self._texts.index(text)

    def reader(self) -> Callable[[list[Any]], list[Column]]:
        """Return the function that makes columns of records; all columns are asked for before."""
        self.index("1")  # so that there is one
        return compile_columns(tuple(self._texts))


def to_micro(value: object) -> int | None:
    """Return a value as an integer of a millionth (durations: microseconds), None where it is no number."""
    if isinstance(value, timedelta):
        return value // MICROSECOND
    if isinstance(value, bool):
        return MICRO if value else 0
    if isinstance(value, int):
        return value * MICRO
    if isinstance(value, float):
        return round(value * MICRO)
    return None


def _micros(column: Column) -> list[int | None]:
    """Return a column in millionths."""
    if set(map(type, column)) == _FLOATS:
        return [round(v * MICRO) for v in column]
    return list(map(to_micro, column))


def _bucket(value: float) -> int:
    known = _buckets.get(value)
    if known is None:
        if len(_buckets) >= _REMEMBERED:
            _buckets.clear()
        known = _buckets[value] = bucket_of(value)
    return known


def bucket_key(value: object) -> int | None:
    """Return the sketch bucket of a number or a duration in seconds, None where it is neither."""
    if isinstance(value, float):
        return _bucket(value)
    if isinstance(value, timedelta):
        return _bucket(value.total_seconds())
    return _bucket(float(value)) if isinstance(value, int) else None


def _bucket_keys(column: Column) -> list[int | None]:
    """Return the sketch buckets of a column."""
    if set(map(type, column)) != _FLOATS:
        return list(map(bucket_key, column))
    keys = list(map(_buckets.get, column))
    return keys if None not in keys else list(map(_bucket, column))


def _value(columns: Columns, args: dict[str, Any]) -> Fold:
    at = columns.index(args["value"])

    def fold(found: Sequence[Column]) -> State | None:
        column = _micros(found[at])
        numbers: list[Any] = column if None not in column else [n for n in column if n is not None]
        return (len(numbers), sum(numbers), len(numbers)) if numbers else None

    return fold


def _count(columns: Columns, _args: dict[str, Any]) -> Fold:
    at = columns.index("1")
    return lambda found: (len(found[at]), len(found[at]), 0)


def _share(columns: Columns, args: dict[str, Any]) -> Fold:
    at = columns.index(args["of"])

    def fold(found: Sequence[Column]) -> State | None:
        column = found[at]
        known = len(column) - column.count(None)
        return (known, len(list(filter(None, column))), known) if known else None

    return fold


def _ratio(columns: Columns, args: dict[str, Any]) -> Fold:
    above, below = columns.index(args["numerator"]), columns.index(args["denominator"])

    def fold(found: Sequence[Column]) -> State | None:
        pairs = zip(_micros(found[above]), _micros(found[below]), strict=True)
        known = [(a, b) for a, b in pairs if a is not None and b is not None]
        return (len(known), sum(a for a, _ in known), sum(b for _, b in known)) if known else None

    return fold


def _counts(columns: Columns, args: dict[str, Any], keys_of: Callable[[Column], list[int | None]]) -> Fold:
    """Return a fold that counts keys of values, each by its record's weight; of a list each item counts."""
    at = columns.index(args["value"])
    weight_at = columns.index(args["weight"] or "1")

    def fold(found: Sequence[Column]) -> State | None:
        column = found[at]
        if args["weight"] is None and list not in set(map(type, column)):
            counts = Counter(keys_of(column))
            counts.pop(None, None)
            return dict(counts) or None
        counts = Counter()
        for value, weight in zip(column, found[weight_at], strict=True):
            if isinstance(weight, int) and weight > 0:
                for key in keys_of(value if isinstance(value, list) else [value]):
                    if key is not None:
                        counts[key] += weight
        return dict(counts) or None

    return fold


def _multiset(columns: Columns, args: dict[str, Any]) -> Fold:
    return _counts(columns, args, _micros)


def _sketch(columns: Columns, args: dict[str, Any]) -> Fold:
    return _counts(columns, args, _bucket_keys)


def _distinct(columns: Columns, args: dict[str, Any]) -> Fold:
    at = columns.index(args["value"])

    def fold(found: Sequence[Column]) -> State | None:
        column = found[at]
        texts = set(column) if set(map(type, column)) == {str} else {str(v) for v in column if v is not None}
        return distinct_of(texts) if texts else None

    return fold


_FOLDS: dict[str, Callable[[Columns, dict[str, Any]], Fold]] = {
    "count": _count,
    "value": _value,
    "share": _share,
    "ratio": _ratio,
    "multiset": _multiset,
    "sketch": _sketch,
    "distinct": _distinct,
}


def column_fold(columns: Columns, how: str, args: dict[str, Any]) -> Fold | None:
    """Return the fold of a base whose records are dated by their event time, None for another kind of base.

    Args:
        columns: of the record type; what the base reads is added.
        how: the kind of base.
        args: its expressions; a record for which ``where`` is false or unknown does not contribute.
    """
    make = _FOLDS.get(how)
    if make is None or args.get("at") is not None:
        return None
    where = args.get("where")
    fold = make(columns, args)
    return fold if where is None else _filtered(columns.index(where), fold)


def _filtered(at: int, fold: Fold) -> Fold:
    def filtered(found: Sequence[Column]) -> State | None:
        passed = found[at]
        kept = [list(compress(column, passed)) for column in found]
        return fold(kept) if kept[at] else None

    return filtered
