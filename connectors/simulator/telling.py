"""Telling a world to Kafka: its history month by month, then what happens live, second by second."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import msgspec

from connectors.simulator.emit import Emitter, Item, MonthClosed
from connectors.simulator.organisation import ZONE
from connectors.simulator.story import MONTHS
from connectors.simulator.world import World
from pipeline.errors import ConfigError
from pipeline.events.families import event_topic

#: (share of the time told, events so far)
Progress = Callable[[float, int], None]

_HOUR_S = 3600
#: A batch is sent at this many events or bytes: well below the longest message, and quick to fold.
BATCH_EVENTS, BATCH_BYTES = 500, 200_000
#: Live events are told this often, seconds.
_TICK_S = 1.0
#: Missed time is caught up in pieces of this length, so that memory stays bounded, seconds.
_PIECE_S = _HOUR_S
#: A simulator that was off longer than this tells the hours it missed in sums.
PAUSE_S = 3 * _HOUR_S
_PROGRESS_EVERY = 2000


class Sink(Protocol):
    """Where batches go: ``connectors.producer.EventProducer``, or a list in tests."""

    def send_batch(self, topic: str, key: str, events: list[bytes]) -> None:
        """Send events as one CloudEvents batch."""

    def flush(self) -> None:
        """Return when everything sent is stored; raises ServiceUnavailable if it cannot be."""


class Batches:
    """Gathers events by topic and key, and sends them in batches."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._waiting: dict[tuple[str, str], list[bytes]] = {}
        self._bytes: dict[tuple[str, str], int] = {}

    def add(self, item: Item) -> None:
        """Take one event; send its batch when it is full."""
        place = item[3:5]
        waiting = self._waiting.setdefault(place, [])
        waiting.append(item[5])
        size = self._bytes[place] = self._bytes.get(place, 0) + len(item[5])
        if len(waiting) >= BATCH_EVENTS or size >= BATCH_BYTES:
            self._send(place)

    def _send(self, place: tuple[str, str]) -> None:
        family, key = place
        self._sink.send_batch(event_topic(family), key, self._waiting.pop(place))
        del self._bytes[place]

    def flush(self) -> None:
        """Send what waits and return when all of it is stored."""
        for place in list(self._waiting):
            self._send(place)
        self._sink.flush()


def tell_history(
    world: World, take: Callable[[Item], None], end_month: Callable[[str], None], progress: Progress
) -> int:
    """Tell everything before the anchor in order, and end each finished month before the next begins.

    Args:
        world: whose history.
        take: called with every event.
        end_month: called with each finished month (``2026-05``) once all of its events were taken.
        progress: called now and then.

    Returns:
        The number of events.
    """
    calendar, n = world.calendar, 0
    month = calendar.first_month
    month_end = calendar.month_start(month + 1)
    whole = max(world.anchor - world.start, 1)
    for item in world.events(world.start, world.anchor):
        while item[0] >= month_end:
            end_month(calendar.label(month))
            month += 1
            month_end = calendar.month_start(month + 1)
        take(item)
        n += 1
        if n % _PROGRESS_EVERY == 0:
            progress((item[0] - world.start) / whole, n)
    while world.anchor >= month_end:
        end_month(calendar.label(month))
        month += 1
        month_end = calendar.month_start(month + 1)
    progress(1.0, n)
    return n


def month_closed(world: World, label: str) -> bytes:
    """Return the event that ends a month, for files; in Kafka it is a barrier in every partition."""
    emit = Emitter(world.setting.seed, 0, "month.closed")
    end = world.calendar.calendar.next_month(world.calendar.calendar.parse_month(label))
    return emit(end, 0, label, "", MonthClosed(month=label, zone=ZONE, id=label), "calendar")[5]


class Cursor(msgspec.Struct):
    """Which world is told, and until when: all that a live simulator must remember.

    Attributes:
        until: everything before this instant is stored in Kafka, epoch seconds.
        pauses: hours after the anchor that are told in sums, see ``Setting.pauses``.
    """

    seed: int
    anchor: int
    until: int
    months: int = MONTHS
    pauses: list[tuple[int, int]] = []

    def world(self) -> World:
        """Return the world that is told."""
        world = World(self.seed, self.anchor, self.months)
        world.setting.pauses = self.pauses
        return world

    def skip(self, now: int) -> None:
        """Note a pause if the last event lies long before now."""
        first, last = -(-self.until // _HOUR_S) * _HOUR_S, now // _HOUR_S * _HOUR_S - _HOUR_S
        if now - self.until > PAUSE_S and first < last:
            self.pauses.append((first, last))

    def save(self, path: Path) -> None:
        """Write it, whole or not at all."""
        fresh = path.with_name(path.name + ".new")
        try:
            fresh.write_bytes(msgspec.json.encode(self))
            fresh.replace(path)
        except OSError as e:
            raise ConfigError(
                f"{path}: the simulator cannot keep its place ({e.strerror}); make the directory writable"
            ) from e


def load_cursor(path: Path) -> Cursor | None:
    """Return the cursor of a file, None where there is none.

    Raises:
        ConfigError: the file is no cursor.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=Cursor)
    except FileNotFoundError:
        return None
    except (msgspec.DecodeError, UnicodeDecodeError, OSError) as e:
        raise ConfigError(f"{path}: is no cursor of the simulator ({e}); remove it to begin a new world") from e


class Stop(Protocol):
    """A ``threading.Event``: set to stop."""

    def is_set(self) -> bool:
        """Return whether to stop."""

    def wait(self, timeout: float) -> bool:
        """Wait for the stop at most this many seconds."""


def tell_live(
    cursor: Cursor,
    path: Path | None,
    sink: Sink,
    stop: Stop,
    clock: Callable[[], float] = time.time,
    speed: float = 0.0,
) -> None:
    """Tell what happens up to now, again and again, until stopped.

    Args:
        cursor: where to go on; moved on and saved after everything before it is stored.
        path: file of the cursor, None to keep no place.
        sink: where the events go.
        stop: when set, returns within a second.
        clock: the wall clock, epoch seconds.
        speed: seconds of the world told a second while behind the clock; 0 for as fast as possible.

    Raises:
        ServiceUnavailable: the sink cannot store; what is lost comes again at the next call, with the same ids.
    """
    if speed <= 0:
        cursor.skip(int(clock()))
    if path:
        cursor.save(path)
    batches = Batches(sink)
    items = cursor.world().tell(cursor.until)
    waiting = next(items)
    while not stop.is_set():
        now = int(clock())
        piece = _PIECE_S if speed <= 0 else max(1, int(speed * _TICK_S))
        until = min(now, cursor.until + piece)
        if until > cursor.until:
            while waiting[0] < until:
                batches.add(waiting)
                waiting = next(items)
            batches.flush()
            cursor.until = until
            if path:
                cursor.save(path)
        if until >= now or speed > 0:
            stop.wait(_TICK_S)
