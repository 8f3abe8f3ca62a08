"""Trying a connector without sending anything: is the address right, are the credentials, what does an event look like."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from connectors.engine.config import Connector
from connectors.engine.delivery import Surroundings
from connectors.engine.run import asked, client_of, reader_of
from connectors.engine.stats import Stats
from pipeline.errors import CsfError, InvalidEvent
from pipeline.events.envelope import OutEvent
from pipeline.events.validate import decode_data, decode_envelope

#: How far back a trial looks.
_BACK = timedelta(days=7)


class _Enough(Exception):
    """The first page was seen."""


@dataclass
class Trial:
    """What a trial of one stream showed.

    Attributes:
        stream: its name.
        problem: why it cannot be read; "" where it can.
        events: encoded events of the first records.
        refused: why records are no events.
        unnamed: vendor ids that ``services`` does not name.
        permissions: what the credentials must be allowed.
        nothing_at: where nothing was found though there were answers: the declared path, and what they had instead.
    """

    stream: str
    problem: str = ""
    events: list[bytes] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    unnamed: list[str] = field(default_factory=list)
    permissions: list[str] = field(default_factory=list)
    nothing_at: tuple[str, str] | None = None


class _Shown:
    """A sink that keeps what it is given, until the first page is whole."""

    def __init__(self, trial: Trial, now_ms: int) -> None:
        self._trial, self._now_ms = trial, now_ms

    def add(self, topic: str, key: str, raw: bytes, source: str = "") -> bool:
        """Keep an event, or why it is none."""
        try:
            decode_data(decode_envelope(raw), topic, self._now_ms)
            self._trial.events.append(raw)
        except InvalidEvent as e:
            self._trial.refused.append(str(e))
        return True

    def send(self, topic: str, event: OutEvent, key: str | None = None) -> bool:
        """End: what was polled is told after the records."""
        raise _Enough

    def bury(self, topic: str, reason: str, detail: str, raw: bytes, **more: object) -> None:
        """Keep why a record is no event."""
        self._trial.refused.append(detail)

    def keep(self, cursor: str, value: dict[str, Any] | None) -> None:
        """End: nothing is kept; states of single entities come before the events that tell of them."""
        if "|" not in cursor:
            raise _Enough

    def flush(self) -> None:
        """End once something was shown."""
        if self._trial.events or self._trial.refused:
            raise _Enough


def trials(connector: Connector, pause: Callable[[float], None]) -> list[Trial]:
    """Return what the first page of every stream shows; nothing is sent and no cursor moves."""
    stats = Stats(connector.source)
    client = client_of(connector, stats, pause)
    found = []
    try:
        given, problem = _asked(connector, client)
        for reading in connector.readings:
            trial = Trial(reading.name, problem, permissions=list(reading.stream.permissions))
            found.append(trial)
            if problem:
                continue
            now = connector.clock()
            shown = _Shown(trial, int(now.timestamp() * 1000))
            around = Surroundings(client, shown, stats, connector.clock, lambda: None, trial.refused.append)
            try:
                reader = reader_of(connector, reading, around, {}, now - _BACK, given)
                reader.poll()
            except _Enough:
                trial.unnamed = sorted(reader.mapper.unnamed)
                if reader.found_nothing_at:
                    trial.nothing_at = (reading.stream.records, reader.found_nothing_at)
            except CsfError as e:
                trial.problem = str(e)
    finally:
        client.close()
    return found


def _asked(connector: Connector, client: Any) -> tuple[dict[str, str], str]:
    try:
        return asked(connector, client), ""
    except CsfError as e:
        return {}, str(e)
