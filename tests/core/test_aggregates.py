"""Aggregators: the same state under any order and split, and results against plain computation."""

import math
import random
import statistics
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.aggregate.base import Aggregator
from pipeline.aggregate.distinct import (
    EXACT_LIMIT,
    DistinctAggregator,
    cardinality,
    distinct_of,
    hash64,
    remembered,
    same,
)
from pipeline.aggregate.groups import GroupsAggregator, weighted
from pipeline.aggregate.peak import PeakAggregator, busiest
from pipeline.aggregate.points import PointsAggregator, WindowsAggregator
from pipeline.aggregate.quantiles import CountsAggregator, bucket_of, exact_quantile, sketch_quantile
from pipeline.aggregate.sums import SumsAggregator

SMALL = st.integers(-(10**15), 10**15)
CASES: dict[str, tuple[Aggregator, st.SearchStrategy[Any]]] = {
    "sums": (SumsAggregator(), st.tuples(st.integers(0, 5), SMALL, SMALL)),
    "counts": (CountsAggregator(), st.lists(st.tuples(st.integers(-5, 5), st.integers(1, 9)), min_size=1, max_size=3)),
    "distinct": (DistinctAggregator(), st.integers(0, 2**64 - 1)),
    "groups": (GroupsAggregator(), st.tuples(st.sampled_from("abc"), SMALL, SMALL)),
    "peak": (
        PeakAggregator(),
        st.tuples(
            st.integers(0, 3).map(lambda h: h * 3600), st.integers(0, 59), st.integers(1, 9), st.booleans(),
            st.none() | st.integers(-100, 300),
        ),
    ),
    "points": (
        PointsAggregator(),
        st.tuples(st.sampled_from(["a", "b"]), st.integers(0, 50), st.integers(0, 2), st.integers(-1, 9)),
    ),
}  # fmt: skip


def fold(aggregator: Aggregator, items: list[Any]) -> Any:
    state = None
    for item in items:
        state = aggregator.add(state, item, 1)
    return state


@pytest.mark.parametrize("kind", sorted(CASES))
@given(data=st.data())
def test_any_order_and_split_gives_the_same_state(kind: str, data: st.DataObject) -> None:
    aggregator, strategy = CASES[kind]
    items = data.draw(st.lists(strategy, min_size=1, max_size=30))
    shuffled = data.draw(st.permutations(items))
    cut = data.draw(st.integers(0, len(items)))
    whole = fold(aggregator, items)
    merged = aggregator.merge(fold(aggregator, shuffled[:cut]), fold(aggregator, shuffled[cut:]))
    assert merged == whole
    left = fold(aggregator, shuffled[:cut])
    right = fold(aggregator, shuffled[cut:])
    if right is not None:
        untouched = aggregator.unpack(aggregator.pack(right))
        absorbed = aggregator.absorb(left, right)
        assert absorbed == whole
        assert right == untouched
        assert absorbed is not right or isinstance(right, tuple), "what is absorbed is not held on to"


@pytest.mark.parametrize("kind", sorted(CASES))
@given(data=st.data())
def test_a_part_is_replaced_as_if_all_were_merged_again(kind: str, data: st.DataObject) -> None:
    aggregator, strategy = CASES[kind]
    part = st.lists(strategy, min_size=1, max_size=12)
    old, more, new, other = (data.draw(part) for _ in range(4))
    after = [*old, *more] if data.draw(st.booleans()) else new
    whole = aggregator.absorb(aggregator.absorb(None, fold(aggregator, other)), fold(aggregator, old))
    replaced = aggregator.replace(whole, fold(aggregator, old), fold(aggregator, after))
    assert replaced is None or replaced == fold(aggregator, [*other, *after])


