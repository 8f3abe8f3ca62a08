"""How streams of connectors are judged, and how lengths of time are said."""

from __future__ import annotations

import pytest

from pipeline.evaluate.duration import in_words
from pipeline.evaluate.sources import heard, in_order, judged
from pipeline.sources import Delivering, StreamState, merged, state_from

NOW = 1_800_000_000.0
DAY = 86_400.0


def stream(name: str = "incidents", **told: object) -> StreamState:
    """Return a stream that was read ten seconds ago by a connector that runs, but for what is told."""
    usual: dict[str, object] = {
        "told_at": NOW - 10, "started_at": NOW - DAY, "poll_s": 60.0, "asked_at": NOW - 11, "success_at": NOW - 10,
        "until": NOW - 20,
    }  # fmt: skip
    return StreamState(source="servicenow/prod", stream=name, **{**usual, **told})  # type: ignore[arg-type] # as told


@pytest.mark.parametrize(
    ("told", "state", "why"),
    [
        ({}, "fine", ""),
        ({"told_at": 0.0}, "never_asked", "configured, and never run"),
        ({"told_at": 0.0, "failures": 1, "error": "no such option"}, "failing", "its configuration is wrong"),
        ({"asked_at": None, "success_at": None}, "never_asked", "its turn has not come yet"),
        ({"success_at": None}, "fine", "is read for the first time"),
        ({"failures": 1}, "failing", "its last poll failed"),
        ({"failures": 3}, "failing", "3 polls failed in a row"),
        ({"left_out": True}, "failing", "left out, since its first poll failed (startup: ignore)"),
        ({"waits_until": NOW + 240}, "waiting", "the source asked to be left alone for another 4 min"),
        ({"waits_until": NOW - 1}, "fine", ""),
        ({"stopped": True, "told_at": NOW - 7200}, "silent", "its connector was stopped 2 h ago"),
        # a connector that runs speaks every minute
        ({"told_at": NOW - 299}, "fine", ""),
        ({"told_at": NOW - 301}, "silent", "its connector has said nothing for 5 min: it does not run"),
        ({"told_at": NOW - 301, "failures": 3}, "silent", "its connector has said nothing for 5 min: it does not run"),
        # not read: silent after 15 minutes, or three polls of one that is read more seldom
        ({"success_at": NOW - 901, "asked_at": NOW - 902}, "silent", "not read for 15 min: another stream of its connector takes long"),
        ({"success_at": NOW - 901, "asked_at": NOW - 902, "poll_s": 3600.0}, "fine", ""),
        ({"success_at": NOW - 10_801, "asked_at": NOW - 10_802, "poll_s": 3600.0}, "silent", "not read for 3 h: another stream of its connector takes long"),
        ({"success_at": NOW - 4000, "asked_at": NOW - 3900}, "fine", "much is being read"),
        # --once, by somebody else's schedule
        ({"poll_s": None, "told_at": NOW - 20 * 3600}, "fine", "run once"),
        ({"poll_s": None, "told_at": NOW - 50 * 3600}, "silent", "run once, 2 days ago"),
        ({"poll_s": None, "told_at": NOW - 7200, "failures": 1}, "failing", "run once, 2 h ago, and could not be read"),
    ],
)  # fmt: skip
def test_the_state_of_a_stream(told: dict[str, object], state: str, why: str) -> None:
    found = judged(stream(**told), NOW)
    assert (found.state, found.why) == (state, why)


@pytest.mark.parametrize(
    ("until", "poll_s", "behind"),
    [(NOW - 3599, 60.0, False), (NOW - 3601, 60.0, True), (NOW - 3601, 3600.0, False), (NOW - 10_801, 3600.0, True), (None, 60.0, False)],
)  # fmt: skip
def test_an_hour_or_three_polls_is_behind(until: float | None, poll_s: float, behind: bool) -> None:
    assert judged(stream(until=until, poll_s=poll_s), NOW).behind is behind


@pytest.mark.parametrize(
    ("quiet_s", "usual_s", "complete", "state", "why"),
    [
        (20, 30, True, "fine", ""),
        (20, 30, False, "fine", "its last word left something out"),
        (901, 30, True, "silent", "has said nothing for 15 min"),
        (901, 3600, True, "fine", ""),
        (3 * 3600 + 1, 3600, True, "silent", "has said nothing for 3 h"),
    ],
)
def test_the_state_of_a_source_that_only_says_what_it_covers(
    quiet_s: float, usual_s: float, complete: bool, state: str, why: str
) -> None:
    said = Delivering(
        name="access-log/shop", until=NOW - quiet_s, heard_at=NOW - quiet_s, before_at=NOW - quiet_s - usual_s,
        complete=complete, truncated=0,
    )  # fmt: skip
    found = heard(said, NOW)
    assert (found.state, found.why, found.stream.name) == (state, why, "access-log/shop")


def test_silent_streams_come_first_then_those_that_fail_wait_or_were_never_asked() -> None:
    streams = [
        judged(stream("fine"), NOW),
        judged(stream("new", told_at=0.0), NOW),
        judged(stream("waits", waits_until=NOW + 60), NOW),
        judged(stream("fails", failures=2), NOW),
        judged(stream("gone", told_at=NOW - DAY), NOW),
        judged(stream("also-gone", told_at=NOW - DAY), NOW),
    ]
    assert [j.stream.stream for j in in_order(streams)] == ["also-gone", "gone", "fails", "waits", "new", "fine"]


def test_what_a_connector_tells_takes_the_place_of_what_is_configured() -> None:
    configured = [stream("incidents", told_at=0.0), stream("changes", told_at=0.0)]
    found = merged(configured, [stream("incidents"), stream("surveys")])
    assert [(s.stream, s.told_at > 0) for s in found] == [("incidents", True), ("changes", False), ("surveys", True)]


def test_a_record_of_another_version_is_none() -> None:
    assert state_from({"source": "a", "stream": "b", "poll_s": 60.0}) == StreamState(
        source="a", stream="b", poll_s=60.0
    )
    assert state_from({"source": "a", "stream": "b", "new": 1}) == StreamState(source="a", stream="b")
    assert state_from({"until": "2026-11-26T12:00:00Z"}) is None
    assert state_from(None) is None


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "0 s"), (0, "0 s"), (0.4, "0 s"), (45, "45 s"), (89.4, "89 s"), (90, "2 min"), (150, "2 min"), (5399, "90 min"),
        (5400, "2 h"), (31 * 3600, "31 h"), (2 * DAY, "2 days"), (60 * DAY, "60 days"), (61 * DAY, "2 months"),
        (16_788_309, "6 months"), (400 * DAY, "13 months"), (731 * DAY, "2 years"), (10 * 365.25 * DAY, "10 years"),
    ],
)  # fmt: skip
def test_a_length_of_time_is_said_in_its_largest_fitting_unit(seconds: float, words: str) -> None:
    assert in_words(seconds) == words
