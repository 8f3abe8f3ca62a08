"""Reading one stream: windows or keysets in order, events acknowledged by the brokers before the cursor moves."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Any, Protocol

import msgspec

from connectors.engine.client import Answer, Call, Client, CutOff
from connectors.engine.config import Connector, Reading
from connectors.engine.cursor import Place, before, kept, whole_seconds
from connectors.engine.declaration import Keyset, Request, Snapshot, TooMany, Window
from connectors.engine.joined import Joined
from connectors.engine.open_entities import OpenEntities
from connectors.engine.paginate import pages, value_at
from connectors.engine.records import Record, RecordMapper, exploded, folded, holds
from connectors.engine.stats import Stats
from connectors.engine.texts import filled, places, time_text
from connectors.mapping.events import MappedEvent
from connectors.mapping.fields import field_at, picked
from connectors.mapping.values import BadValue, time_reader
from pipeline.errors import SourceRefused
from pipeline.events.envelope import OutEvent
from pipeline.events.families import SourcePolled, event_topic

_CONTROL = event_topic("control")
#: Events that were sent a while ago and are read again, with an overlap, are not sent again; so many are remembered.
_REMEMBERED = 50_000
#: Services that a stream may speak for one by one.
_MOST_SEEN = 500
_KEPT = 65_536


class Sink(Protocol):
    """Where events go: ``connectors.producer.EventProducer``, or what shows them only."""

    def add(self, topic: str, key: str, raw: bytes, source: str = "") -> bool:
        """Take an encoded event."""

    def send(self, topic: str, event: OutEvent, key: str | None = None) -> bool:
        """Take an event as a message of its own."""

    def bury(self, topic: str, reason: str, detail: str, raw: bytes, **more: object) -> None:
        """Take what is no event."""

    def keep(self, cursor: str, value: dict[str, Any] | None) -> None:
        """Take a cursor; None ends one."""

    def flush(self) -> None:
        """Return once the brokers hold everything."""


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

    client: Client
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
        open_entities: entities that are asked for again.
        given: what the source was asked at the start.
    """

    def __init__(
        self, connector: Connector, reading: Reading, around: Surroundings, place: Place,
        open_entities: OpenEntities, given: dict[str, str] | None = None,
    ) -> None:  # fmt: skip
        self.reading, self.place = reading, place
        self._around, self._open = around, open_entities
        self._source, self._timeout = connector.source, connector.entry.timeout_s
        self._given = {**reading.given, **(given or {})}
        #: what the request of the moment was given: further requests for a record may ask for the same window
        self._asked: dict[str, Any] = self._given
        self.mapper = RecordMapper(reading, connector.entry, connector.source)
        self._joined = Joined(reading.stream.join, reading.mapping)
        self._recent: OrderedDict[bytes, None] = OrderedDict()
        self._waiting: list[MappedEvent] = []
        self._doubted: set[str] = set()
        self._told: set[str] = set()
        self.cursor = f"{connector.source}/{reading.name}"

    def poll(self) -> None:
        """Read what is new, to the end.

        Raises:
            ServiceUnavailable: source or brokers do not answer; what was acknowledged is kept.
            SourceRefused: the source refuses.
        """
        self._joined.begin()
        match self.reading.stream.cursor:
            case Window() as window:
                self._windows(window)
            case Keyset() as keyset:
                self._keyset(keyset)
            case Snapshot():
                self._snapshot()
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
        start = max(before(self.place.until, cursor.overlap_s), self.place.first)
        length = cursor.step_s
        while start < end:
            until = min(start + timedelta(seconds=length), end)
            left = 0
            try:
                self._window(cursor, start, until)
            except CutOff as e:
                if (until - start).total_seconds() > cursor.narrowest_s and cursor.newest_first is None:
                    length = max(cursor.narrowest_s, float(int((until - start).total_seconds() / 2)))
                    self._deliver()
                    continue
                left = e.left
            self._advance(msgspec.structs.replace(self.place, until=max(until, self.place.until)), left, since=start)
            start = until
            length = min(cursor.step_s, length * 2)

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
        self._asked = given
        most = cursor.too_many.rows if cursor.too_many else None
        rows = 0
        for records in self._pages(self._call(self.reading.stream.request, given), cursor.too_many):
            rows += len(records)
            older = self._older(records, cursor.newest_first, start)
            self._take(records if older is None else records[:older])
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
        self._asked = given
        request = self.reading.stream.request
        if ties:
            request = msgspec.structs.replace(request, query={**request.query, **cursor.ties})
        records: list[Record] = []
        for page in self._pages(self._call(request, given), None):  # an empty page may be one that rights emptied
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

    def _snapshot(self) -> None:
        now = whole_seconds(self._around.clock())
        if self.place.until == self.place.first:  # what was before the first look nobody knows
            self.place = msgspec.structs.replace(self.place, until=now, first=now)
        left = 0
        try:
            for records in self._pages(self._call(self.reading.stream.request, self._given), None):
                self._take([{"polled_at": now.isoformat(), **r} if isinstance(r, dict) else r for r in records])
        except CutOff as e:
            left = e.left
        self._advance(msgspec.structs.replace(self.place, until=max(now, self.place.until)), left)

    # -- requests --------------------------------------------------------------------------------------------------

    def _call(self, request: Request, given: dict[str, Any]) -> Call:
        where = self.cursor
        return Call(
            self._around.client.address(filled(request.path, given, where)), request.method,
            {k: str(v) for k, v in filled(dict(request.query), given, where).items()},
            filled(dict(request.headers), given, where), filled(request.body, given, where),
        )  # fmt: skip

    def _ask(self, call: Call, too_many: TooMany | None = None) -> Answer:
        self._around.alive()
        self._around.client.address(call.url)

        def cut_off(status: int, text: str) -> bool:
            return too_many is not None and status == too_many.status and too_many.says.lower() in text.lower()

        return self._around.client.ask(call, cut_off)

    def _pages(self, first: Call, too_many: TooMany | None) -> Iterator[list[Any]]:
        stream = self.reading.stream
        return pages(
            first, stream.paginator, lambda call: self._ask(call, too_many), lambda a: self._records(a, stream.records)
        )

    def _records(self, answer: Answer, path: str) -> list[Any]:
        found = answer.body if not path else value_at(answer.body, path)
        self._doubt(answer)
        if isinstance(found, list):
            return self._named(found, answer)
        if found is None and self.reading.stream.omits_empty and isinstance(answer.body, dict):
            return []
        where = f"'{path}'" if path else "a list"
        keys = ", ".join(map(str, answer.body))[:200] if isinstance(answer.body, dict) else type(answer.body).__name__
        raise SourceRefused(
            f"{self.cursor}: the answer has no {where} to hold the records; it has: {keys or 'nothing'}"
        )

    def _doubt(self, answer: Answer) -> None:
        """Note where an answer says itself that it is not the whole truth."""
        for path, meaning in self.reading.stream.doubts.items():
            if value_at(answer.body, path):
                self._doubted.add(meaning)

    def _named(self, rows: list[Any], answer: Answer) -> list[Any]:
        """Return rows of values as records, where the answer names its columns apart."""
        path = self.reading.stream.columns
        if path is None:
            return rows
        names = value_at(answer.body, path)
        if not isinstance(names, list):
            raise SourceRefused(f"{self.cursor}: the answer has no list '{path}' that names the columns")
        return [
            dict(zip(map(str, names), row, strict=False)) if isinstance(row, list) and len(row) == len(names) else row
            for row in rows
        ]

    # -- records ---------------------------------------------------------------------------------------------------

    def _take(self, records: list[Any]) -> None:
        """Make the events of records and hand those that are new to the sink."""
        for record in records:
            if not isinstance(record, dict):
                self._refuse(record, BadValue("record", record, "it must be a JSON object"))
                continue
            self._take_one(record)
        self._deliver()

    def _take_one(self, record: Record) -> None:
        try:
            whole = folded(self._completed(record), self.reading.stream.folds)
        except BadValue as e:
            self._refuse(record, e)
            return
        self._open.note(whole)
        for each in self._joined.records(exploded([whole], self.reading.stream.explode)):
            for event in self.mapper.events(each, lambda why, each=each: self._refuse(each, why)):  # type: ignore[misc]
                self._send(event)

    def _completed(self, record: Record) -> Record:
        """Return a record with what further requests say of it."""
        for name, also in self.reading.stream.also.items():
            call = self._call(also.request, {**self._asked, **self._of_record(also.request, record)})
            answer = self._ask(call)
            found = (
                [answer.body]
                if isinstance(answer.body, dict) and not also.records
                else self._records(answer, also.records)
            )
            only = [r for r in found if isinstance(r, dict) and holds(also.only, r)]
            record = {**record, name: only}
        return record

    def _of_record(self, request: Request, record: Record) -> dict[str, str]:
        names = places([request.path, dict(request.query), request.body])
        columns = {n: n.removeprefix("record:") for n in names if n.startswith("record:")}
        row = picked(record, columns.values())
        return {name: str(row[column]) for name, column in columns.items()}

    def _refuse(self, record: Any, why: BadValue) -> None:
        self._around.stats.refused(self.reading.name)
        raw = msgspec.json.encode(record)[:_KEPT]
        detail = f"{self.cursor}: {why}"
        self._around.sink.bury(
            "", "unmappable-row", detail, raw, source=self._source, column=why.column, value=why.value
        )

    def _send(self, event: MappedEvent) -> None:
        mark = msgspec.json.encode([event.topic, event.key]) + event.raw
        digest = hash_of(mark)
        if digest in self._recent:
            return
        self._around.sink.add(event.topic, event.key, event.raw, self._source)
        self._waiting.append(event)
        self._recent[digest] = None

    def _deliver(self) -> None:
        """Return once the brokers hold what was sent; what they do not hold is not remembered as sent."""
        try:
            self._around.sink.flush()
        except BaseException:
            self._recent.clear()
            self._waiting.clear()
            raise
        kinds: dict[str, int] = {}
        for event in self._waiting:
            kinds[event.type] = kinds.get(event.type, 0) + 1
        for kind, number in kinds.items():
            self._around.stats.events(self.reading.name, kind, number)
        if self.reading.stream.covers == "seen":
            seen = dict.fromkeys([*self.place.seen, *(e.service for e in self._waiting)])
            self.place = msgspec.structs.replace(self.place, seen=tuple(seen)[:_MOST_SEEN])
        self._waiting.clear()
        while len(self._recent) > _REMEMBERED:
            self._recent.popitem(last=False)

    # -- cursor and coverage ---------------------------------------------------------------------------------------

    def _advance(self, place: Place, left: int, since: datetime | None = None) -> None:
        """Deliver, say until when everything was told, and keep the cursor, in this order.

        Args:
            place: what is reached.
            left: how many records are known to be missing.
            since: where the window began that they are missing in; default: where the last one ended.
        """
        self._deliver()
        place = msgspec.structs.replace(place, seen=self.place.seen)
        if left:
            self._around.stats.truncated(self.reading.name, left)
            self._around.complain(
                f"{self.cursor}: a limit of the source hides {left} or more records; {_spoken(since or self.place.until, place.until)} "
                "counts as not covered"
            )
        for meaning in sorted(self._doubted - self._told):
            span = _spoken(since or self.place.until, place.until)
            self._around.complain(f"{self.cursor}: {meaning}; {span} counts as not covered, and so on while it lasts")
        self._told = set(self._doubted)
        if place.until > self.place.until:
            self._say_polled(self.place.until, place.until, left, whole=not (left or self._doubted))
        self._doubted.clear()
        self._keep(place)

    def _say_polled(self, start: datetime, until: datetime, left: int, *, whole: bool) -> None:
        services: list[list[str] | None] = [None]
        if self.reading.stream.covers == "seen":
            services = [[each] for each in self.place.seen]
        for covered in services:
            data = SourcePolled(
                source=self.cursor, from_=start, to=until, types=self.mapper.types, complete=whole,
                truncated=left if covered is None or covered == services[0] else 0, services=covered,
            )  # fmt: skip
            text = f"polled|{self.cursor}|{start.isoformat()}|{until.isoformat()}|{left}|{covered}"
            event = OutEvent(
                id=hash_of(text.encode()).hex(), source=self._source, type="source.polled",
                time=min(until, self._around.clock()), subject="", data=data,
            )  # fmt: skip
            self._around.sink.send(_CONTROL, event, key=self.cursor)

    def _keep(self, place: Place) -> None:
        self._around.sink.flush()
        for name, value in self._open.changes().items():
            self._around.sink.keep(f"{self.cursor}|{name}", value)
        self._around.sink.keep(self.cursor, kept(place))
        self._around.sink.flush()
        self.place = place

    def _refresh(self) -> None:
        """Ask again for entities that are not final."""
        unfinished = self.reading.stream.unfinished
        if unfinished is None:
            return
        for record in self._open.old():
            call = self._call(unfinished.request, {**self._given, **self._of_record(unfinished.request, record)})
            try:
                answer = self._ask(call)
            except SourceRefused as e:
                if " answers 404" not in str(e) and " answers 410" not in str(e):
                    raise
                self._open.forget(record)
                self._around.complain(
                    f"{self.cursor}: {dict(record)} is gone at the source; it stays as it was last seen"
                )
                continue
            found = answer.body if not unfinished.record else value_at(answer.body, unfinished.record)
            if isinstance(found, dict):
                self._take_one(found)
        self._deliver()
        if lost := self._open.lost():
            self._around.stats.forgotten(self.reading.name, lost)
            self._around.complain(f"{self.cursor}: {lost} unfinished entities are too many to be asked for again")
        self._keep(self.place)


def _spoken(since: datetime, until: datetime) -> str:
    return f"{since:%Y-%m-%d %H:%M:%S} to {until:%Y-%m-%d %H:%M:%S} UTC"


def hash_of(raw: bytes) -> bytes:
    """Return a short digest."""
    return blake2b(raw, digest_size=16).digest()
