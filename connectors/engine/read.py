"""Reading one stream: windows, keysets or looks in order, a step at a time, so that streams can take turns."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from datetime import datetime, timedelta
from typing import Any

import msgspec

from connectors.engine.asking import Asking
from connectors.engine.client import CutOff
from connectors.engine.config import Connector, Reading
from connectors.engine.cursor import Place, before, rewound, whole_seconds
from connectors.engine.declaration import Keyset, Opaque, Snapshot, Window
from connectors.engine.delivery import Delivery, Surroundings
from connectors.engine.differences import Differences
from connectors.engine.open_entities import OpenEntities
from connectors.engine.order import check_keyset, first_older
from connectors.engine.paginate import value_at
from connectors.engine.passes import MOST_PASSES, Passes, passes_of
from connectors.engine.records import Record, RecordMapper, exploded
from connectors.engine.texts import filled, time_text
from connectors.engine.turns import NAME as TURN
from connectors.engine.turns import Turn, kept_turn, turn_of
from connectors.mapping.fields import field_at
from pipeline.errors import SourceGone, SourceRefused

#: Unfinished entities that are asked for in one step: what a death makes ask again.
_TOGETHER = 20
#: So many answers in a row without the declared array of records are told of, where the source leaves empty ones out.
_WITHOUT = 20


class StreamReader:
    """Reads one stream, poll by poll, each in steps.

    Args:
        connector: whose.
        reading: which.
        around: client, sink, clock.
        place: where it stands.
        known: what is kept of its entities: unfinished ones, and last states of a snapshot; and of its last turn.
        given: what the source was asked at the start.
    """

    def __init__(
        self, connector: Connector, reading: Reading, around: Surroundings, place: Place,
        known: dict[str, dict[str, Any]], given: dict[str, str] | None = None,
    ) -> None:  # fmt: skip
        self.reading = reading
        self._around = around
        self._given = {**reading.given, **(given or {})}
        stream = reading.stream
        self.cursor = f"{connector.source}/{reading.name}"
        self._asking = Asking(stream, around.client, around.alive, self._given, self.cursor)
        self._turn = turn_of(known.get(TURN))
        self._open = OpenEntities(stream.unfinished, _named(known, "open:"), self._turn.after)
        self._delivery = Delivery(connector, reading, around, place, self._asking, self._open)
        self._sufficed_s = self._turn.sufficed_s(place.until)
        self._told_without = False
        self._differences: Differences | None = None
        if isinstance(stream.cursor, Snapshot) and stream.cursor.changes:
            self._differences = Differences(stream.cursor, stream.id, self.mapper.columns, _named(known, "seen:"))

    @property
    def place(self) -> Place:
        """Where the stream stands."""
        return self._delivery.place

    @property
    def mapper(self) -> RecordMapper:
        """What makes its events."""
        return self._delivery.mapper

    def rewind(self, since: datetime) -> None:
        """Set back to ``since``, for a backfill.

        Raises:
            ConfigError: the stream's events add up: read a second time, days later, they would count twice.
        """
        self._delivery.place = rewound(self.place, since, entities=self.mapper.entities, stream=self.reading.name)

    def note_turn(self) -> None:
        """Keep that it is this stream's turn; nobody waits for that."""
        self._note(msgspec.structs.replace(self._turn, asked=self._around.clock(), after=self._open.after))

    def _note(self, turn: Turn) -> None:
        self._turn = turn
        self._around.sink.keep(f"{self.cursor}|{TURN}", kept_turn(turn))

    def poll(self) -> None:
        """Read what is new, to the end.

        Raises:
            ServiceUnavailable: source or brokers do not answer; what was acknowledged is kept.
            SourceRefused: the source refuses.
        """
        for _ in self.steps():
            pass

    def steps(self) -> Iterator[None]:
        """Read what is new, to the end, and pause after every page; what was read up to a pause the brokers hold.

        Raises:
            ServiceUnavailable: source or brokers do not answer; what was acknowledged is kept.
            SourceRefused: the source refuses.
        """
        self._delivery.begin()
        self._asking.begin()
        match self.reading.stream.cursor:
            case Window() as window:
                yield from self._windows(window)
            case Keyset() as keyset:
                yield from self._keyset(keyset)
            case Opaque() as opaque:
                yield from self._opaque(opaque)
            case Snapshot() as snapshot:
                yield from self._snapshot(snapshot)
        yield from self._refresh()
        self._note_without_records()
        now = self._around.clock()
        self._around.stats.succeeded(self.reading.name, now.timestamp(), self.place.until.timestamp(), len(self._open))

    @property
    def found_nothing_at(self) -> str:
        """What answers had where no records were found at the declared path; "" where there were some, or no answer."""
        return self._asking.without_records()[1]

    def _note_without_records(self) -> None:
        """Say so where nothing was ever found at the path of the records: it may be mistyped."""
        if not self.reading.stream.omits_empty:
            return
        number, had = self._asking.without_records()
        self._around.stats.without_records(self.reading.name, number)
        if number >= _WITHOUT and not self._told_without:
            self._told_without = True
            self._around.complain(
                f"{self.cursor}: {number} answers had nothing at '{self.reading.stream.records}', and no other was seen; they have: "
                f"{had or 'nothing'}; if there should be records, correct the path 'records' of the declaration"
            )

    # -- by time ---------------------------------------------------------------------------------------------------

    def _windows(self, cursor: Window) -> Iterator[None]:
        """Read windows up to now, shorter ones where an answer is cut off, and longer ones again after.

        The overlap is read once, as part of the first window, so that a narrowed window is as short as it says.
        """
        end = whole_seconds(before(self._around.clock(), cursor.lag_s))
        if self.place.until >= end:
            return
        oldest = self._oldest(cursor.keeps_s)
        start = max(before(self.place.until, cursor.overlap_s), self.place.first, oldest)
        length = self._first_length(cursor)
        while start < end:
            until = min(start + timedelta(seconds=length), end)
            self._note(msgspec.structs.replace(self._turn, until=until, length_s=(until - start).total_seconds()))
            left = 0
            try:
                yield from self._window(cursor, start, until)
            except CutOff as e:
                if (until - start).total_seconds() > cursor.narrowest_s and cursor.newest_first is None:
                    length = max(cursor.narrowest_s, float(int((until - start).total_seconds() / 2)))
                    self._delivery.drop_gathered()
                    self._delivery.deliver()
                    continue
                left = e.left
            if (column := cursor.tells_by) is not None:
                self._delivery.tell_gathered(_lies_in(column, start, until))
            self._pass_over(oldest)
            place = msgspec.structs.replace(self.place, until=max(until, self.place.until))
            self._delivery.advance(place, left, since=start)
            start = until
            length = min(cursor.step_s, length * 2)
        self._note(msgspec.structs.replace(self._turn, until=None, length_s=0.0))

    def _first_length(self, cursor: Window) -> float:
        """Return the length of a poll's first window, seconds: of what a process died on, so much that a life suffices.

        It stays longer than the overlap: a window within it would bring the cursor nowhere.
        """
        length, self._sufficed_s = self._sufficed_s, None
        if length is None or cursor.newest_first is not None:
            return cursor.step_s
        return min(cursor.step_s, max(length, cursor.overlap_s + max(1.0, cursor.narrowest_s)))

    def _oldest(self, keeps_s: float | None) -> datetime:
        """Return since when the source has records."""
        return self.place.first if keeps_s is None else whole_seconds(before(self._around.clock(), keeps_s))

    def _pass_over(self, oldest: datetime) -> None:
        """Pass over what the source does not have any more: it counts as not covered."""
        if oldest > self.place.until:
            self._delivery.advance(msgspec.structs.replace(self.place, until=oldest), 1)

    def _window(self, cursor: Window, start: datetime, until: datetime) -> Iterator[None]:
        zone = str(filled(cursor.zone, self._given, self.cursor))
        given = {
            **self._given,
            "since": time_text(start, cursor.format, zone),
            "until": time_text(until, cursor.format, zone),
            "length": str(int((until - start).total_seconds())),
        }
        for name, form in cursor.forms.items():
            given |= {f"since_{name}": time_text(start, form, zone), f"until_{name}": time_text(until, form, zone)}
        passes = passes_of(self.reading.stream.paginator) if cursor.newest_first is None else None
        for _ in range(MOST_PASSES):
            for pages in self._asking.records(given, cursor.too_many):
                yield from self._pages_of_window(cursor, pages, start, passes)
            if passes is None or passes.whole():
                return
        raise CutOff  # records leave the window faster than it is read

    def _pages_of_window(
        self, cursor: Window, pages: Iterator[list[Any]], start: datetime, passes: Passes | None
    ) -> Iterator[None]:
        most = cursor.too_many.rows if cursor.too_many else None
        rows = 0
        for records in pages:
            rows += len(records)
            older = first_older(records, cursor.newest_first, start)
            read = records if older is None else records[:older]
            self._delivery.take(read if passes is None else passes.fresh(read))
            if older is not None:
                return
            if most is not None and rows >= most:
                raise CutOff
            yield

    # -- by keyset -------------------------------------------------------------------------------------------------

    def _keyset(self, cursor: Keyset) -> Iterator[None]:
        """Read pages after the last record; those of its very time first, where they are asked for apart."""
        end = whole_seconds(before(self._around.clock(), cursor.lag_s))
        while True:
            found = self._keyset_page(cursor, end, ties=True) if cursor.ties and self.place.id else []
            found = found or self._keyset_page(cursor, end, ties=False)
            if not found:
                break
            yield
        if end > self.place.until:
            self._delivery.advance(msgspec.structs.replace(self.place, until=end), 0)

    def _keyset_page(self, cursor: Keyset, end: datetime, *, ties: bool) -> list[Any]:
        """Read, deliver and keep one page; return its records."""
        start = time_text(before(self.place.until, 1), cursor.format, cursor.zone)
        given = {
            **self._given, "time": self.place.time or start, "id": self.place.id,
            "until": time_text(end, cursor.format, cursor.zone),
        }  # fmt: skip
        request = self.reading.stream.request
        if ties:
            request = msgspec.structs.replace(request, query={**request.query, **cursor.ties})
        records: list[Record] = []
        for pages in self._asking.records(given, request=request):
            for page in pages:  # an empty one may be one that rights emptied
                records = [r for r in page if isinstance(r, dict)]
                if records:
                    break
        if not records:
            return []
        check_keyset(records, given["time"], cursor, self.reading.mapping, self.cursor)
        self._delivery.take(records)
        last = str(field_at(records[-1], cursor.id))
        time = str(field_at(records[-1], cursor.time))
        if (time, last) == (self.place.time, self.place.id):
            raise SourceRefused(
                f"{self.cursor}: the source gives the record {last} again and again; it cannot be read in order"
            )
        self._delivery.deliver()
        self._delivery.keep(msgspec.structs.replace(self.place, time=time, id=last))
        return records

    # -- by the source's own cursor --------------------------------------------------------------------------------

    def _opaque(self, cursor: Opaque) -> Iterator[None]:
        """Read on from the source's cursor; where it knows it no more, from a while before the end of the last poll."""
        end = whole_seconds(before(self._around.clock(), cursor.lag_s))
        try:
            yield from self._followed(cursor, self.place.until)
        except CutOff:
            since = max(before(self.place.until, cursor.again_s), self.place.first)
            self._around.complain(
                f"{self.cursor}: the source does not know its cursor any more; it is read again from {since:%Y-%m-%d %H:%M:%S} UTC on"
            )
            self._delivery.keep(msgspec.structs.replace(self.place, token=""))
            yield from self._followed(cursor, since)
        if end > self.place.until:
            self._delivery.advance(msgspec.structs.replace(self.place, until=end), 0)

    def _followed(self, cursor: Opaque, since: datetime) -> Iterator[None]:
        """Take pages; the cursor moves with every one that was delivered."""
        given = {**self._given, "since": time_text(since, cursor.format, cursor.zone)}
        for records, token in self._asking.followed(cursor, given, self.place.token):
            self._delivery.take(records)
            self._delivery.keep(msgspec.structs.replace(self.place, token=token))
            yield

    # -- all of it -------------------------------------------------------------------------------------------------

    def _snapshot(self, cursor: Snapshot) -> Iterator[None]:
        now = whole_seconds(self._around.clock())
        if self._differences is not None:
            self._delivery.take(list(self._differences.untold(self.place.until)), whole=True)
        if not self.place.looked:  # what was before the first look nobody knows
            self._delivery.place = msgspec.structs.replace(self.place, until=now, first=now, looked=True)
        if self._differences is None:
            left = yield from self._look(now)
        else:
            left = self._compare(self._differences, now)
        self._pass_over(self._oldest(cursor.keeps_s))
        self._delivery.advance(msgspec.structs.replace(self.place, until=max(now, self.place.until)), left)

    def _look(self, now: datetime) -> Generator[None, None, int]:
        """Take all that is shown; return how many records are known to be missing."""
        try:
            for pages in self._asking.records({}):
                for records in pages:
                    self._delivery.take(
                        [{"polled_at": now.isoformat(), **r} if isinstance(r, dict) else r for r in records]
                    )
                    yield
        except CutOff as e:
            return e.left
        return 0

    def _compare(self, differences: Differences, now: datetime) -> int:
        """Take what differs from the last poll, kept before it is told; return how many records are known to be missing.

        All in one step: between the look and the keeping another instance could look, keep and tell, and ours would be older.
        """
        shown: list[Record] = []
        left = 0
        try:
            for pages in self._asking.records({}):
                for records in pages:
                    whole = [self._delivery.completed(r) for r in records if isinstance(r, dict)]
                    shown += self._delivery.joined.records(exploded(whole, self.reading.stream.explode))
        except CutOff as e:
            left = e.left
        self._around.alive()  # an answer may take long enough for the stream to be another instance's now
        changed = differences.changed(shown, now, whole=not left)
        self._delivery.keep_entities(differences.changes())
        self._delivery.take(changed, whole=True)
        return left

    # -- what is not final -----------------------------------------------------------------------------------------

    def _refresh(self) -> Iterator[None]:
        """Ask again for entities that are not final."""
        unfinished = self.reading.stream.unfinished
        if unfinished is None:
            return
        for n, record in enumerate(self._open.old(), 1):
            given = {**self._given, **self._asking.of_record(unfinished.request, record)}
            try:
                answer = self._asking.ask(self._asking.call(unfinished.request, given))
            except SourceGone:
                self._open.forget(record)
                self._delivery.take_gone(record)
            else:
                found = answer.body if not unfinished.record else value_at(answer.body, unfinished.record)
                if isinstance(found, dict):
                    self._delivery.take_one(found)
            if n % _TOGETHER == 0:
                self._keep_refreshed()
                self.note_turn()
                yield
        self._keep_refreshed()

    def _keep_refreshed(self) -> None:
        """Keep what became of the entities that were asked for."""
        self._delivery.deliver()
        if lost := self._open.lost():
            self._around.stats.forgotten(self.reading.name, lost)
            self._around.complain(f"{self.cursor}: {lost} unfinished entities are too many to be asked for again")
        self._delivery.keep(self.place)


def _lies_in(column: str, start: datetime, until: datetime) -> Callable[[Record], bool]:
    """Return what says whether a column (epoch seconds) lies behind the beginning of a window, and not behind its end."""
    first, last = start.timestamp(), until.timestamp()
    return lambda record: first < record[column] <= last


def _named(known: dict[str, dict[str, Any]], kind: str) -> dict[str, Any]:
    """Return what is kept of one kind."""
    return {name: value for name, value in known.items() if name.startswith(kind)}