@pytest.mark.parametrize("kind", sorted(CASES))
@given(data=st.data())
def test_packing_is_lossless_and_survives_msgpack(kind: str, data: st.DataObject) -> None:
    aggregator, strategy = CASES[kind]
    state = fold(aggregator, data.draw(st.lists(strategy, min_size=1, max_size=30)))
    raw = msgspec.msgpack.encode(aggregator.pack(state))
    assert aggregator.unpack(msgspec.msgpack.decode(raw)) == state


@pytest.mark.parametrize("kind", ["sums", "counts", "groups", "peak"])
@given(data=st.data())
def test_taking_back_undoes_adding(kind: str, data: st.DataObject) -> None:
    aggregator, strategy = CASES[kind]
    kept, gone = data.draw(st.lists(strategy, min_size=1, max_size=9)), data.draw(st.lists(strategy, max_size=9))
    state = fold(aggregator, kept + gone)
    for item in gone:
        state = aggregator.add(state, item, -1)
    undone = aggregator.pack(state)
    expected = aggregator.pack(fold(aggregator, kept))
    if kind in {"groups", "peak"}:  # emptied groups and hours may stay, holding nothing
        undone = [row for row in undone if any(row[1:3])]
        expected = [row for row in expected if any(row[1:3])]
    assert undone == expected


def test_sums_hold_integers_beyond_64_bits() -> None:
    big = SumsAggregator()
    state = big.add(None, (1, 2**70, -(2**70)), 1)
    assert big.unpack(msgspec.msgpack.decode(msgspec.msgpack.encode(big.pack(state)))) == (1, 2**70, -(2**70))


@given(st.lists(st.integers(-1000, 1000), min_size=1, max_size=200), st.sampled_from([0.0, 0.25, 0.5, 0.9, 0.95, 1.0]))
def test_exact_quantile_interpolates_like_numpy(values: list[int], q: float) -> None:
    state = fold(CountsAggregator(), [[(v, 1)] for v in values])
    ordered = sorted(values)
    rank = (len(values) - 1) * q
    low = int(rank)
    expected = ordered[low] + (ordered[min(low + 1, len(values) - 1)] - ordered[low]) * (rank - low)
    assert exact_quantile(state, q) == pytest.approx(expected)
    if q == 0.5:
        assert exact_quantile(state, q) == pytest.approx(statistics.median(values))


def test_sketch_is_within_one_percent_on_a_heavy_tail() -> None:
    rng = random.Random(7)
    values = sorted(rng.lognormvariate(4, 1.5) for _ in range(20_000))
    state = fold(CountsAggregator(), [[(bucket_of(v), 1)] for v in values])
    for q in (0.01, 0.5, 0.9, 0.95, 0.99, 0.999):
        exact = values[math.floor(q * (len(values) - 1))]
        assert sketch_quantile(state, q) == pytest.approx(exact, rel=0.01)


def test_sketch_knows_zero() -> None:
    state = fold(CountsAggregator(), [[(bucket_of(0.0), 3)], [(bucket_of(10.0), 1)]])
    assert sketch_quantile(state, 0.5) == 0.0


@pytest.mark.parametrize("n", [1, 100, EXACT_LIMIT])
def test_distinct_is_exact_up_to_its_limit(n: int) -> None:
    assert cardinality(fold(DistinctAggregator(), [hash64(f"u{i}") for i in range(n)] * 2)) == n


@pytest.mark.parametrize("n", [EXACT_LIMIT + 1, 20_000, 200_000])
def test_distinct_estimates_within_its_error(n: int) -> None:
    state = fold(DistinctAggregator(), [hash64(f"u{i}") for i in range(n)])
    assert cardinality(state) == pytest.approx(n, rel=0.05)


def test_distinct_parts_and_whole_agree_beyond_the_limit() -> None:
    aggregator = DistinctAggregator()
    hashes = [hash64(f"u{i}") for i in range(9000)]
    whole = fold(aggregator, hashes)
    merged = None
    for part in range(5):
        merged = aggregator.merge(merged, fold(aggregator, hashes[part::5]))
    assert merged is not None
    assert same(merged, whole)
    with pytest.raises(ValueError, match="take a value back"):
        aggregator.add(whole, 1, -1)


