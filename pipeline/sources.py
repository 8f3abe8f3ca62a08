"""How the streams of connectors are doing, as their connectors tell it: one record a stream, kept in ``csf.cursors``.

The figures are those of the connector's metrics: what Prometheus counts and what is told here come from one place.
"""

from __future__ import annotations

import msgspec

#: What the keys of these records begin with, beside the cursors.
PREFIX = "state|"


class Figures(msgspec.Struct, omit_defaults=True, kw_only=True):
    """What a connector counts of one of its streams. Times are epoch seconds; counts begin with its start.

    Attributes:
        asked_at, success_at: when the last poll began, and when one last came to its end.
        until: until when everything was delivered.
        left_out: its first poll failed, and ``startup: ignore`` leaves it out.
        failures, error, error_at: polls that failed one after the other, and why the last one did, in one sentence.
        waits_until: until when the source asked to be left alone.
        requests, waits, waited_s: requests; waits that the source asked for, and their seconds.
        events, refused: events that the brokers hold; records that are no events.
        truncated, truncated_at: records that a limit of the source hides, at least, and when that was last seen.
        forgotten: unfinished entities that were given up.
        unmapped: vendor's ids that ``services`` does not name, with their records.
    """

    asked_at: float | None = None
    success_at: float | None = None
    until: float | None = None
    left_out: bool = False
    failures: int = 0
    error: str = ""
    error_at: float | None = None
    waits_until: float | None = None
    requests: int = 0
    waits: int = 0
    waited_s: float = 0.0
    events: int = 0
    refused: int = 0
    truncated: int = 0
    truncated_at: float | None = None
    forgotten: int = 0
    unmapped: dict[str, int] = {}


class StreamState(Figures, omit_defaults=True, kw_only=True):
    """What is known of one stream of a connector: its figures, and whose they are.

    Attributes:
        source: the connector, as its events name it.
        stream: one of its streams; "" where it has none.
        title: what is read: ``ServiceNow``.
        told_at: when its connector said this; 0: it never did, it is only configured.
        started_at: when its connector started.
        poll_s: seconds between two polls; None: run once (``--once``).
        stopped: the connector ended in order after this.
    """

    source: str
    stream: str
    title: str = ""
    told_at: float = 0.0
    started_at: float = 0.0
    poll_s: float | None = None
    stopped: bool = False

    @property
    def name(self) -> str:
        """Its name: that of its cursor, and what ``source.polled`` calls it."""
        return f"{self.source}/{self.stream}" if self.stream else self.source

    @property
    def key(self) -> str:
        """The key of its record."""
        return PREFIX + self.name


def state_from(kept: object) -> StreamState | None:
    """Return the state that a record holds; None where it holds none that this version knows."""
    try:
        return msgspec.convert(kept, StreamState)
    except msgspec.ValidationError:
        return None


class Delivering(msgspec.Struct, frozen=True, kw_only=True):
    """What ``source.polled`` says of a source that tells nothing else: an access log, a receiver, a program of yours.

    Attributes:
        name: the source, as it names itself.
        until: until when it said that everything was delivered, epoch seconds.
        heard_at, before_at: when it said so last, and the time before.
        complete: whether its last word covered all of its span.
        truncated: records that it said are missing, of the words that were heard.
    """

    name: str
    until: float
    heard_at: float
    before_at: float
    complete: bool
    truncated: int


def merged(configured: list[StreamState], told: list[StreamState]) -> list[StreamState]:
    """Return every stream once: as its connector tells it, else as it is configured."""
    return list({state.name: state for state in (*configured, *told)}.values())
