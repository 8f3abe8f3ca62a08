"""Folding by columns gives the state that adding the records one by one gives, for every kind of base and any value."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.catalogue import model as m
from pipeline.engine.bases import make_base
from pipeline.engine.columns import Rows
from pipeline.engine.plan import by_columns, specs_of
from pipeline.time.calendar import Calendar

PAGES = ["page.viewed"]
MEASURES: dict[str, m.AnyMeasure] = {
    "count": m.Count(events=PAGES),
    "count where": m.Count(events=PAGES, where="error or status >= 400"),
    "mean": m.Mean(events=PAGES, value="number"),
    "mean of a span": m.Mean(events=PAGES, value="span", scale="hours"),
    "mean of arithmetic": m.Mean(events=PAGES, value="number / status"),
    "sum where": m.Sum(events=PAGES, value="number if error else status", where="user != 'a'"),
    "share": m.Share(events=PAGES, of="status >= 500"),
    "share tested": m.Share(events=PAGES, of="error or (status is not None and status >= 400)"),
    "ratio": m.Ratio(events=PAGES, numerator="number", denominator="status"),
    "sketch": m.Quantile(events=PAGES, value="number", q=0.9),
    "sketch of spans": m.Quantile(events=PAGES, value="span", q=0.9),
    "sketch weighted": m.Quantile(events=PAGES, value="number", weight="status", q=0.9, where="not error"),
    "exact": m.Quantile(events=PAGES, value="items", q=0.5, exact=True),
    "sketch of items": m.Quantile(events=PAGES, value="items * 2", q=0.5),
    "distinct": m.Distinct(events=PAGES, value="user"),
    "distinct numbers": m.Distinct(events=PAGES, value="status", where="number > 1"),
}


@dataclass
class Record:
    user: str | None
    error: bool
    status: int | None
    number: float | None
    span: timedelta | None
    items: Any


records = st.builds(
    Record,
    user=st.sampled_from(["a", "b", "c", "é", None]),
    error=st.booleans(),
    status=st.sampled_from([None, 0, 200, 404, 500]),
    number=st.none() | st.floats(-1e12, 1e12, allow_nan=False) | st.sampled_from([0.0, -0.0, 1.5, 80.0]),
    span=st.none() | st.timedeltas(timedelta(days=-9), timedelta(days=9)),
    items=st.none() | st.just([]) | st.lists(st.integers(0, 9) | st.floats(0, 9), max_size=3) | st.integers(0, 9),
)


@pytest.mark.parametrize("name", MEASURES)
@given(
    drawn=st.lists(st.tuples(st.sampled_from([7, -2, 2**60]), records), min_size=1, max_size=40), cut=st.integers(1, 40)
)
def test_columns_give_what_adding_gives(name: str, drawn: list[tuple[int, Record]], cut: int) -> None:
    (spec,) = specs_of(MEASURES[name]).values()
    base = make_base(spec, Calendar())
    assert base.single is not None
    expected = dict.fromkeys(sorted({cell for cell, _ in drawn}))
    for cell, record in drawn:
        contribution = base.single(record)
        if contribution is not None:
            expected[cell] = base.aggregator.add(expected[cell], contribution, 1)
    how = by_columns((base,))
    assert not how.others
    ((key, _, fold),) = how.folds
    assert key == base.key
    chunks = [how.read([record for _, record in part]) for part in (drawn[:cut], drawn[cut:]) if part]
    columns = [np.concatenate(parts) for parts in zip(*chunks, strict=True)]
    codes, rows = Rows.of(columns, np.array([cell for cell, _ in drawn]))
    assert dict(zip(codes, fold(rows), strict=True)) == expected


def test_bases_of_a_type_read_each_expression_once() -> None:
    bases = tuple(make_base(spec, Calendar()) for n in MEASURES for spec in specs_of(MEASURES[n]).values())
    how = by_columns(bases)
    assert len(how.folds) == len(MEASURES)
    columns = how.read([Record("a", False, 200, 1.0, None, None)])
    assert len(columns) < 2 * len(MEASURES)
