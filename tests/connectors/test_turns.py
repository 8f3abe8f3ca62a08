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
from tests.connectors.desk import DECLARATION, Desk, at
from tests.connectors.pulling import Bench, Memory, on_bench
from tests.connectors.vendor import Asked

ENTRY: dict[str, Any] = {"auth": {"token": {"env": "DESK_TOKEN"}}, "since": "2026-11-26"}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setenv("DESK_TOKEN", "s3cret-token")


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
    return run.Runner(
        bench.connector, bench.sink, "", {}, bench.stats, stop or threading.Event(), bench.said.append, clock=clock
    )  # fmt: skip


def lives(bench: Bench, monkeypatch, *, flushes: int, most: int, until) -> int:
    """Start a process again and again, each dies with so many flushes; return how many it took."""
    for life in range(1, most + 1):
        stop = threading.Event()
        bench.sink.left, bench.sink.told = flushes, partial(_stop_if, stop, until)
        runner = runner_on(bench, monkeypatch, stop)
        with suppress(Died):
            runner.run()
        runner.client.close()
        if stop.is_set():
            return life
    raise AssertionError(f"{most} lives were not enough: {bench.asked[-40:]}")


def _stop_if(stop: threading.Event, until: Callable[[], bool]) -> None:
    if until():
        stop.set()


class Straight:
    """Asks a desk in this process: a test of many lives makes many requests."""

    def __init__(self, desk: Desk, asked: list[str]) -> None:
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


def test_a_folder_that_cannot_be_written_has_no_seats(tmp_path):
    (tmp_path / "file").write_text("")
    assert seat_in(tmp_path / "file") is None
