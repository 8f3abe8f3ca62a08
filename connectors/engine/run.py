"""Running a connector: its streams take turns, each when it is due, no turn without end; several instances share them."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

from connectors.cursors import read_cursors
from connectors.engine.asking import call_of
from connectors.engine.client import Client, Manners
from connectors.engine.config import Connector, Reading
from connectors.engine.cursor import place_from
from connectors.engine.delivery import Surroundings
from connectors.engine.outgoing import Sink
from connectors.engine.paginate import value_at
from connectors.engine.peer import Peer
from connectors.engine.read import StreamReader
from connectors.engine.share import Share
from connectors.engine.stats import Stats
from connectors.engine.telling import StateTeller
from connectors.engine.turns import NAME as TURN
from connectors.engine.turns import turn_of
from pipeline.errors import CsfError, ServiceUnavailable, SourceRefused

#: The first read without ``since`` begins so long ago.
FIRST_READ = timedelta(days=1)
#: A poll that failed is tried again after this at the earliest and at the latest, seconds.
_SOONEST_S, _LATEST_S = 5.0, 300.0
#: Polls are spread by this share of their distance.
_JITTER = 0.1
#: A turn ends after so many pages, or after the page that makes it so long, seconds: then it is another stream's. The first
#: turn of a stream in a process has one page and each has twice as many as the one before: also a short life has room for all.
_TURN_PAGES, _TURN_S = 16, 10.0
_END = object()


class Stopped(Exception):
    """The connector is to stop."""


class NotOurs(Exception):
    """Another instance reads this stream now."""


def client_of(connector: Connector, stats: Stats, pause: Callable[[float], None]) -> Peer:
    """Return what asks a connector's source."""
    if connector.opens is not None:
        return connector.opens(stats)
    declaration, entry = connector.declaration, connector.entry
    manners = Manners(declaration.rate_limit, declaration.refused_as_limit, declaration.refused_by, entry.timeout_s)
    return Client(connector.base, connector.auth, manners, connector.secrets, stats, pause, entry.ca_file)


def asked(connector: Connector, client: Peer) -> dict[str, str]:
    """Return what the source says when it is asked once.

    Raises:
        SourceRefused: it does not say it.
    """
    found: dict[str, str] = {}
    for name, ask in connector.declaration.ask.items():
        answer = client.ask(call_of(ask.request, client, {}, f"{connector.source}: ask.{name}"))
        value = value_at(answer.body, ask.take)
        if value is None:
            raise SourceRefused(
                f"{client.address(ask.request.path)}: does not say '{ask.take}', which is needed as {name}"
            )
        found[name] = str(value)
    return found


def reader_of(
    connector: Connector, reading: Reading, around: Surroundings, cursors: dict[str, dict[str, Any]],
    since: datetime | None, given: dict[str, str],
) -> StreamReader:  # fmt: skip
    """Return a reader that goes on from what was kept, or begins.

    Raises:
        ConfigError: a cursor is none, or cannot be set back.
    """
    name = f"{connector.source}/{reading.name}"
    begin = since or connector.since or around.clock() - FIRST_READ
    place = place_from(cursors.get(name), begin.replace(microsecond=0))
    prefix = f"{name}|"
    known = {key.removeprefix(prefix): value for key, value in cursors.items() if key.startswith(prefix)}
    reader = StreamReader(connector, reading, around, place, known, given)
    if since is not None and name in cursors:
        reader.rewind(since)
    return reader


