"""Bases over many records at once: what they read is gathered into columns, which are folded cell by cell in C.

A record at a time costs a function call, a tuple and a dictionary a base. Here one compiled function a type makes
columns of what its bases read, each expression once, and each base makes the states of all cells of whole columns. They
are what adding the records one by one would give: ``tests/core/test_columns.py`` holds them to it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pipeline.aggregate.base import MICRO, State
from pipeline.aggregate.distinct import distinct_of_each, hash64, hashes_of, remembered
from pipeline.aggregate.quantiles import bucket_of
from pipeline.catalogue.expressions import compile_columns
from pipeline.time.calendar import MICROSECOND

#: Values of an expression, one a record: of a number type where all are such numbers, else objects.
Column: TypeAlias = NDArray[Any]
#: Values of an expression → what a base wants of them.
Form = Callable[[list[Any]], Column]

#: Integers up to this are summed in 64 bits, if as many as there are cannot exceed them; others as Python's.
_LIMIT = 2**62
_UNKNOWN, _FALSE, _TRUE = -1, 0, 1
#: A number as far from zero as this is none that was measured, but the end of a division by next to nothing: unknown.
_FARTHEST = 1e100

#: Buckets remembered by value: whole milliseconds repeat. A plain dictionary costs half of what an LRU cache does.
_REMEMBERED = 65_536
_buckets: dict[float, int] = {}
_FLOATS = {float}


@dataclass(frozen=True)
class Rows:
    """Records as columns, those of a cell beside each other.

    Attributes:
        columns: as ``Columns`` numbers them.
        cells: the number of each record's cell, never falling.
        number: of cells there are; some may have no record.
    """

    columns: Sequence[Column]
    cells: NDArray[np.intp]
    number: int

    @staticmethod
    def of(columns: Sequence[Column], codes: NDArray[np.int64]) -> tuple[list[int], Rows]:
        """Return the codes of cells, each once, and the records ordered by them.

        Args:
            columns: in any order of records.
            codes: of each record's cell.
        """
        order = np.argsort(codes)
        ordered = codes[order]
        new = np.concatenate(([True], ordered[1:] != ordered[:-1]))
        found: list[int] = ordered[new].tolist()
        return found, Rows([column[order] for column in columns], np.cumsum(new) - 1, len(found))

    def where(self, passed: NDArray[np.bool_]) -> Rows:
        """Return the records of a mask."""
        if passed.all():
            return self
        return Rows([column[passed] for column in self.columns], self.cells[passed], self.number)

    def parts(self) -> tuple[list[int], NDArray[np.intp]]:
        """Return the cells that have records, and where those begin."""
        starts = np.flatnonzero(np.concatenate(([True], self.cells[1:] != self.cells[:-1])))
        if not len(self.cells):
            return [], starts[:0]
        return self.cells[starts].tolist(), starts

    def slices(self) -> Iterator[tuple[int, slice]]:
        """Yield each cell that has records, and where they are."""
        cells, starts = self.parts()
        bounds = [*starts.tolist(), len(self.cells)]
        return zip(cells, map(slice, bounds, bounds[1:]), strict=False)

    def states(self, found: Iterable[tuple[int, State]]) -> list[State | None]:
        """Return the states of all cells, given those of some."""
        states: list[State | None] = [None] * self.number
        for cell, state in found:
            states[cell] = state
        return states


#: Records → the state of each cell, None where no record of it contributes.
Fold = Callable[[Rows], list[State | None]]


class Columns:
    """The columns that the bases of one record type read, each expression once in each form."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._wanted: list[tuple[int, Form]] = []

    def index(self, text: str, form: Form) -> int:
        """Return the number of an expression's column."""
        if text not in self._texts:
            self._texts.append(text)
        wanted = (self._texts.index(text), form)
        if wanted not in self._wanted:
            self._wanted.append(wanted)
        return self._wanted.index(wanted)

    def reader(self) -> Callable[[list[Any]], list[Column]]:
        """Return the function that makes columns of records; all columns are asked for before."""
        values_of, wanted = compile_columns(tuple(self._texts)), tuple(self._wanted)

        def read(records: list[Any]) -> list[Column]:
            values = values_of(records)
            return [form(values[at]) for at, form in wanted]

        return read


