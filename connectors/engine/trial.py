"""Trying a connector without sending anything: is the address right, are the credentials, what does an event look like."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from connectors.engine.config import Connector, Reading
from connectors.engine.declaration import Window
from connectors.engine.delivery import Surroundings
from connectors.engine.read import StreamReader
from connectors.engine.run import asked, client_of, reader_of
from connectors.engine.stats import Stats
from pipeline.errors import CsfError, InvalidEvent
from pipeline.events.envelope import OutEvent
from pipeline.events.validate import decode_data, decode_envelope

#: How far back a trial looks, and how often at most: seven days are 168 windows of an hour, of a few looks each.
_BACK = timedelta(days=7)
_LOOKS = 2000


class _Enough(Exception):
    """Something was seen, or so much was read in vain that it is left."""


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
        whole: all that was to be read was read, and showed nothing.
        nothing_at: where nothing was found though there were answers: the declared path, and what they had instead.
    """

    stream: str
    problem: str = ""
    events: list[bytes] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    unnamed: list[str] = field(default_factory=list)
    permissions: list[str] = field(default_factory=list)
    whole: bool = False
    nothing_at: tuple[str, str] | None = None


class _Shown:
    """A sink that keeps what it is given, until a page that shows something is whole."""

    def __init__(self, trial: Trial, now_ms: int) -> None:
        self._trial, self._now_ms, self._looks = trial, now_ms, 0

    def add(self, topic: str, key: str, raw: bytes, source: str = "") -> bool:
        """Keep an event, or why it is none."""
        try:
            decode_data(decode_envelope(raw), topic, self._now_ms)
            self._trial.events.append(raw)
        except InvalidEvent as e:
            self._trial.refused.append(str(e))
        return True

    def send(self, topic: str, event: OutEvent, key: str | None = None) -> bool:
        """Pass over what was polled."""
        return True

    def bury(self, topic: str, reason: str, detail: str, raw: bytes, **more: object) -> None:
        """Keep why a record is no event."""
        self._trial.refused.append(detail)

    def keep(self, cursor: str, value: dict[str, Any] | None) -> None:
        """Keep nothing."""

    def flush(self) -> None:
        """End once something was shown."""
        self._looks += 1
        if self._trial.events or self._trial.refused or self._looks > _LOOKS:
            raise _Enough


def trials(connector: Connector, pause: Callable[[float], None]) -> list[Trial]:
    """Return what the first page of every stream that has events shows; nothing is sent and no cursor moves."""
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
            for back in _spans(reading):
                try:
                    reader = reader_of(connector, reading, around, {}, now - back, given)
                    _look(reader, trial)
                except CsfError as e:
                    trial.problem = str(e)
                if trial.problem or trial.events or trial.refused:
                    break
    finally:
        client.close()
    return found


def _spans(reading: Reading) -> list[timedelta]:
    """Return how far back to look: the newest window first, where windows are short."""
    cursor = reading.stream.cursor
    if isinstance(cursor, Window) and (newest := timedelta(seconds=cursor.step_s + cursor.lag_s)) < _BACK:
        return [newest, _BACK]
    return [_BACK]


def _look(reader: StreamReader, trial: Trial) -> None:
    """Read until something is shown, or to the end."""
    trial.whole = False
    with suppress(_Enough):
        reader.poll()
        trial.whole = not trial.events and not trial.refused
    trial.unnamed = sorted(reader.mapper.unnamed)
    if reader.found_nothing_at:
        trial.nothing_at = (reader.reading.stream.records, reader.found_nothing_at)


def _asked(connector: Connector, client: Any) -> tuple[dict[str, str], str]:
    try:
        return asked(connector, client), ""
    except CsfError as e:
        return {}, str(e)