class Runner:
    """Polls the streams of a connector until stopped.

    Args:
        connector: which.
        sink: where events go.
        bootstrap, kafka_settings: where the cursors are.
        stats: counts.
        stop: set to end.
        complain: takes one sentence.
        since: where to begin, or to begin again.
        share: which streams this instance reads; None: all.
        clock: the time; default: the connector's.
        teller: tells how the streams are doing; None: nobody hears of it.
    """

    def __init__(
        self, connector: Connector, sink: Sink, bootstrap: str, kafka_settings: dict[str, Any], stats: Stats,
        stop: threading.Event, complain: Callable[[str], None], since: datetime | None = None,
        share: Share | None = None, clock: Callable[[], datetime] | None = None, teller: StateTeller | None = None,
    ) -> None:  # fmt: skip
        self._teller = teller
        self._connector, self._sink, self._stats, self._stop, self._say = connector, sink, stats, stop, complain
        self._bootstrap, self._kafka, self._since, self._share = bootstrap, kafka_settings, since, share
        self.client = client_of(connector, stats, self._pause)
        self._around = Surroundings(self.client, sink, stats, clock or connector.clock, self._alive, complain)
        self._readers: dict[str, StreamReader] = {}
        #: what is left of a poll whose turn ended before it did
        self._polls: dict[str, Iterator[None]] = {}
        self._begun: dict[str, float] = {}
        #: when streams were asked last; those that are not in it were not asked by this instance
        self._asked: dict[str, datetime] = {}
        #: pages of a stream's next turn
        self._pages: dict[str, int] = {}
        self._due: dict[str, float] = {}
        self._failures: dict[str, int] = {}
        self._left_out: set[str] = set()
        self._begun_anew: set[str] = set()
        self._given: dict[str, str] | None = None
        self._current = ""
        #: of the share, when what was another's was given up last
        self._losses = 0

    def once(self) -> None:
        """Poll every stream once.

        Raises:
            CsfError: the first failure, after all streams had their turn.
        """
        first: CsfError | None = None
        for reading in self._in_order(list(self._connector.readings)):
            try:
                while not self._poll(reading):
                    pass
            except CsfError as e:
                self._give_up(reading.name)
                self._note_failure(reading, e)
                if first is not None:
                    self._say(str(e))
                first = first or e
        self._tell(at_once=True)
        if first is not None:
            raise first

    def run(self) -> None:
        """Poll every stream when it is due, until stopped.

        Raises:
            CsfError: the first poll of a stream failed and ``startup`` says ``fail``.
        """
        try:
            while not self._stop.is_set():
                due = [r for r in self._ours() if self._due.get(r.name, 0.0) <= time.monotonic()]
                if due:
                    self._turn(self._in_order(due)[0])
                else:
                    self._rest()
        except Stopped:
            return
        finally:
            self._tell(at_once=True, stopped=True)

    def _tell(self, *, at_once: bool = False, stopped: bool = False) -> None:
        """Tell how the streams that this instance reads are doing, where it is time to."""
        if self._teller is not None:
            names = [r.name for r in self._connector.readings]
            ours = [name for n, name in enumerate(names) if self._share is None or self._share.ours(n)]
            self._teller.tell(ours, at_once=at_once, stopped=stopped)

    def _note_failure(self, reading: Reading, why: CsfError) -> None:
        self._stats.failed(reading.name, self._connector.secrets.hidden(str(why)))

    def _ours(self) -> list[Reading]:
        """Return the streams that this instance reads; what another one took over is dropped, even if it is ours again."""
        readings = [r for r in self._connector.readings if r.name not in self._left_out]
        if self._share is None:
            return readings
        names = [r.name for r in self._connector.readings]
        ours = [r for r in readings if self._share.ours(names.index(r.name))]
        kept = {r.name for r in ours} if self._share.losses == self._losses else set()
        self._losses = self._share.losses
        for name in {*self._readers, *self._asked} - kept:
            self._give_up(name)
            self._asked.pop(name, None)
        return ours

    def _in_order(self, readings: list[Reading]) -> list[Reading]:
        """Return streams in the order of their last turns, also those of processes that are gone: the longest ago first."""
        new = [r.name for r in readings if r.name not in self._asked]
        try:
            cursors = read_cursors(self._bootstrap, self._kafka) if new else {}
        except ServiceUnavailable:
            return readings  # the first one's turn ends with that, and says so
        for name in new:
            self._asked[name] = turn_of(cursors.get(f"{self._connector.source}/{name}|{TURN}")).asked
        return sorted(readings, key=lambda r: self._asked[r.name])

    def _turn(self, reading: Reading) -> None:
        """Let a stream have its turn, and say when it is due again."""
        self._begun.setdefault(reading.name, time.monotonic())
        poll_s = self._connector.entry.poll_s or self._connector.declaration.poll_s
        try:
            if not self._poll(reading):
                return
        except NotOurs:
            return
        except CsfError as e:
            self._failed(reading, e)
            return
        self._failures[reading.name] = 0
        wait = poll_s * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - spreads load, guards nothing
        self._due[reading.name] = self._begun.pop(reading.name) + wait

    def _failed(self, reading: Reading, why: CsfError) -> None:
        """Note a failure: what is in memory is given up for what is kept, and the stream tried again later."""
        self._note_failure(reading, why)
        self._give_up(reading.name)
        startup = self._connector.entry.startup
        if reading.name not in self._failures and startup == "fail":
            raise why
        if reading.name not in self._failures and startup == "ignore":
            self._left_out.add(reading.name)
            self._stats.of(reading.name).left_out = True
            self._say(f"{why}; stream {reading.name} is left out (startup: ignore)")
            return
        failures = self._failures[reading.name] = self._failures.get(reading.name, 0) + 1
        wait = min(_LATEST_S, _SOONEST_S * 2 ** min(failures - 1, 10))
        self._due[reading.name] = time.monotonic() + wait
        self._say(f"{why}; trying again in {wait:.0f} s")

    def _give_up(self, stream: str) -> None:
        """Forget what is in memory of a stream: it goes on from what is kept."""
        for each in (self._readers, self._polls, self._begun):
            each.pop(stream, None)

    def _poll(self, reading: Reading) -> bool:
        """Let a stream read for a turn; return whether it read all that is new."""
        name = self._current = reading.name
        self._stats.turn(name)
        reader = self._reader(reading)
        self._asked[name] = self._around.clock()
        reader.note_turn()
        steps = self._polls.setdefault(name, reader.steps())
        end = time.monotonic() + _TURN_S
        pages = self._pages.get(name, 1)
        self._pages[name] = min(_TURN_PAGES, 2 * pages)
        for _ in range(pages):
            if next(steps, _END) is _END:
                del self._polls[name]
                self._polled(reader)
                return True
            if time.monotonic() >= end:
                break
        return False

    def _reader(self, reading: Reading) -> StreamReader:
        """Return what reads a stream, from where it was kept that it stands."""
        name = reading.name
        if name not in self._readers:
            if self._given is None:
                self._given = asked(self._connector, self.client)
            cursors = read_cursors(
                self._bootstrap, self._kafka
            )  # not those of the order: they may be older than a turn
            since = None if name in self._begun_anew else self._since
            self._readers[name] = reader_of(self._connector, reading, self._around, cursors, since, self._given)
        return self._readers[name]

    def _polled(self, reader: StreamReader) -> None:
        """Note that a stream was read to its end, and say whom its records name and the configuration does not."""
        self._begun_anew.add(reader.reading.name)
        if reader.mapper.unnamed:
            told = ", ".join(f"{name} ({n})" for name, n in sorted(reader.mapper.unnamed.items())[:20])
            self._say(f"{reader.cursor}: services does not name: {told}")
            self._stats.unmapped(reader.reading.name, reader.mapper.unnamed)
            reader.mapper.unnamed.clear()

    def _alive(self) -> None:
        if self._stop.is_set():
            raise Stopped
        self._tell()
        if self._share is not None:
            self._share.beat(0)
            names = [r.name for r in self._connector.readings]
            if self._share.losses != self._losses or not self._share.ours(names.index(self._current)):
                self._give_up(self._current)
                raise NotOurs

    def _pause(self, seconds: float) -> None:
        """Wait as the source asks; a stop, and another instance's start, end it."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._alive()
            self._stop.wait(min(left, 1.0))
        self._alive()

    def _rest(self) -> None:
        """Wait until a stream is due."""
        self._tell()
        due = [self._due.get(r.name, 0.0) for r in self._ours()]
        wait = min(1.0, max(0.0, min(due, default=time.monotonic() + 1.0) - time.monotonic()))
        if self._share is None:
            self._stop.wait(wait)
            return
        try:
            self._share.beat(wait)
        except ServiceUnavailable as e:
            self._say(f"{e}; trying again")
            self._stop.wait(_SOONEST_S)