def to_micro(value: object) -> int | None:
    """Return a value as an integer of a millionth (durations: microseconds), None where it is no number or too far from 0."""
    if isinstance(value, timedelta):
        return value // MICROSECOND
    if isinstance(value, bool):
        return MICRO if value else 0
    if isinstance(value, int):
        return value * MICRO
    if isinstance(value, float):
        return round(value * MICRO) if abs(value) < _FARTHEST else None  # no comparison holds of NaN
    return None


def _bucket(value: float) -> int:
    known = _buckets.get(value)
    if known is None:
        if len(_buckets) >= _REMEMBERED:
            _buckets.clear()
        if not abs(value) < _FARTHEST:
            raise OverflowError(f"{value} is too far from 0")
        known = _buckets[value] = bucket_of(value)
    return known


def bucket_key(value: object) -> int | None:
    """Return the sketch bucket of a number or a duration in seconds, None where it is neither or too far from 0."""
    if isinstance(value, float):
        return _bucket(value) if abs(value) < _FARTHEST else None
    if isinstance(value, timedelta):
        return _bucket(value.total_seconds())
    return _bucket(float(value)) if isinstance(value, int) else None


def _objects(values: list[Any]) -> Column:
    """Return values as they are."""
    return np.fromiter(values, dtype=object, count=len(values))


def _integers(values: list[Any]) -> Column:
    """Return integers, unknown ones among them or not."""
    if None not in values and min(values) > -_LIMIT and max(values) < _LIMIT:
        return np.array(values, dtype=np.int64)
    return _objects(values)


def _micros(values: list[Any]) -> Column:
    """Return values in millionths."""
    if set(map(type, values)) == _FLOATS:
        with np.errstate(over="ignore"):
            scaled = np.array(values) * MICRO
        if np.abs(scaled).max() < _LIMIT:
            whole: NDArray[np.int64] = np.rint(scaled).astype(np.int64)
            return whole
    return _integers(list(map(to_micro, values)))


def _micro_items(values: list[Any]) -> Column:
    """Return values in millionths, and of lists each item."""
    return _micros(values) if list not in set(map(type, values)) else _items(values, to_micro)


def _items(values: list[Any], key_of: Callable[[object], int | None]) -> Column:
    return _objects([list(map(key_of, v)) if isinstance(v, list) else key_of(v) for v in values])


def _bucket_items(values: list[Any]) -> Column:
    """Return the sketch buckets of values, and of lists those of each item."""
    if set(map(type, values)) == _FLOATS:
        try:
            return _integers(remembered(_buckets, values, _bucket))
        except OverflowError:
            pass
    return _items(values, bucket_key)


def _hashes(values: list[Any]) -> Column:
    """Return the hashes of values' texts, unknown ones among them or not."""
    if set(map(type, values)) == {str}:
        return np.array(hashes_of(values), dtype=np.uint64)
    return _objects([None if v is None else hash64(str(v)) for v in values])


def _truths(values: list[Any]) -> Column:
    """Return for each value whether it is true, false or unknown."""
    if set(map(type, values)) == {bool}:
        return np.array(values, dtype=np.int8)
    return np.array([_UNKNOWN if v is None else _TRUE if v else _FALSE for v in values], dtype=np.int8)


def _known(column: Column) -> NDArray[np.bool_]:
    """Return which values of a column are known."""
    if column.dtype != object:
        return np.ones(len(column), dtype=bool)
    return np.array([v is not None for v in column], dtype=bool)


def _sums(rows: Rows, numerators: Column, denominators: Column | None = None) -> list[State | None]:
    """Return (sample, sum, sum) of each cell; without denominators the second sum is the sample."""
    cells, starts = rows.parts()
    if not cells:
        return [None] * rows.number
    sizes = np.diff(starts, append=len(numerators)).tolist()
    above = _totals(numerators, starts)
    below = sizes if denominators is None else _totals(denominators, starts)
    return rows.states(zip(cells, zip(sizes, above, below, strict=True), strict=True))


