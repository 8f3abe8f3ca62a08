"""Reading one stream: windows or keysets in order, events acknowledged by the brokers before the cursor moves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec

from connectors.engine.asking import Asking
from connectors.engine.client import CutOff
from connectors.engine.config import Connector, Reading
from connectors.engine.cursor import Place, before, kept, whole_seconds
from connectors.engine.declaration import Keyset, Snapshot, Window
from connectors.engine.differences import Differences
from connectors.engine.joined import Joined
from connectors.engine.open_entities import OpenEntities
from connectors.engine.outgoing import Outgoing, Sink
from connectors.engine.paginate import value_at
from connectors.engine.passes import MOST_PASSES, Passes, passes_of
from connectors.engine.peer import Peer
from connectors.engine.records import Record, RecordMapper, exploded, folded
from connectors.engine.stats import Stats
from connectors.engine.texts import filled, time_text
from connectors.mapping.fields import field_at
from connectors.mapping.values import BadValue, time_reader
from pipeline.errors import SourceGone, SourceRefused

#: Services that a stream may speak for one by one.
_MOST_SEEN = 500


@dataclass(frozen=True)
class Surroundings:
    """What a reader works with.

    Attributes:
        client: asks the source.
        sink: takes the events.
        stats: counts.
        clock: the time.
        alive: called between requests; raises where reading is to stop.
        complain: takes one sentence.
    """

    client: Peer
    sink: Sink
    stats: Stats
    clock: Callable[[], datetime]
    alive: Callable[[], None]
    complain: Callable[[str], None]


class StreamReader:
    """Reads one stream, poll by poll.

    Args:
        connector: whose.
        reading: which.
        around: client, sink, clock.
        place: where it stands.
        known: what is kept of its entities: unfinished ones, and last states of a snapshot.
        given: what the source was asked at the start.
    """

    def __init__(
        self, connector: Connector, reading: Reading, around: Surroundings, place: Place,
        known: dict[str, dict[str, Any]], given: dict[str, str] | None = None,
    ) -> None:  # fmt: skip
        self.reading, self.place = reading, place
        self._around = around
        self._given = {**reading.given, **(given or {})}
        self.mapper = RecordMapper(reading, connector.entry, connector.source)
        self._joined = Joined(reading.stream.join, reading.mapping)
        self._gathered: list[Record] = []
        self._told: set[str] = set()
        self.cursor = f"{connector.source}/{reading.name}"
        self._out = Outgoing(around.sink, around.stats, connector.source, self.cursor, reading.name)
        stream = reading.stream
        self._asking = Asking(stream, around.client, around.alive, self._given, self.cursor)
        self._open = OpenEntities(stream.unfinished, _named(known, "open:"))
        self._differences: Differences | None = None
        if isinstance(stream.cursor, Snapshot) and stream.cursor.changes:
            self._differences = Differences(stream.cursor, stream.id, self.mapper.columns, _named(known, "seen:"))

    def poll(self) -> None:
        """Read what is new, to the end.

        Raises:
            ServiceUnavailable: source or brokers do not answer; what was acknowledged is kept.
            SourceRefused: the source refuses.
        """
        self._joined.begin()
        self._asking.begin()
        self._gathered.clear()
        match self.reading.stream.cursor:
            case Window() as window:
                self._windows(window)
            case Keyset() as keyset:
                self._keyset(keyset)
            case Snapshot() as snapshot:
                self._snapshot(snapshot)
        self._refresh()
        now = self._around.clock()
        self._around.stats.succeeded(self.reading.name, now.timestamp(), self.place.until.timestamp(), len(self._open))

    # -- by time ---------------------------------------------------------------------------------------------------

    def _windows(self, cursor: Window) -> None:
        """Read windows up to now, shorter ones where an answer is cut off, and longer ones again after.

        The overlap is read once, as part of the first window, so that a narrowed window is as short as it says.
        """
        end = whole_seconds(before(self._around.clock(), cursor.lag_s))
        if self.place.until >= end:
            return
        oldest = self._oldest(cursor.keeps_s)
        start = max(before(self.place.until, cursor.overlap_s), self.place.first, oldest)
        length = cursor.step_s
        while start < end:
            until = min(start + timedelta(seconds=length), end)
            left = 0
            try:
                self._window(cursor, start, until)
            except CutOff as e:
                if (until - start).total_seconds() > cursor.narrowest_s and cursor.newest_first is None:
                    length = max(cursor.narrowest_s, float(int((until - start).total_seconds() / 2)))
                    self._gathered.clear()
                    self._deliver()
                    continue
                left = e.left
            self._pass_over(oldest)
            self._advance(msgspec.structs.replace(self.place, until=max(until, self.place.until)), left, since=start)
            start = until
            length = min(cursor.step_s, length * 2)

    def _oldest(self, keeps_s: float | None) -> datetime:
        """Return since when the source has records."""
        return self.place.first if keeps_s is None else whole_seconds(before(self._around.clock(), keeps_s))

    def _pass_over(self, oldest: datetime) -> None:
        """Pass over what the source does not have any more: it counts as not covered."""
        if oldest > self.place.until:
            self._advance(msgspec.structs.replace(self.place, until=oldest), 1)

    def _window(self, cursor: Window, start: datetime, until: datetime) -> None:
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
                self._pages_of_window(cursor, pages, start, passes)
            if passes is None or passes.whole():
                return
        raise CutOff  # records leave the window faster than it is read

    def _pages_of_window(
        self, cursor: Window, pages: Iterator[list[Any]], start: datetime, passes: Passes | None
    ) -> None:
        most = cursor.too_many.rows if cursor.too_many else None
        rows = 0
        for records in pages:
            rows += len(records)
            older = self._older(records, cursor.newest_first, start)
            read = records if older is None else records[:older]
            self._take(read if passes is None else passes.fresh(read))
            if older is not None:
                return
            if most is not None and rows >= most:
                raise CutOff

    def _older(self, records: list[Any], column: str | None, since: datetime) -> int | None:
        """Return at which record those older than the window begin, of records with the newest first."""
        if column is None:
            return None
        read = time_reader("iso", "UTC", 0.0, column)
        for i, record in enumerate(records):
            at = field_at(record, column) if isinstance(record, dict) else None
            try:
                if at is not None and read(at) < since:
                    return i
            except BadValue:
                continue  # the mapping says so of the record
        return None

    # -- by keyset -------------------------------------------------------------------------------------------------

    def _keyset(self, cursor: Keyset) -> None:
        """Read pages after the last record; those of its very time first, where they are asked for apart."""
        end = whole_seconds(before(self._around.clock(), cursor.lag_s))
        while True:
            found = self._keyset_page(cursor, end, ties=True) if cursor.ties and self.place.id else []
            found = found or self._keyset_page(cursor, end, ties=False)
            if not found:
                break
        if end > self.place.until:
            self._advance(msgspec.structs.replace(self.place, until=end), 0)

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
        self._in_order(cursor, records, given["time"])
        self._take(records)
        last = str(field_at(records[-1], cursor.id))
        time = str(field_at(records[-1], cursor.time))
        if (time, last) == (self.place.time, self.place.id):
            raise SourceRefused(
                f"{self.cursor}: the source gives the record {last} again and again; it cannot be read in order"
            )
        self._deliver()
        self._keep(msgspec.structs.replace(self.place, time=time, id=last))
        return records

    def _in_order(self, cursor: Keyset, records: list[Record], since: str) -> None:
        """Raise where a source answers with older records than were asked for: a clause it does not know is dropped."""
        mapping = self.reading.mapping
        read = time_reader(mapping.time_format, mapping.zone, 0.0, cursor.time)
        try:
            first, asked = read(field_at(records[0], cursor.time)), read(since)
        except BadValue:
            return  # the mapping says so of each record
        if whole_seconds(first) < whole_seconds(asked):
            raise SourceRefused(
                f"{self.cursor}: the source answers with records before {since}: it did not understand the question; "
                "check that the account may read and filter by all columns of the request"
            )

    # -- all of it -------------------------------------------------------------------------------------------------

    def _snapshot(self, cursor: Snapshot) -> None:
        now = whole_seconds(self._around.clock())
        if self._differences is not None:
            self._take(list(self._differences.untold(self.place.until)), whole=True)
        if not self.place.looked:  # what was before the first look nobody knows
            self.place = msgspec.structs.replace(self.place, until=now, first=now, looked=True)
        left = self._look(now) if self._differences is None else self._compare(self._differences, now)
        self._pass_over(self._oldest(cursor.keeps_s))
        self._advance(msgspec.structs.replace(self.place, until=max(now, self.place.until)), left)

    def _look(self, now: datetime) -> int:
        """Take all that is shown; return how many records are known to be missing."""
        try:
            for pages in self._asking.records({}):
                for records in pages:
                    self._take([{"polled_at": now.isoformat(), **r} if isinstance(r, dict) else r for r in records])
        except CutOff as e:
            return e.left
        return 0

    def _compare(self, differences: Differences, now: datetime) -> int:
        """Take what differs from the last poll, kept before it is told; return how many records are known to be missing."""
        shown: list[Record] = []
        left = 0
        try:
            for pages in self._asking.records({}):
                for records in pages:
                    whole = [
                        folded(self._asking.completed(r), self.reading.stream.folds)
                        for r in records
                        if isinstance(r, dict)
                    ]
                    shown += self._joined.records(exploded(whole, self.reading.stream.explode))
        except CutOff as e:
            left = e.left
        changed = differences.changed(shown, now, whole=not left)
        self._keep_entities(differences.changes())
        self._take(changed, whole=True)
        return left

    # -- records ---------------------------------------------------------------------------------------------------

    def _take(self, records: list[Any], *, whole: bool = False) -> None:
        """Make the events of records and hand those that are new to the sink; ``whole``: nothing more is to be asked."""
        for record in records:
            if not isinstance(record, dict):
                self._out.refuse(record, BadValue("record", record, "it must be a JSON object"))
            elif whole:
                self._tell(record)
            else:
                self._take_one(record)
        self._deliver()

    def _take_one(self, record: Record) -> None:
        try:
            whole = folded(self._asking.completed(record), self.reading.stream.folds)
        except BadValue as e:
            self._out.refuse(record, e)
            return
        if self.reading.shape is not None:
            self._gathered.append(whole)
            return
        self._open.note(whole)
        for each in self._joined.records(exploded([whole], self.reading.stream.explode)):
            self._tell(each)

    def _tell_gathered(self) -> None:
        """Tell what the connector's own code makes of all records of a window."""
        gathered, self._gathered = self._gathered, []
        if self.reading.shape is None:
            return
        try:
            shaped = self.reading.shape(gathered)
        except (ValueError, TypeError, LookupError) as e:
            raise SourceRefused(f"{self.cursor}: the records are not as the source documents them: {e}") from None
        for record in shaped:
            self._tell(record)

    def _tell(self, record: Record) -> None:
        for event in self.mapper.events(record, lambda why: self._out.refuse(record, why)):
            self._out.send(event)

    def _deliver(self) -> None:
        """Return once the brokers hold what was sent."""
        spoken = self._out.deliver()
        if self.reading.stream.covers == "seen":
            seen = dict.fromkeys([*self.place.seen, *spoken])
            self.place = msgspec.structs.replace(self.place, seen=tuple(seen)[:_MOST_SEEN])

    # -- cursor and coverage ---------------------------------------------------------------------------------------

    def _advance(self, place: Place, left: int, since: datetime | None = None) -> None:
        """Deliver, say until when everything was told, and keep the cursor, in this order.

        Args:
            place: what is reached.
            left: how many records are known to be missing.
            since: where the window began that they are missing in; default: where the last one ended.
        """
        self._tell_gathered()
        self._deliver()
        place = msgspec.structs.replace(place, seen=self.place.seen)
        if left:
            self._around.stats.truncated(self.reading.name, left)
            self._around.complain(
                f"{self.cursor}: a limit of the source hides {left} or more records; {_spoken(since or self.place.until, place.until)} "
                "counts as not covered"
            )
        doubted = self._asking.doubted()
        for meaning in sorted(doubted - self._told):
            span = _spoken(since or self.place.until, place.until)
            self._around.complain(f"{self.cursor}: {meaning}; {span} counts as not covered, and so on while it lasts")
        self._told = doubted
        if place.until > self.place.until:
            services = list(self.place.seen) if self.reading.stream.covers == "seen" else None
            self._out.polled(
                self.place.until, place.until, types=self.mapper.types, services=services, left=left,
                whole=not (left or doubted), now=self._around.clock(),
            )  # fmt: skip
        self._keep(place)

    def _keep_entities(self, changes: dict[str, Any]) -> None:
        for name, value in changes.items():
            self._around.sink.keep(f"{self.cursor}|{name}", value)
        self._around.sink.flush()

    def _keep(self, place: Place) -> None:
        self._around.sink.flush()
        self._keep_entities(self._open.changes())
        self._around.sink.keep(self.cursor, kept(place))
        self._around.sink.flush()
        self.place = place

    def _refresh(self) -> None:
        """Ask again for entities that are not final."""
        unfinished = self.reading.stream.unfinished
        if unfinished is None:
            return
        for record in self._open.old():
            given = {**self._given, **self._asking.of_record(unfinished.request, record)}
            try:
                answer = self._asking.ask(self._asking.call(unfinished.request, given))
            except SourceGone:
                self._open.forget(record)
                self._tell_gone(record)
                continue
            found = answer.body if not unfinished.record else value_at(answer.body, unfinished.record)
            if isinstance(found, dict):
                self._take_one(found)
        self._deliver()
        if lost := self._open.lost():
            self._around.stats.forgotten(self.reading.name, lost)
            self._around.complain(f"{self.cursor}: {lost} unfinished entities are too many to be asked for again")
        self._keep(self.place)

    def _tell_gone(self, kept: Record) -> None:
        """Tell that an entity was deleted at the source, where the mapping has words for that."""
        if "gone" in self.mapper.columns:
            self._tell({**kept, "polled_at": self._around.clock().isoformat(), "gone": True})
        else:
            self._around.complain(f"{self.cursor}: {dict(kept)} is gone at the source; it stays as it was last seen")


def _spoken(since: datetime, until: datetime) -> str:
    return f"{since:%Y-%m-%d %H:%M:%S} to {until:%Y-%m-%d %H:%M:%S} UTC"


def _named(known: dict[str, dict[str, Any]], kind: str) -> dict[str, Any]:
    """Return what is kept of one kind."""
    return {name: value for name, value in known.items() if name.startswith(kind)}
