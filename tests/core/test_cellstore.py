"""Packed cells and entities: nothing is lost or changed by where it is kept, and old state takes a tenth."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from msgspec.msgpack import decode, encode

from pipeline.engine import cellstore, entitystore
from pipeline.engine.cellstore import CellStore, cell_id, cell_key
from pipeline.engine.entitystore import EntityStore
from pipeline.time.panes import DAY, HOUR, expired

NOON = int(datetime(2026, 11, 24, 12, tzinfo=UTC).timestamp())
MIDNIGHT = NOON - 43_200


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let cells leave at the first flush in which they do not change."""
    monkeypatch.setattr(cellstore, "FLUSHES", 1)
    monkeypatch.setattr(cellstore, "IDLE_S", -1)


class Kept:
    """A store of cells beside plain dictionaries that say what it must hold, in memory and as durable chunks."""

    def __init__(self) -> None:
        self.store: CellStore[bytes] = CellStore(bytes)
        self.cells: dict[cellstore.CellId, dict[str, bytes]] = {}
        self.dirty: set[cellstore.CellId] = set()
        self.chunks: dict[bytes, Any] = {}

    def put(self, cell: cellstore.CellId, base: str, item: bytes) -> None:
        self.store.make(cell)[base] = item
        self.cells.setdefault(cell, {})[base] = item
        self.dirty.add(cell)

    def expire(self, clock_s: float) -> None:
        gone = {cell: set(bases) for cell, bases in self.store.expire(clock_s)}
        assert gone.keys() == {c for c in self.cells if expired(c[0], c[1], clock_s)}
        for cell, bases in gone.items():
            assert bases >= self.cells.pop(cell).keys()
            self.dirty.discard(cell)

    def flush(self, clock_s: float) -> None:
        changed: list[tuple[bytes, Any]] = list(self.store.over())
        changed += [(cell_key(c), dict(self.store.whole(c))) for c in self.dirty | self.store.take_opened()]
        self.dirty = set()
        for key, value in [*changed, *self.store.pack(clock_s)]:
            if value is None:
                self.chunks.pop(key, None)
            else:
                self.chunks[key] = value

    def recovered(self, rng: random.Random, clock_s: float) -> CellStore[bytes]:
        """Return a store that takes the chunks in any order."""
        found: CellStore[bytes] = CellStore(bytes)
        for key, value in rng.sample(sorted(self.chunks.items(), key=lambda i: i[0]), len(self.chunks)):
            if key[:2] == b"b|":
                found.restore_block(key, value)
            else:
                found.restore(cell_id(key), dict(value))
        list(found.expire(clock_s))
        return found

    def agrees(self, store: CellStore[bytes]) -> None:
        assert sorted(store) == sorted(self.cells)
        assert len(store) == len(self.cells)
        for cell, held in self.cells.items():
            assert cell in store
            assert store.whole(cell) == held
            assert {b: store.item(cell, b) for b in "abc"} == {b: held.get(b) for b in "abc"}


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("seed", range(8))
def test_where_a_cell_is_kept_changes_nothing(seed: int) -> None:
    rng, kept = random.Random(seed), Kept()
    clock = NOON
    for _ in range(60):
        clock += rng.choice([0, 30, 600, 40_000])
        kept.expire(clock)
        for _ in range(rng.randrange(6)):
            start = rng.choice(
                [clock // 3_600 * 3_600 - 3_600 * rng.randrange(700), MIDNIGHT - 86_400 * rng.randrange(90)]
            )
            level = HOUR if not expired(HOUR, start, clock) and rng.random() < 0.5 else DAY
            kept.put((level, start, rng.choice(["shop", "mail"])), rng.choice("abc"), rng.randbytes(3))
        kept.flush(clock)
        kept.agrees(kept.store)
        kept.agrees(kept.recovered(rng, clock))


@pytest.mark.usefixtures("at_once")
def test_what_changes_no_more_is_one_chunk_of_a_tenth() -> None:
    kept = Kept()
    for day in range(30):
        for base in range(40):
            kept.put((DAY, MIDNIGHT - day * 86_400, "shop"), f"sums.{base:012x}", b"\x93\x01\x02\x03")
    kept.flush(NOON)
    alone = sum(len(key) + len(b"".join(k.encode() + v for k, v in held.items())) for key, held in kept.chunks.items())
    kept.flush(NOON)
    assert {key[:2] for key in kept.chunks} == {b"b|"}
    assert len(kept.chunks) <= 2
    assert sum(map(len, kept.chunks.values())) < alone / 10
    kept.put((DAY, MIDNIGHT, "shop"), "a", b"late")
    kept.flush(NOON)
    kept.agrees(kept.store)
    assert cell_key((DAY, MIDNIGHT, "shop")) in kept.chunks


def test_cells_that_change_are_not_packed() -> None:
    kept = Kept()
    for _ in range(20):
        kept.put((DAY, MIDNIGHT, "shop"), "a", b"x")
        kept.flush(NOON)
    assert list(kept.chunks) == [cell_key((DAY, MIDNIGHT, "shop"))]


def test_a_flush_packs_no_more_than_takes_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cellstore, "BLOCKS_A_FLUSH", 5)
    kept = Kept()
    for n in range(40):
        kept.put((DAY, MIDNIGHT, f"s{n}"), "a", b"x")
    blocks = []
    for n in range(30):
        kept.flush(NOON + 1_000 * n)
        blocks.append(sum(key[:2] == b"b|" for key in kept.chunks))
        kept.agrees(kept.store)
    assert max(b - a for a, b in pairwise(blocks)) == 5
    assert blocks[-1] == 40


# --- entities ---


def entities() -> EntityStore[list[Any]]:
    return EntityStore(lambda _type, row: decode(row), lambda key, entity: encode([*key[1:], *entity[2:]]))


def test_entities_are_the_same_open_closed_and_recovered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entitystore, "OPEN_ROWS", 0)
    monkeypatch.setattr(entitystore, "_WARM", 1)
    rng, store, chunks = random.Random(3), entities(), {}
    wanted: dict[tuple[str, str, str], list[Any]] = {}
    began = datetime(2026, 1, 1, tzinfo=UTC)
    for turn in range(80):
        for _ in range(3):
            key = ("incident.updated", "desk", f"I{rng.randrange(60)}")
            held = store.get(key)
            assert (None if held is None else list(held)) == wanted.get(key)
            if held is None:
                held = [*key[1:], 0]
                store.add(key, f"{began + timedelta(days=turn * 4):%Y%m}", held)
            held[2] += 1
            store.changed(key)
            wanted[key] = list(held)
        chunks.update(store.chunks())
        assert len(store) == len(wanted)
        assert dict(store.each()) == wanted
        if turn % 9 == 8:
            store = entities()
            for value in chunks.values():
                store.restore(value)
    assert ("incident.updated", "desk", "none") not in store


def test_two_entities_of_one_hash_are_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entitystore, "hash", lambda _key: 7, raising=False)
    monkeypatch.setattr(entitystore, "OPEN_ROWS", 0)
    store, chunks = entities(), {}
    for n in range(3):
        store.add(("change.updated", "desk", f"C{n}"), f"20260{n + 1}", ["desk", f"C{n}", n])
        chunks.update(store.chunks())
        list(store.chunks())
    again = entities()
    for value in chunks.values():
        again.restore(value)
    for found in (store, again):
        assert [found.get(("change.updated", "desk", f"C{n}")) for n in range(3)] == [
            ["desk", f"C{n}", n] for n in range(3)
        ]
        assert ("change.updated", "desk", "C3") not in found