def _totals(column: Column, starts: NDArray[np.intp]) -> list[int]:
    """Return the sums of a column's parts, exactly."""
    if column.dtype == np.int64 and int(np.abs(column).max()) * len(column) >= _LIMIT:
        column = column.astype(object)
    totals: list[int] = np.add.reduceat(column, starts).tolist()
    return totals


def _value(columns: Columns, args: dict[str, Any]) -> Fold:
    at = columns.index(args["value"], _micros)

    def fold(rows: Rows) -> list[State | None]:
        rows = rows.where(_known(rows.columns[at]))
        return _sums(rows, rows.columns[at])

    return fold


def _count(columns: Columns, _args: dict[str, Any]) -> Fold:
    def fold(rows: Rows) -> list[State | None]:
        cells, starts = rows.parts()
        sizes = np.diff(starts, append=len(rows.cells)).tolist()
        return rows.states((cell, (n, n, 0)) for cell, n in zip(cells, sizes, strict=True))

    return fold


def _share(columns: Columns, args: dict[str, Any]) -> Fold:
    at = columns.index(args["of"], _truths)

    def fold(rows: Rows) -> list[State | None]:
        rows = rows.where(rows.columns[at] != _UNKNOWN)
        return _sums(rows, rows.columns[at].astype(np.int64))

    return fold


def _ratio(columns: Columns, args: dict[str, Any]) -> Fold:
    above, below = columns.index(args["numerator"], _micros), columns.index(args["denominator"], _micros)

    def fold(rows: Rows) -> list[State | None]:
        rows = rows.where(_known(rows.columns[above]) & _known(rows.columns[below]))
        return _sums(rows, rows.columns[above], rows.columns[below])

    return fold


def _counts(columns: Columns, args: dict[str, Any], form: Form) -> Fold:
    """Return a fold that counts keys of values, each by its record's weight; of a list each item counts."""
    at, weighted = columns.index(args["value"], form), args["weight"] is not None
    weight_at = columns.index(args["weight"] or "1", _objects if weighted else _truths)

    def fold(rows: Rows) -> list[State | None]:
        if not weighted and rows.columns[at].dtype == np.int64:
            keys = rows.columns[at].tolist()
            return rows.states((cell, _counted(keys[part])) for cell, part in rows.slices())
        return rows.states(
            (cell, counts)
            for cell, part in rows.slices()
            if (counts := _weighted(rows.columns[at][part].tolist(), rows.columns[weight_at][part].tolist()))
        )

    return fold


def _counted(keys: list[int]) -> dict[int, int]:
    """Return how often each key is there; one key alone, as in services with few events, in a third of the time."""
    return {keys[0]: 1} if len(keys) == 1 else dict(Counter(keys))


def _weighted(keys: list[Any], weights: list[Any]) -> dict[int, int]:
    """Return how often each key is there; keys may be lists of keys."""
    counts: Counter[int] = Counter()
    for key, weight in zip(keys, weights, strict=True):
        if isinstance(weight, int) and weight > 0:
            for each in key if isinstance(key, list) else [key]:
                if each is not None:
                    counts[each] += weight
    return dict(counts)


def _multiset(columns: Columns, args: dict[str, Any]) -> Fold:
    return _counts(columns, args, _micro_items)


def _sketch(columns: Columns, args: dict[str, Any]) -> Fold:
    return _counts(columns, args, _bucket_items)


def _distinct(columns: Columns, args: dict[str, Any]) -> Fold:
    at = columns.index(args["value"], _hashes)

    def fold(rows: Rows) -> list[State | None]:
        rows = rows.where(_known(rows.columns[at]))
        hashes = rows.columns[at].astype(np.uint64, copy=False)
        cells, starts = rows.parts()
        return rows.states(zip(cells, distinct_of_each(hashes, starts), strict=True))

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
    return fold if where is None else _filtered(columns.index(where, _truths), fold)


def _filtered(at: int, fold: Fold) -> Fold:
    return lambda rows: fold(rows.where(rows.columns[at] == _TRUE))