def test_forecast_accuracy_is_weighted_by_sample_over_models() -> None:
    state = fold(GroupsAggregator(), [("m1", 90, 100), ("m1", 110, 100), ("m2", 50, 100)])
    accuracy, n = weighted(state, "accuracy")
    assert accuracy == pytest.approx((2 * 90 + 1 * 50) / 3)
    assert n == 3
    bias, _ = weighted(state, "bias")
    assert bias == pytest.approx((2 * 0 + 1 * -50) / 3)
    assert weighted(fold(GroupsAggregator(), [("z", 5, 0)]), "accuracy") == (None, 0)


def test_the_busiest_hour_is_the_earliest_of_equals() -> None:
    state = fold(PeakAggregator(), [(7200, 0, 5, False, 1), (3600, 0, 5, True, 2), (0, 0, 4, False, 3)])
    hour = busiest(state)
    assert hour is not None
    assert hour[1] == 5


def test_of_two_points_at_once_down_beats_up() -> None:
    state = fold(PointsAggregator(), [("a", 1, 1, 10), ("a", 1, 2, 5), ("a", 1, 0, 99)])
    assert state == {"a": {1: (2, 5)}}


def test_windows_are_replaced_and_taken_back() -> None:
    aggregator = WindowsAggregator()
    state = aggregator.add(None, ("m1", 1, 5), 1)
    state = aggregator.add(state, ("m1", 1, 5), -1)
    state = aggregator.add(state, ("m1", 1, 9), 1)
    assert aggregator.merge(state, {"m2": (3, -1)}) == {"m1": (1, 9), "m2": (3, -1)}
    assert aggregator.unpack(aggregator.pack(state)) == state


@pytest.mark.parametrize(
    "sizes",
    [(3, 3), (40, 40), (63, 1), (30, 90), (90, 90), (3000, 2000), (4096, 1), (50, 5000), (5000, 50), (5000, 5000)],
)
def test_distinct_is_the_same_however_it_is_kept(sizes: tuple[int, int]) -> None:
    """A set, an array in order and registers stand for the same values, and what is absorbed or merged stays as it was."""
    aggregator = DistinctAggregator()
    hashes = [[hash64(f"{i}") for i in range(start, start + n)] for start, n in zip((0, 2), sizes, strict=True)]
    singly = [fold(aggregator, many) for many in hashes]
    at_once = [distinct_of(np.array([*many, *many[:9]], dtype=np.uint64)) for many in hashes]
    unpacked = [aggregator.unpack(msgspec.msgpack.decode(msgspec.msgpack.encode(aggregator.pack(s)))) for s in singly]
    whole = fold(aggregator, [h for many in hashes for h in many])
    for left, right in [(a[0], b[1]) for a in (singly, at_once, unpacked) for b in (singly, at_once, unpacked)]:
        packed = [sorted(aggregator.pack(s)[1]) for s in (left, right)]
        for merged in (aggregator.merge(left, right), aggregator.merge(right, left)):
            assert merged is not None
            assert same(merged, whole)
        absorbed = aggregator.absorb(aggregator.absorb(None, left), right)
        assert same(absorbed, whole)
        aggregator.absorb(absorbed, {1})
        assert [sorted(aggregator.pack(s)[1]) for s in (left, right)] == packed
    assert not same(whole, singly[0]) or set(hashes[1]) <= set(hashes[0])


def test_what_is_not_remembered_is_made_for_itself_alone() -> None:
    made: list[str] = []

    def make(key: str) -> int:
        made.append(key)
        return int(key)

    assert remembered({"1": 1, "3": 3}, ["1", "2", "3", "2", "1"], make) == [1, 2, 3, 2, 1]
    assert made == ["2", "2"]
    with pytest.raises(ValueError, match="invalid literal"):
        remembered({}, ["no number"], make)
