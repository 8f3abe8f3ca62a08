"""What a connector tells of its streams: the figures of its metrics, soon after they change, and that it still runs."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import yaml

from connectors.configured import configured_streams
from connectors.engine import run
from connectors.engine.stats import Stats
from connectors.engine.telling import StateTeller
from pipeline.errors import ServiceUnavailable, SourceRefused
from pipeline.sources import StreamState, state_from
from tests.connectors.desk import Desk, declared
from tests.connectors.pulling import Memory, closed_later, on_bench
from tests.connectors.vendor import serving


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Told:
    """A teller of one stream, with its clock."""

    def __init__(self, poll_s: float | None = 60.0) -> None:
        self.clock, self.sink = Clock(), Memory()
        self.stats = Stats("desk/ours", clock=self.clock)
        self.teller = StateTeller(self.sink, self.stats, "The desk", poll_s, self.clock)

    def tell(self, **how: bool) -> StreamState | None:
        """Tell, and return what was told, None where nothing was."""
        self.sink.cursors.clear()
        self.teller.tell(["tickets"], **how)
        self.sink.flush()
        return state_from(self.sink.cursors.get("state|desk/ours/tickets"))


def test_every_figure_of_the_metrics_is_told() -> None:
    desk = Told()
    stats = desk.stats
    stats.turn("tickets")
    stats.request("200")
    stats.request("429")
    stats.waited(30.0)
    stats.events("tickets", "incident.updated", 7)
    stats.refused("tickets")
    stats.truncated("tickets", 4)
    stats.forgotten("tickets", 2)
    stats.unmapped("tickets", {"svc-9": 3})
    stats.unmapped("tickets", {"svc-9": 1})
    assert desk.tell() == StreamState(
        source="desk/ours", stream="tickets", title="The desk", told_at=1000.0, started_at=1000.0, poll_s=60.0, asked_at=1000.0,
        waits_until=1030.0, requests=2, waits=1, waited_s=30.0, events=7, refused=1, truncated=4, truncated_at=1000.0, forgotten=2,
        unmapped={"svc-9": 4},
    )  # fmt: skip


def test_a_success_ends_a_failure_and_the_last_error_stays_to_be_read() -> None:
    desk = Told()
    desk.stats.failed("tickets", "the desk does not answer")
    desk.stats.failed("tickets", "the desk does not answer")
    failing = desk.tell()
    assert failing is not None
    assert (failing.failures, failing.error, failing.error_at) == (2, "the desk does not answer", 1000.0)
    desk.clock.now = 1060.0
    desk.stats.succeeded("tickets", 1060.0, 1050.0, 0)
    well = desk.tell()
    assert well is not None
    assert (well.failures, well.error, well.success_at, well.until) == (0, "the desk does not answer", 1060.0, 1050.0)


def test_what_changed_waits_ten_seconds_and_what_did_not_is_told_every_minute() -> None:
    desk = Told()
    desk.stats.turn("tickets")
    assert desk.tell() is not None
    desk.stats.request("200")
    desk.clock.now += 9
    assert desk.tell() is None
    desk.clock.now += 1
    changed = desk.tell()
    assert changed is not None
    assert changed.requests == 1
    desk.clock.now += 59
    assert desk.tell() is None
    desk.clock.now += 1
    still = desk.tell()
    assert still is not None
    assert still.told_at == desk.clock.now


def test_the_end_is_told_at_once() -> None:
    desk = Told()
    desk.tell()
    ended = desk.tell(at_once=True, stopped=True)
    assert ended is not None
    assert ended.stopped


def test_a_connector_that_starts_anew_knows_when_its_streams_were_last_read() -> None:
    before = StreamState(source="desk/ours", stream="tickets", told_at=900.0, success_at=890.0, until=880.0, requests=9)
    desk = Told()
    kept = {
        before.key: {"source": "desk/ours", "stream": "tickets", "success_at": 890.0, "until": 880.0, "requests": 9}
    }
    desk.teller.remember(kept, ["tickets", "other"])
    told = desk.tell()
    assert told is not None
    assert (told.success_at, told.until, told.requests) == (890.0, 880.0, 0)


def test_brokers_that_take_nothing_end_no_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Told()

    def away(*_: object) -> None:
        raise ServiceUnavailable("the brokers are away")

    monkeypatch.setattr(desk.sink, "keep", away)
    assert desk.tell() is None
    monkeypatch.undo()
    assert desk.tell() is not None, "it is told once they are back"


def _runner(bench: object, sink: Memory, stop: threading.Event, poll_s: float | None = 60.0) -> run.Runner:
    connector = bench.connector  # type: ignore[attr-defined] # a bench
    stats = Stats(connector.source)
    return closed_later(run.Runner(
        connector, sink, "", {}, stats, stop, lambda _text: None, clock=lambda: bench.now,  # type: ignore[attr-defined]
        teller=StateTeller(sink, stats, "The desk", poll_s),
    ))  # fmt: skip


def test_a_run_tells_its_success_and_a_refusal_without_the_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DESK_TOKEN", "s3cret-token")
    monkeypatch.setattr(run, "read_cursors", lambda *_: {})
    with serving(Desk(7)) as vendor:
        options = {
            "options": {"address": vendor.address}, "auth": {"token": {"env": "DESK_TOKEN"}}, "since": "2026-11-26",
            "services": {"svc-2": "shop"},
        }  # fmt: skip
        bench, sink = on_bench(tmp_path, declared(), **options), Memory()
        _runner(bench, sink, threading.Event(), None).once()
        sink.flush()
        told = state_from(sink.cursors["state|desk/ours/tickets"])
        assert told is not None
        assert (told.events, told.failures, told.poll_s) == (7, 0, None)
        assert told.requests > 0
        assert told.success_at == bench.now.timestamp()
        assert told.unmapped == {"svc-1": 7}

        monkeypatch.setenv("DESK_TOKEN", "another-token")
        bench, sink = on_bench(tmp_path, declared(), **options), Memory()
        with pytest.raises(SourceRefused):
            _runner(bench, sink, threading.Event(), None).once()
        sink.flush()
        told = state_from(sink.cursors["state|desk/ours/tickets"])
    assert told is not None
    assert told.failures == 1
    assert "answers 401" in told.error
    assert "another-token" not in told.error


def test_a_run_that_is_stopped_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESK_TOKEN", "s3cret-token")
    monkeypatch.setattr(run, "read_cursors", lambda *_: {})
    stop = threading.Event()
    with serving(Desk(1)) as vendor:
        options = {
            "options": {"address": vendor.address},
            "auth": {"token": {"env": "DESK_TOKEN"}},
            "since": "2026-11-26",
        }
        bench, sink = on_bench(tmp_path, declared(), **options), Memory()
        runner = _runner(bench, sink, stop)
        monkeypatch.setattr(runner, "_rest", stop.set)
        runner.run()
    sink.flush()
    told = state_from(sink.cursors["state|desk/ours/tickets"])
    assert told is not None
    assert told.stopped
    assert told.success_at is not None


def test_configured_streams_are_known_without_a_secret(tmp_path: Path) -> None:
    (tmp_path / "desk.yaml").write_text(yaml.safe_dump(declared()))
    path = tmp_path / "connectors.yaml"
    entries = [
        {"name": "ours", "connector": "desk.yaml", "options": {"address": "https://desk.example.org"}, "poll_s": 300,
         "auth": {"token": {"env": "NOWHERE"}}},
        {"name": "repos", "connector": "github", "options": {"repositories": ["a/one", "a/two"]}, "streams": ["deployments"]},
        {"name": "drop", "connector": "files", "options": {"place": "/var/exports", "mapping": "access-log"}},
        {"name": "wrong", "connector": "desk.yaml", "options": {"adress": "x"}},
    ]  # fmt: skip
    path.write_text(yaml.safe_dump(entries))
    found = {s.name: s for s in configured_streams(path)}
    assert set(found) == {
        "desk/ours/tickets", "github/repos/deployments/a/one", "github/repos/deployments/a/two", "files/drop/files", "desk/wrong",
    }  # fmt: skip
    assert found["desk/ours/tickets"].poll_s == 300
    assert found["desk/ours/tickets"].told_at == 0
    assert "there is no option 'adress'" in found["desk/wrong"].error


def test_a_configuration_that_cannot_be_read_is_told_as_such(tmp_path: Path) -> None:
    path = tmp_path / "connectors.yaml"
    assert configured_streams(path) == []
    path.write_text("{}")
    (found,) = configured_streams(path)
    assert "must be a list of connectors" in found.error
