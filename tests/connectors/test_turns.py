"""Streams take turns: none waits without end for those before it, however long they read and however often a process dies."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import httpx2
import pytest

from connectors.engine import run
from connectors.engine.client import Answer, Call
from connectors.engine.seat import seat_in
from connectors.engine.turns import Turn, turn_of
from tests.connectors.desk import DECLARATION, ENTRY, Desk, at
from tests.connectors.pulling import Bench, Memory, closed_later, on_bench
from tests.connectors.vendor import Asked, Says

pytestmark = pytest.mark.usefixtures("quick")


class Died(BaseException):
    """A process ended, without a word."""


class Mortal(Memory):
    """A sink whose process dies with the so manieth flush; what was not flushed is lost."""

    def __init__(self) -> None:
        super().__init__()
        self.left = -1
        self.told: Callable[[], None] = lambda: None

    def flush(self) -> None:
        self.left -= 1
        if self.left == 0:
            self._waiting.clear()
            raise Died
        super().flush()
        self.told()


def streams(*names: str, **more: Any) -> dict[str, Any]:
    """Return a declaration with streams of these names; their paths are their names."""
    first = {**DECLARATION["streams"][0], "cursor": {"kind": "window", "overlap_s": 60}, **more}
    return {
        **DECLARATION,
        "streams": [{**first, "name": n, "request": {**first["request"], "path": f"/{n}"}} for n in names],
    }


def runner_on(bench: Bench, monkeypatch, stop: threading.Event | None = None) -> run.Runner:
    """Return what runs a bench's connector as a process does that has just started."""

    def clock():
        bench.later(milliseconds=1)
        return bench.now

    monkeypatch.setattr(run, "read_cursors", lambda *_: dict(bench.sink.cursors))
    return closed_later(run.Runner(
        bench.connector, bench.sink, "", {}, bench.stats, stop or threading.Event(), bench.said.append, clock=clock
    ))  # fmt: skip


def lives(bench: Bench, monkeypatch, *, flushes: int, most: int, until) -> int:
    """Start a process again and again, each dies with so many flushes; return how many it took."""
    for life in range(1, most + 1):
        stop = threading.Event()
        bench.sink.left, bench.sink.told = flushes, partial(_stop_if, stop, until)
        runner = runner_on(bench, monkeypatch, stop)
        with suppress(Died):
            runner.run()
        if stop.is_set():
            return life
    raise AssertionError(f"{most} lives were not enough: {bench.asked[-40:]}")


def _stop_if(stop: threading.Event, until: Callable[[], bool]) -> None:
    if until():
        stop.set()


class Straight:
    """Asks a desk in this process: a test of many lives makes many requests."""

    def __init__(self, desk: Callable[[Asked], Says], asked: list[str]) -> None:
        self._desk, self._asked = desk, asked

    def address(self, path: str) -> str:
        return path

    def ask(self, call: Call, _cut_off: object = None) -> Answer:
        self._asked.append(call.url)
        says = self._desk(Asked(call.method, call.url, call.query, {"authorization": "Bearer s3cret-token"}))
        return Answer(says.body, httpx2.Headers(), call.url)

    def rest(self, _seconds: float) -> None:
        """Nobody waits here."""

    def close(self) -> None:
        """There is nothing to release."""


@pytest.fixture
def bench(tmp_path):
    """Return what puts streams on a bench beside a desk with 120 tickets; who reads them may die."""

    def made(declaration: dict[str, Any]) -> Bench:
        connector = on_bench(tmp_path, declaration, options={"address": "http://desk"}, **ENTRY).connector
        asked: list[str] = []
        found = Bench(replace(connector, opens=lambda _stats: Straight(Desk(120), asked)), Mortal())
        found.asked = asked
        return found

    return made


def read_to_the_end(bench: Bench, stream: str) -> bool:
    cursor = bench.sink.cursors.get(f"desk/ours/{stream}")
    return cursor is not None and at(cursor["until"]) > at("2026-11-26T11:00:00Z")


def test_a_stream_is_not_starved_by_one_before_it_on_which_processes_die(bench, monkeypatch):
    """The first stream needs 80 pages; no process lives for more than twelve."""
    ours = bench(streams("first", "second", "third"))

    def all_asked() -> bool:
        return set(ours.asked) == {"/first", "/second", "/third"}

    assert lives(ours, monkeypatch, flushes=12, most=3, until=all_asked) <= 3


def test_what_no_life_was_long_enough_for_is_read_in_shorter_windows(bench, monkeypatch):
    ours = bench(streams("first", "second"))
    lives(
        ours, monkeypatch, flushes=24, most=40,
        until=lambda: read_to_the_end(ours, "first") and read_to_the_end(ours, "second"),
    )  # fmt: skip
    told = {(e["data"]["number"], e["id"]) for e in ours.sink.events}
    assert len({number for number, _ in told}) == 120
    assert len(told) == 2 * 120  # each stream has ids of its own


def test_a_turn_that_cannot_be_read_orders_nothing_and_stops_nothing():
    assert turn_of({"asked": "yesterday"}) == turn_of(None) == Turn()


def test_a_seat_is_held_by_one_and_taken_again_by_who_follows(tmp_path):
    first, second = seat_in(tmp_path / "a"), seat_in(tmp_path / "a")
    elsewhere = seat_in(tmp_path / "b")
    assert first is not None
    assert second is not None
    assert elsewhere is not None
    assert len({first.name, second.name, elsewhere.name}) == 3
    first.leave()
    again = seat_in(tmp_path / "a")
    assert again is not None
    assert again.name == first.name
    for seat in (again, second, elsewhere):
        seat.leave()


