"""Delivering what a stream reads: records become events, acknowledged by the brokers before the cursor moves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from connectors.engine.asking import Asking
from connectors.engine.config import Connector, Reading
from connectors.engine.cursor import Place, kept
from connectors.engine.joined import Joined
from connectors.engine.open_entities import OpenEntities
from connectors.engine.outgoing import Outgoing, Sink
from connectors.engine.peer import Peer
from connectors.engine.records import Record, RecordMapper, exploded, folded
from connectors.engine.stats import Stats
from connectors.mapping.values import BadValue
from pipeline.errors import SourceRefused

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


class Delivery:
    """Tells the records of one stream, and keeps how far they were told.

    Args:
        connector: whose.
        reading: which stream.
        around: sink, clock.
        place: where it stands.
        asking: asks what a record lacks.
        unfinished: its entities that are not final.
    """

    def __init__(
        self, connector: Connector, reading: Reading, around: Surroundings, place: Place, asking: Asking,
        unfinished: OpenEntities,
    ) -> None:  # fmt: skip
        self.place = place
        self.mapper = RecordMapper(reading, connector.entry, connector.source)
        self.joined = Joined(reading.stream.join, reading.mapping)
        self.cursor = f"{connector.source}/{reading.name}"
        self._reading, self._around, self._asking, self._open = reading, around, asking, unfinished
        self._out = Outgoing(around.sink, around.stats, connector.source, self.cursor, reading.name)
        self._gathered: list[Record] = []
        self._told: set[str] = set()

    def begin(self) -> None:
        """Begin a poll."""
        self.joined.begin()
        self._gathered.clear()

    # -- records ---------------------------------------------------------------------------------------------------

    def take(self, records: list[Any], *, whole: bool = False) -> None:
        """Make the events of records and hand those that are new to the sink; ``whole``: nothing more is to be asked."""
        for record in records:
            if not isinstance(record, dict):
                self._out.refuse(record, BadValue("record", record, "it must be a JSON object"))
            elif whole:
                self._tell(record)
            else:
                self.take_one(record)
        self.deliver()

    def take_one(self, record: Record) -> None:
        """Make the events of one record, what it lacks asked for; ``deliver`` waits for the brokers."""
        try:
            whole = self.completed(record)
        except BadValue as e:
            self._out.refuse(record, e)
            return
        if self._reading.shape is not None:
            self._gathered.append(whole)
            return
        self._open.note(whole)
        for each in self.joined.records(exploded([whole], self._reading.stream.explode)):
            self._tell(each)

    def completed(self, record: Record) -> Record:
        """Return a record with what further requests and its own lists say of it."""
        return folded(self._asking.completed(record), self._reading.stream.folds)

    def take_gone(self, kept_of: Record) -> None:
        """Tell that an entity was deleted at the source, where the mapping has words for that."""
        if "gone" in self.mapper.columns:
            self._tell({**kept_of, "polled_at": self._around.clock().isoformat(), "gone": True})
        else:
            self._around.complain(f"{self.cursor}: {dict(kept_of)} is gone at the source; it stays as it was last seen")

    def drop_gathered(self) -> None:
        """Forget what was gathered for the connector's own code: the window is read anew."""
        self._gathered.clear()

    def tell_gathered(self, tells: Callable[[Record], bool] = lambda _: True) -> None:
        """Tell what the connector's own code makes of all records of a window, of that what ``tells`` says.

        Raises:
            SourceRefused: the records are not as the source documents them.
        """
        gathered, self._gathered = self._gathered, []
        if self._reading.shape is None:
            return
        try:
            shaped = [record for record in self._reading.shape(gathered) if tells(record)]
        except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError) as e:
            raise SourceRefused(f"{self.cursor}: the records are not as the source documents them: {e}") from None
        for record in shaped:
            self._tell(record)

    def _tell(self, record: Record) -> None:
        for event in self.mapper.events(record, lambda why: self._out.refuse(record, why)):
            self._out.send(event)

    def deliver(self) -> None:
        """Return once the brokers hold what was sent."""
        spoken = self._out.deliver()
        if self._reading.stream.covers == "seen":
            seen = dict.fromkeys([*self.place.seen, *spoken])
            self.place = msgspec.structs.replace(self.place, seen=tuple(seen)[:_MOST_SEEN])

    # -- cursor and coverage ---------------------------------------------------------------------------------------

    def advance(self, place: Place, left: int, since: datetime | None = None) -> None:
        """Deliver, say until when everything was told, and keep the cursor, in this order.

        Args:
            place: what is reached.
            left: how many records are known to be missing.
            since: where the window began that they are missing in; default: where the last one ended.
        """
        self.tell_gathered()
        self.deliver()
        place = msgspec.structs.replace(place, seen=self.place.seen)
        if left:
            self._around.stats.truncated(self._reading.name, left)
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
            services = list(self.place.seen) if self._reading.stream.covers == "seen" else None
            self._out.polled(
                self.place.until, place.until, types=self.mapper.types, services=services, left=left,
                whole=not (left or doubted), now=self._around.clock(),
            )  # fmt: skip
        self.keep(place)

    def keep(self, place: Place) -> None:
        """Keep the entities, and then the cursor, once the brokers hold what was sent."""
        self._around.sink.flush()
        self.keep_entities(self._open.changes())
        self._around.sink.keep(self.cursor, kept(place))
        self._around.sink.flush()
        self.place = place

    def keep_entities(self, changes: dict[str, Any]) -> None:
        """Return once the brokers hold what is to be kept of entities: name → state, None where nothing any more."""
        for name, value in changes.items():
            self._around.sink.keep(f"{self.cursor}|{name}", value)
        self._around.sink.flush()


def _spoken(since: datetime, until: datetime) -> str:
    return f"{since:%Y-%m-%d %H:%M:%S} to {until:%Y-%m-%d %H:%M:%S} UTC"
