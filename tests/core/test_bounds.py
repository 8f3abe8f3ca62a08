"""Floods: what events alone could drive up stays within its bound, and what is too much is counted."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

import msgspec
import pytest

from pipeline.aggregate.groups import MAX_GROUPS, OTHER, GroupsAggregator
from pipeline.engine.bounds import LETTERS_A_MESSAGE, NAMES_A_SERVICE, POLLED_INTERVALS, POLLED_KEYS
from pipeline.engine.ingest import IngestPartition
from pipeline.engine.plan import build_plan
from pipeline.events.families import TYPES, event_topic
from pipeline.values import Exits
from tests.core.bench_world import NOW, catalogue

FLOOD = 100_000
BATCH = 5_000
LIMITS = {"remembered_ids": 20_000, "open_sessions": 5_000, "entities": 4_000, "discovered_services": 500}


class Flood:
    """One source partition under a flood of one type of events, and the chunks it keeps."""

    def __init__(self, kind: str, data: Any, *, subject: Any = lambda _i: "shop", team: str | None = None) -> None:
        self.kind, self.data, self.subject, self.team = kind, data, subject, team
        self.engine = IngestPartition(build_plan(catalogue(**LIMITS)), event_topic(TYPES[kind][0]), 0)
        self.kept: dict[bytes, bytes] = {}
        self.exits = Exits(topic="", partition=0)
        self.sent = self.offset = 0

    def event(self, i: int) -> dict[str, Any]:
        at = NOW + timedelta(milliseconds=i)
        event = {
            "specversion": "1.0", "id": f"e{i}", "source": "flood", "type": self.kind, "time": at.isoformat(),
            "subject": self.subject(i), "data": self.data(i, at),
        }  # fmt: skip
        return event if self.team is None else {**event, "csfteam": self.team}

    def run(self, count: int = FLOOD) -> Flood:
        """Let so many more events come, in batches, each folded and flushed."""
        events = iter(range(self.sent, self.sent + count))
        while batch := [self.event(i) for i in islice(events, BATCH)]:
            arrival = int(NOW.timestamp() * 1000) + self.sent
            self.engine.fold([(self.offset, arrival, msgspec.json.encode(batch))])
            out = self.engine.take()
            for key, value in out.chunks:
                if value is None:
                    self.kept.pop(key, None)
                else:
                    self.kept[key] = value
            self.exits, self.sent, self.offset = out.exits, self.sent + len(batch), self.offset + 1
        return self

    def size(self, prefix: bytes) -> int:
        return sum(len(v) for k, v in self.kept.items() if k.startswith(prefix))


def user(i: int, _at: datetime) -> dict[str, Any]:
    return {"user": f"u{i}", "path": "/"}


def balanced(exits: Exits, sent: int) -> bool:
    return exits.received == sent == exits.kpi + exits.dead_letter + exits.duplicate + exits.unmapped + exits.ignored


def test_unknown_services_are_refused_above_the_limit_and_counted() -> None:
    flood = Flood("page.viewed", user, subject=lambda i: f"s{i}", team="any").run()
    assert balanced(flood.exits, FLOOD)
    assert flood.exits.reasons["unmapped:service-limit"] == FLOOD - 500
    services = {key.split(b"|")[3] for key in flood.kept if key.startswith((b"b|", b"c|"))}
    assert len(services) == 500


def test_users_and_ids_keep_within_their_numbers() -> None:
    flood = Flood("page.viewed", user).run()
    assert flood.exits.kpi == FLOOD
    assert flood.exits.reasons["forgotten:ids"] >= FLOOD - 20_000 - BATCH
    assert flood.exits.reasons["forgotten:sessions"] >= FLOOD - 5_000 - BATCH
    assert len(flood.engine._seen._ids) <= 20_000 + BATCH
    assert len(flood.engine._sessions._rows) <= 5_000 + BATCH
    assert len(flood.engine._sessions._segments._home) <= 5_000 + BATCH, "nothing is kept of what was forgotten"
    assert flood.size(b"d|") <= 16 * (20_000 + BATCH), "what was forgotten is not durable either"
    assert sum(k.startswith(b"s|") for k in flood.kept) < 100
    # the newest are still known
    flood.sent -= BATCH
    flood.run(BATCH)
    assert flood.exits.duplicate == BATCH


def test_memory_does_not_grow_with_the_flood() -> None:
    flood = Flood("page.viewed", user).run(30_000)
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    grown = []
    for _ in range(3):
        flood.run(10_000)
        gc.collect()
        grown.append(tracemalloc.get_traced_memory()[0] - before)
    tracemalloc.stop()
    # what was allocated before tracing and freed since counts as 0
    assert max(grown) < 60 * 2**20, grown
    assert grown[2] - grown[1] < 8 * 2**20, grown


def test_recovered_state_is_within_the_bounds_too() -> None:
    flood = Flood("page.viewed", user).run(40_000)
    again = IngestPartition(build_plan(catalogue(**LIMITS)), flood.engine.topic, 0)
    again.restore(flood.engine.position, flood.kept.items())
    assert again._seen._ids == flood.engine._seen._ids
    assert len(again._sessions._rows) == len(flood.engine._sessions._rows)


def test_entities_above_the_limit_are_refused_and_known_ones_go_on() -> None:
    def incident(i: int, at: datetime) -> dict[str, Any]:
        stamp = at.isoformat()
        return {"number": f"I{i}", "state": "new", "opened_at": stamp, "updated_at": stamp}

    flood = Flood("incident.updated", incident).run(20_000)
    assert (flood.exits.kpi, flood.exits.reasons) == (4_000, {"unmapped:entity-limit": 16_000})
    assert balanced(flood.exits, 20_000)
    flood.data = lambda i, at: incident(i % 4_000, at)
    flood.run(BATCH)
    assert flood.exits.kpi == 4_000 + BATCH
    assert sum(1 for _ in flood.engine.entities()) == 4_000


@pytest.mark.parametrize(
    ("kind", "data", "reason"),
    [
        ("uptime.checked", lambda i, _at: {"check": f"c{i}", "up": True}, "unmapped:check-limit"),
        (
            "record.synced",
            lambda i, at: {"from": f"a{i}", "to": "b", "changed_at": at.isoformat(), "available_at": at.isoformat()},
            "unmapped:pair-limit",
        ),
    ],
)
def test_checks_and_pairs_of_a_service_are_bounded(kind: str, data: Any, reason: str) -> None:
    flood = Flood(kind, data).run()
    assert (flood.exits.kpi, flood.exits.reasons) == (
        NAMES_A_SERVICE,
        {reason: FLOOD - NAMES_A_SERVICE, **_more(flood)},
    )
    assert balanced(flood.exits, FLOOD)
    assert flood.size(b"c|") < 100_000
    again = IngestPartition(build_plan(catalogue(**LIMITS)), flood.engine.topic, 0)
    again.restore(flood.engine.position, flood.kept.items())
    flood.engine = again
    assert flood.run(BATCH).exits.kpi == NAMES_A_SERVICE


def _more(flood: Flood) -> dict[str, int]:
    return {k: n for k, n in flood.exits.reasons.items() if k.startswith("forgotten:")}


def test_checks_that_the_catalogue_requires_are_never_refused() -> None:
    held = catalogue(**LIMITS)
    shop = msgspec.structs.replace(held.services["shop"], required_checks=["front"])
    flood = Flood("uptime.checked", lambda i, _at: {"check": f"c{i}", "up": True})
    flood.engine = IngestPartition(
        build_plan(msgspec.structs.replace(held, services={**held.services, "shop": shop})), "csf.events.uptime", 0
    )
    flood.run(BATCH)
    flood.data = lambda _i, _at: {"check": "front", "up": False}
    assert flood.run(BATCH).exits.kpi == NAMES_A_SERVICE + BATCH


def test_forecast_groups_are_kept_apart_as_far_as_they_may_be_in_any_order() -> None:
    groups = GroupsAggregator()
    contributions = [(f"model{i}", i * 1_000_000, 2_000_000) for i in range(5_000)]

    def folded(parts: Iterator[list[tuple[str, int, int]]]) -> Any:
        whole = None
        for part in parts:
            state = None
            for contribution in part:
                state = groups.add(state, contribution, 1)
            whole = groups.merge(whole, state)
            assert whole is not None
            assert len(whole) <= MAX_GROUPS + 1
        return whole

    straight = folded(iter([contributions * 2]))
    assert sum(n for n, *_ in straight.values()) == 10_000
    assert OTHER in straight
    backwards = folded(iter([contributions[i : i + 700][::-1] for i in range(4_900, -1, -700)]))
    twice = groups.merge(backwards, folded(iter([contributions])))
    assert {k: v for k, v in twice.items() if k != OTHER} == {k: v for k, v in straight.items() if k != OTHER}
    assert twice[OTHER] == straight[OTHER]


def test_a_message_full_of_nonsense_leaves_few_letters_and_an_exact_count() -> None:
    engine = IngestPartition(build_plan(catalogue(**LIMITS)), "csf.events.usage", 0)
    engine.fold([(0, 0, b"[" + b"1," * 65_535 + b"1]")])
    out = engine.take()
    assert (len(out.dead_letters), out.exits.dead_letter, out.exits.received) == (LETTERS_A_MESSAGE, 65_536, 65_536)


def test_what_sources_say_is_bounded() -> None:
    def poll(source: int, minute: int) -> dict[str, Any]:
        start, end = (NOW + timedelta(minutes=m) for m in (minute, minute + 1))
        return {"source": f"s{source}", "from": start.isoformat(), "to": end.isoformat(), "types": ["page.viewed"]}

    flood = Flood("source.polled", lambda i, _at: poll(i, -9)).run(3_000)
    assert flood.exits.reasons == {"dead_letter:limit": 3_000 - POLLED_KEYS, "ignored:control": POLLED_KEYS}
    flood.data = lambda i, _at: poll(0, -2 * i)
    flood.run(POLLED_INTERVALS + 500)
    _, intervals = flood.engine._control._polled["p|s0|page.viewed|*"]
    assert len(intervals) == POLLED_INTERVALS