def test_a_folder_that_cannot_be_written_has_no_seats(tmp_path):
    (tmp_path / "file").write_text("")
    assert seat_in(tmp_path / "file") is None


SIZES: dict[str, Any] = {
    "name": "sizes", "what": "sizes", "records": "sizes", "request": {"path": "/sizes"}, "id": ["name"],
    "cursor": {"kind": "snapshot", "changes": ["size"]},
    "mapping": {"service": "name", "events": [{
        "type": "scaling.completed", "time": "polled_at", "when": [{"column": "before", "present": True}],
        "data": {
            "direction": "moved", "requested_at": {"column": "polled_at", "as": "time"},
            "from": {"column": "before.size", "as": "int"}, "to": {"column": "size", "as": "int"},
        },
    }]},
}  # fmt: skip


class Sized:
    """A desk that also shows a size; ``meanwhile`` is called with every request."""

    def __init__(self) -> None:
        self.size, self.desk = 1, Desk(3)
        self.meanwhile: Callable[[str], None] = lambda _path: None

    def __call__(self, asked: Asked) -> Says:
        self.meanwhile(asked.path)
        return Says({"sizes": [{"name": "w", "size": self.size}]}) if asked.path == "/sizes" else self.desk(asked)


def sized(tmp_path, sized_desk: Sized, *names: str) -> Bench:
    declaration = streams(*names)
    declaration = {**declaration, "streams": [*declaration["streams"], SIZES]}
    connector = on_bench(tmp_path, declaration, options={"address": "http://desk"}, **ENTRY).connector
    return Bench(replace(connector, opens=lambda _stats: Straight(sized_desk, [])))


def shared(tmp_path, monkeypatch) -> tuple[Sized, Bench, run.Runner, Lost]:
    """Return a stream that was read once, and what reads on as one of several instances."""
    desk = Sized()
    bench = sized(tmp_path, desk)
    bench.poll()
    runner, share = runner_on(bench, monkeypatch), Lost()
    runner._share = share  # type: ignore[assignment]
    return desk, bench, runner, share


def steps_told(bench: Bench) -> list[tuple[int, int]]:
    return [(e["data"]["from"], e["data"]["to"]) for e in bench.sink.events if e["type"] == "scaling.completed"]


def test_a_compared_look_is_kept_and_told_in_the_step_that_looked(tmp_path):
    """Between the two another instance could look, keep and tell: the older state would be written over the newer one."""
    desk = Sized()
    bench = sized(tmp_path, desk)
    bench.poll()
    desk.size = 2
    bench.later(minutes=1)
    assert list(bench.readers["sizes"].steps()) == []
    assert steps_told(bench) == [(1, 2)]


def test_a_look_that_took_so_long_that_the_stream_is_another_ones_now_tells_nothing(tmp_path, monkeypatch):
    desk, bench, runner, share = shared(tmp_path, monkeypatch)
    desk.size, desk.meanwhile = 2, lambda _path: share.lose()
    kept = dict(bench.sink.cursors)
    with pytest.raises(run.NotOurs):
        runner._poll(bench.connector.readings[0])
    bench.sink.flush()
    assert steps_told(bench) == []
    assert {k: v for k, v in bench.sink.cursors.items() if "seen:" in k} == {
        k: v for k, v in kept.items() if "seen:" in k
    }


def test_a_stream_that_was_another_ones_while_a_turn_took_its_time_begins_from_what_is_kept(tmp_path, monkeypatch):
    """Lost and had back while another stream was read: nobody looked, but what is in memory is old."""
    desk, bench, runner, share = shared(tmp_path, monkeypatch)
    (reading,) = runner._ours()
    runner._poll(reading)
    desk.size = 2
    bench.later(minutes=1)
    bench.poll(anew=True)  # the other one
    share.lose()
    share.have_back()
    desk.size = 3
    bench.later(minutes=1)
    with pytest.raises(run.NotOurs):  # the turn that was on its way
        runner._alive()
    (reading,) = runner._ours()
    runner._poll(reading)
    bench.sink.flush()
    assert steps_told(bench) == [(1, 2), (2, 3)]


class Lost:
    """A share that is lost while an answer is waited for, and may be had back before anybody looks."""

    def __init__(self) -> None:
        self._ours, self.losses = True, 0

    def lose(self) -> None:
        self._ours, self.losses = False, self.losses + 1

    def have_back(self) -> None:
        self._ours = True

    def ours(self, _number: int) -> bool:
        return self._ours

    def beat(self, _wait_s: float) -> None:
        """Nothing happens."""


def test_a_stream_begins_from_what_is_kept_when_its_turn_comes_and_not_when_turns_were_ordered(tmp_path, monkeypatch):
    desk = Sized()
    bench = sized(tmp_path, desk, "first")
    bench.poll()
    desk.size = 2

    def another_instance_tells_it(path: str) -> None:
        desk.meanwhile = lambda _path: None
        bench.later(minutes=1)
        bench.poll(anew=True)

    desk.meanwhile = another_instance_tells_it
    bench.later(minutes=1)
    runner = runner_on(bench, monkeypatch)
    runner.once()
    assert steps_told(bench) == [(1, 2)]
