"""Events: envelope, data, batches, and the whole ingest machine, which must lead every one to an exit."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.engine.ingest import IngestPartition
from pipeline.engine.rollup import RollupPartition
from pipeline.errors import InvalidEvent
from pipeline.events.families import TYPES
from pipeline.events.validate import decode_data, decode_envelope, split_message
from tests.fuzz import mutate
from tests.fuzz.run import INPUTS, fuzz
from tests.fuzz.samples import ARRIVAL_MS, KINDS, event, topic
from tests.properties.histories import plan

#: the reasons of docs/semantics.md
REASONS = {
    "malformed-json", "malformed-event", "unknown-type", "bad-data", "wrong-topic", "future-time", "impossible-times",
    "score-out-of-range", "bad-number",
}  # fmt: skip


def refused(why: InvalidEvent) -> None:
    assert why.reason in REASONS, why.reason
    assert len(why.detail) < 5000


def check_event(raw: bytes, where: str) -> None:
    """Decode an event as the engine does; an error must be an InvalidEvent of a known reason."""
    try:
        found = decode_envelope(raw)
        data, at_ms = decode_data(found, where, ARRIVAL_MS)
    except InvalidEvent as e:
        refused(e)
        return
    assert isinstance(data, TYPES[found.type][1])
    assert isinstance(at_ms, int)


def one(rng: random.Random) -> tuple[str, bytes]:
    kind = mutate.one_of(KINDS, rng)
    document = mutate.mutated(event(kind, rng.randint(1, 4)), rng)
    return topic(kind), mutate.json_bytes(document, rng)


def test_mutated_events() -> None:
    fuzz(one, lambda g: check_event(g[1], g[0]))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(categories=None), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=max(200, INPUTS // 10), deadline=None, derandomize=True, database=None)
@given(
    st.sampled_from(KINDS),
    st.dictionaries(st.sampled_from(sorted({k for t in KINDS for k in event(t)["data"]})), JSON),
    JSON,
)
def test_drawn_data(kind: str, data: dict[str, Any], extra: Any) -> None:
    document = {**event(kind), "data": data, "x": extra}
    check_event(json.dumps(document, ensure_ascii=True).encode(), topic(kind))


@settings(max_examples=max(200, INPUTS // 10), deadline=None, derandomize=True, database=None)
@given(st.binary(max_size=200))
def test_drawn_bytes(raw: bytes) -> None:
    check_event(raw, "csf.events.usage")
    check_batch(raw)


def check_batch(raw: bytes) -> None:
    try:
        parts = split_message(raw)
    except InvalidEvent as e:
        refused(e)
        return
    assert len(parts) <= 65_536


def batch(rng: random.Random) -> bytes:
    events = [event(mutate.one_of(KINDS, rng), rng.randint(1, 5)) for _ in range(rng.randint(0, 4))]
    raw = json.dumps(mutate.mutated(events, rng) if rng.random() < 0.5 else events).encode()
    return mutate.data(raw, rng) if rng.random() < 0.6 else b" " * rng.randint(0, 3) + raw


def test_batches() -> None:
    fuzz(batch, check_batch)


def test_too_many_events_in_a_batch_are_one_dead_letter() -> None:
    with pytest.raises(InvalidEvent, match="at most 65536 events"):
        split_message(b"[" + b",".join([b"0"] * 65_537) + b"]")


def test_nesting_as_deep_as_a_message_allows_is_refused() -> None:
    deep = b'{"a":' * 190_000 + b"1" + b"}" * 40
    for raw in (deep, b"[" * 900_000, json.dumps(event("page.viewed")).encode().replace(b'"u1"', b"[" * 900_000)):
        check_batch(raw)
        check_event(raw, "csf.events.usage")


def test_the_machines_lead_every_message_to_an_exit_and_never_fail() -> None:
    """The engine on mutated messages: counted in = out, no event meets a fault of ours, rollup takes what is said."""
    made = plan("Europe/Zurich")
    machines: dict[str, IngestPartition] = {}
    said: list[tuple[int, int, bytes]] = []
    fed: dict[str, int] = {}

    def evaluate() -> None:
        rollup = RollupPartition(made, 0)
        rollup.fold(said)
        while rollup.pending:
            rollup.evaluate(5000)
        said.clear()

    def check(given_: tuple[str, list[bytes]]) -> None:
        where, messages = given_
        machine = machines.get(where)
        if machine is None or machine.position > 500:  # state that only grows would make each input slower
            machine = machines[where] = IngestPartition(made, where, 0)
            fed[where] = 0
        first = machine.position + 1
        machine.fold([(first + i, ARRIVAL_MS + i, raw) for i, raw in enumerate(messages)])
        out = machine.take()
        counts = out.exits
        assert counts.received == counts.kpi + counts.dead_letter + counts.duplicate + counts.unmapped + counts.ignored
        assert "dead_letter:internal-error" not in counts.reasons, out.dead_letters
        for _key, letter in out.dead_letters:
            assert json.loads(letter)["reason"] in REASONS
        for _csf, _key, value in out.partials:
            said.append((len(said), 0, value))
        if len(said) > 500:
            evaluate()

    def make(rng: random.Random) -> tuple[str, list[bytes]]:
        where, raw = one(rng)
        return where, [raw, batch(rng)] if rng.random() < 0.2 else [raw]

    fuzz(make, check)
    evaluate()


def test_the_arrival_of_a_sample_is_after_it() -> None:
    for kind in KINDS:  # the samples themselves are right, or mutations of them would prove little
        found = decode_envelope(json.dumps(event(kind)).encode())
        assert decode_data(found, topic(kind), ARRIVAL_MS)[1] < ARRIVAL_MS
    assert datetime.fromtimestamp(ARRIVAL_MS / 1000, UTC).year == 2026
