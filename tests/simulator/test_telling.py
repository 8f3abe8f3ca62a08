"""History month by month and live second by second, into a sink that remembers: order, restarts, pauses."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

from connectors.simulator.telling import (
    BATCH_BYTES,
    BATCH_EVENTS,
    Batches,
    Cursor,
    load_cursor,
    month_closed,
    tell_history,
    tell_live,
)
from connectors.simulator.world import World
from pipeline.errors import ConfigError, ServiceUnavailable
from pipeline.events.envelope import MAX_MESSAGE_BYTES
from pipeline.events.families import EVENT_TOPICS
from pipeline.events.validate import decode_data, decode_envelope
from tests.simulator.conftest import ANCHOR, SEED

DAY = 86_400


@dataclass
class Memory:
    """A sink that keeps what it was sent, and can break."""

    sent: list[tuple[str, str, list[bytes]]] = field(default_factory=list)
    flushed: int = 0
    broken: bool = False

    def send_batch(self, topic: str, key: str, events: list[bytes]) -> None:
        self.sent.append((topic, key, events))

    def flush(self) -> None:
        if self.broken:
            raise ServiceUnavailable("broker 127.0.0.1:9 does not answer; start it")
        self.flushed = len(self.sent)

    def raws(self) -> list[bytes]:
        return [raw for _, _, events in self.sent for raw in events]


class Ticks:
    """A clock and a stop in one: each wait moves the clock, and stops at the end."""

    def __init__(self, now: float, until: float, step: float = 1.0) -> None:
        self.now, self.until, self.step = now, until, step

    def __call__(self) -> float:
        return self.now

    def is_set(self) -> bool:
        return self.now > self.until

    def wait(self, timeout: float) -> bool:
        assert timeout <= 1
        self.now += self.step
        return self.is_set()


def raws(world: World, start: int, end: int) -> list[bytes]:
    return sorted(item[5] for item in world.events(start, end))


def test_months_end_after_their_events_and_before_the_next() -> None:
    world = World(SEED, ANCHOR, months=2)
    sink, order, shares = Memory(), [], []
    batches = Batches(sink)
    ends = {world.calendar.label(m): world.calendar.month_start(m + 1) for m in (12, 13)}
    taken: list[int] = []

    def take(item: Any) -> None:
        taken.append(item[0])
        batches.add(item)

    def end_month(label: str) -> None:
        batches.flush()
        order.append(label)
        assert taken[-1] < ends[label]
        assert ends[label] - taken[-1] < 60
        assert sink.flushed == len(sink.sent)
        assert len(sink.raws()) == len(taken)

    n = tell_history(world, take, end_month, lambda share, _n: shares.append(share))
    batches.flush()
    assert order == ["2026-09", "2026-10"]
    assert n == len(taken) == len(sink.raws())
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_batches_are_of_one_topic_and_key_and_bounded() -> None:
    world = World(SEED, ANCHOR, months=1)
    sink = Memory()
    batches = Batches(sink)
    for item in world.events(world.start, ANCHOR):
        batches.add(item)
    batches.flush()
    assert {topic for topic, _, _ in sink.sent} == set(EVENT_TOPICS)
    for topic, _, events in sink.sent:
        assert len(events) <= BATCH_EVENTS
        assert sum(map(len, events)) < BATCH_BYTES + 5000 < MAX_MESSAGE_BYTES
        event = decode_envelope(events[0])
        decode_data(event, topic, (ANCHOR + DAY) * 1000)
    assert len(sink.sent) < len(sink.raws()) / 100


def test_live_tells_every_second_once(tmp_path: Path) -> None:
    path, sink = tmp_path / "cursor.json", Memory()
    cursor = Cursor(SEED, ANCHOR, ANCHOR, months=0)
    ticks = Ticks(ANCHOR, ANCHOR + 120)
    tell_live(cursor, path, sink, ticks, clock=ticks)
    assert load_cursor(path) == cursor
    assert cursor.until == ANCHOR + 120
    again = load_cursor(path)
    assert again is not None
    ticks = Ticks(ANCHOR + 300, ANCHOR + 400)
    tell_live(again, path, sink, ticks, clock=ticks)
    assert sorted(sink.raws()) == raws(World(SEED, ANCHOR, months=0), ANCHOR, ANCHOR + 400)


def test_what_was_not_stored_comes_again(tmp_path: Path) -> None:
    path, sink = tmp_path / "cursor.json", Memory(broken=True)
    ticks = Ticks(ANCHOR + 90, ANCHOR + 91)
    with pytest.raises(ServiceUnavailable, match="does not answer"):
        tell_live(Cursor(SEED, ANCHOR, ANCHOR, months=0), path, sink, ticks, clock=ticks)
    kept = load_cursor(path)
    assert kept is not None
    assert kept.until == ANCHOR
    whole = Memory()
    ticks = Ticks(ANCHOR + 100, ANCHOR + 100)
    tell_live(kept, path, whole, ticks, clock=ticks)
    assert set(sink.raws()) < set(whole.raws())
    assert sorted(whole.raws()) == raws(World(SEED, ANCHOR, months=0), ANCHOR, ANCHOR + 100)


def test_a_long_pause_is_told_in_sums_without_a_gap(tmp_path: Path) -> None:
    """Two days off: no flood of second-by-second events, but polls and checks leave nothing out."""
    path, sink = tmp_path / "cursor.json", Memory()
    cursor = Cursor(SEED, ANCHOR, ANCHOR, months=0)
    ticks = Ticks(ANCHOR + 2 * DAY, ANCHOR + 2 * DAY + 60)
    tell_live(cursor, path, sink, ticks, clock=ticks)
    assert len(cursor.pauses) == 1
    assert 5_000 < len(sink.raws()) < 60_000
    assert len(set(sink.raws())) == len(sink.raws())
    events = [json.loads(raw) for raw in sink.raws()]
    ids = {(e["source"], e["id"]) for e in events}
    assert len(ids) == len(events)
    spans = sorted((e["data"]["from"], e["data"]["to"]) for e in events
                   if e["type"] == "source.polled" and e["data"]["source"] == "itsm")  # fmt: skip
    assert all(a[1] == b[0] for a, b in pairwise(spans))
    kept = load_cursor(path)
    assert kept is not None
    assert kept.pauses == cursor.pauses
    assert sorted(sink.raws()) == raws(kept.world(), ANCHOR, cursor.until)


def test_speed_limits_how_fast_the_past_is_told() -> None:
    sink, cursor = Memory(), Cursor(SEED, ANCHOR, ANCHOR, months=0)
    ticks = Ticks(ANCHOR + DAY, ANCHOR + DAY + 9)
    tell_live(cursor, None, sink, ticks, clock=ticks, speed=60)
    assert cursor.until == ANCHOR + 10 * 60
    assert cursor.pauses == []


def test_wrong_cursor_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "cursor.json"
    assert load_cursor(path) is None
    path.write_text("{half")
    with pytest.raises(ConfigError, match=r"cursor\.json: is no cursor of the simulator"):
        load_cursor(path)
    with pytest.raises(ConfigError, match="make the directory writable"):
        Cursor(SEED, ANCHOR, ANCHOR).save(tmp_path / "missing" / "cursor.json")


def test_month_closed_event_of_files() -> None:
    world = World(SEED, ANCHOR, months=1)
    event = decode_envelope(month_closed(world, "2026-10"))
    data, at_ms = decode_data(event, "csf.events.control", ANCHOR * 1000)
    assert data.month == "2026-10"
    assert at_ms == world.calendar.month_start(14) * 1000


def test_out_and_truth_files(tmp_path: Path) -> None:
    from click.testing import CliRunner

    from cli.simulate import simulate

    out, figures = tmp_path / "events.jsonl", tmp_path / "truth.json"
    args = ["--months", "1", "--now", "2026-11-24T14:40:20+0100", "--out", str(out), "--truth", str(figures)]
    result = CliRunner().invoke(simulate, args, catch_exceptions=False)
    assert result.exit_code == 0
    lines = out.read_bytes().splitlines()
    world = World(SEED, ANCHOR, months=1)
    closing = month_closed(world, "2026-10")
    assert lines.count(closing) == 1
    assert [x for x in lines if x != closing] == [i[5] for i in world.events(world.start, ANCHOR)]
    told = msgspec.json.decode(figures.read_bytes())
    assert told["finished"] == ["2026-10"]
    assert told["months"]["2026-10"]["org"]["incidents"] > 100
    assert f"{len(lines):,} events" in result.stderr


@pytest.mark.parametrize(
    ("args", "why"),
    [
        ([], "nothing to do"),
        (["--out", "x", "--live"], "leave out"),
        (["--truth", "x", "--speed", "-1"], "must be 0"),
        (["--months", "0", "--out", "/nowhere/there/x"], "cannot be written"),
    ],
)
def test_wrong_options_are_one_sentence(args: list[str], why: str) -> None:
    from cli.simulate import simulate

    with pytest.raises(ConfigError, match=why):
        simulate.main(args, standalone_mode=False)


def test_data_directory_of_another_world_is_refused(tmp_path: Path) -> None:
    from cli.simulate import simulate

    Cursor(3, ANCHOR, ANCHOR).save(tmp_path / "simulator.json")
    with pytest.raises(ConfigError, match="holds the world of seed 3, not 7"):
        simulate.main(["--data-dir", str(tmp_path)], standalone_mode=False)
