"""The state of a stream, judged from what its connector tells and the time; those that need somebody come first."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.evaluate.duration import in_words
from pipeline.sources import Delivering, StreamState

#: The states, in the order in which people look at them.
SILENT, FAILING, WAITING, NEVER, FINE = "silent", "failing", "waiting", "never_asked", "fine"
STATES = (SILENT, FAILING, WAITING, NEVER, FINE)

#: A connector that runs speaks at least once a minute; after so long it does not run any more, seconds.
_UNHEARD_S = 300.0
#: A stream that was not read for so long is silent, one that is so far behind is told as behind, seconds; or for this
#: many of its polls, where these are longer. ``deploy/prometheus-rules.yml`` has the same.
_UNREAD_S, _BEHIND_S, _POLLS = 900.0, 3600.0, 3.0
#: One that is run once is expected every day.
_ONCE_S = 26 * 3600.0


@dataclass(frozen=True)
class Judged:
    """A stream, its state, and why, as part of a sentence ("" where there is nothing to add)."""

    stream: StreamState
    state: str
    why: str
    behind: bool


def judged(stream: StreamState, now: float) -> Judged:
    """Return the state of a stream at a time (epoch seconds)."""
    state, why = _state(stream, now)
    late = stream.until is not None and now - stream.until > max(_BEHIND_S, _POLLS * (stream.poll_s or _ONCE_S))
    return Judged(stream, state, why, behind=late)


def _state(stream: StreamState, now: float) -> tuple[str, str]:
    if not stream.told_at:
        return (FAILING, "its configuration is wrong") if stream.error else (NEVER, "configured, and never run")
    unheard = now - stream.told_at
    if stream.stopped:
        return SILENT, f"its connector was stopped {in_words(unheard)} ago"
    if stream.poll_s is None:
        return _once(stream, now)
    if unheard > _UNHEARD_S:
        return SILENT, f"its connector has said nothing for {in_words(unheard)}: it does not run"
    if stream.left_out:
        return FAILING, "left out, since its first poll failed (startup: ignore)"
    if stream.waits_until is not None and stream.waits_until > now:
        return WAITING, f"the source asked to be left alone for another {in_words(stream.waits_until - now)}"
    if stream.failures:
        return FAILING, "its last poll failed" if stream.failures == 1 else f"{stream.failures} polls failed in a row"
    if stream.asked_at is None:
        return NEVER, "its turn has not come yet"
    return _polled(stream, now)


def _once(stream: StreamState, now: float) -> tuple[str, str]:
    """Return the state of a stream that ``--once`` reads, by a schedule of somebody else's."""
    if stream.failures:
        return FAILING, f"run once, {in_words(now - stream.told_at)} ago, and could not be read"
    if now - stream.told_at > _ONCE_S:
        return SILENT, f"run once, {in_words(now - stream.told_at)} ago"
    return FINE, "run once"


def _polled(stream: StreamState, now: float) -> tuple[str, str]:
    if stream.success_at is None:
        return FINE, "is read for the first time"
    unread = now - stream.success_at
    if unread <= max(_UNREAD_S, _POLLS * (stream.poll_s or 0)):
        return FINE, ""
    if stream.asked_at is not None and stream.asked_at > stream.success_at:
        return FINE, "much is being read"
    return SILENT, f"not read for {in_words(unread)}: another stream of its connector takes long"


def heard(source: Delivering, now: float) -> Judged:
    """Return the state of a source that only says until when it told everything."""
    quiet = now - source.heard_at
    usual = source.heard_at - source.before_at
    stream = StreamState(
        source=source.name, stream="", told_at=source.heard_at, success_at=source.heard_at,
        until=source.until, truncated=source.truncated,
    )  # fmt: skip
    if quiet > max(_UNREAD_S, _POLLS * usual):
        return Judged(stream, SILENT, f"has said nothing for {in_words(quiet)}", behind=True)
    why = "" if source.complete else "its last word left something out"
    return Judged(stream, FINE, why, behind=now - source.until > max(_BEHIND_S, _POLLS * usual))


def in_order(found: list[Judged]) -> list[Judged]:
    """Return streams as people look at them: silent ones first, then by name."""
    return sorted(found, key=lambda j: (STATES.index(j.state), j.stream.name))
