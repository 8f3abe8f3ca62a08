"""Ingest: one source partition as a state machine over the positions of its log.

The state after a position is a function of the log up to it and of nothing else: not of how it was fetched,
nor of the clock on the wall. So a crash, a replay or a second worker ends in the same numbers.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import itemgetter
from typing import Any

import msgspec

from pipeline.engine import wire
from pipeline.engine.bases import Base
from pipeline.engine.bounds import CHECKPOINT, LETTERS_A_MESSAGE, Names
from pipeline.engine.cells import Cells
from pipeline.engine.control import Control
from pipeline.engine.definitions import BASES_KEY, HeldBases
from pipeline.engine.direct import DirectPath, Item
from pipeline.engine.entities import Entities, HeldEntity, entity_id, sequence_number
from pipeline.engine.happenings import HAPPENING_TYPES
from pipeline.engine.letters import dead_letter, own_fault
from pipeline.engine.outbox import OUTBOX_KEY, Outbox
from pipeline.engine.output import IngestOutput
from pipeline.engine.plan import ENTITY_TYPES, SESSION, Hot, Plan
from pipeline.engine.seen import SeenIds, event_key
from pipeline.engine.services import ServiceBook
from pipeline.engine.sessions import Sessions, reported_record
from pipeline.errors import InvalidEvent, SettlingFailed
from pipeline.events.envelope import Envelope
from pipeline.events.families import SessionEnded, event_topic
from pipeline.events.validate import CONTROL_TYPES, decode_data, decode_envelope, split_message
from pipeline.time.calendar import to_ms
from pipeline.values import Exits

_OBJECT = ord("{")
#: Combinations of bases whose readers are remembered.
_REMEMBERED = 1_024
#: Events gathered before they are brought into the cells, at most (some ten megabytes of columns), and cells of the finest
#: level that take them: how many others change with them is known once they are settled, and few may wait for a flush.
MOST_UNSETTLED, MOST_TOUCHED = 262_144, 25_000
_NO_BASES: tuple[tuple[Hot, ...], tuple[Base, ...]] = ((), ())


class IngestPartition:
    """One (topic, partition): folds messages, yields partials, dead letters and durable state."""

    def __init__(self, plan: Plan, topic: str, partition: int) -> None:
        self.topic, self.partition = topic, partition
        #: last offset folded, -1 before the first
        self.position = -1
        self._plan = plan
        self._clock_ms = 0
        self._head: list[Any] = []
        organisation = plan.catalogue.organisation
        self._services = ServiceBook(plan.catalogue)
        self._cells = Cells(plan.bases, plan.calendar)
        self._names = Names(plan.catalogue)
        self._entities = Entities(plan.by_type, plan.bases, self._cells, organisation.entities)
        gap_ms = organisation.session_gap_minutes * 60_000
        self._sessions = Sessions(*plan.hot.get(SESSION, _NO_BASES), self._cells, gap_ms, organisation.open_sessions)
        self._seen = SeenIds(organisation.remembered_ids)
        self._control = Control(plan)
        self._held = HeldBases(plan, topic)
        self._horizon_ms = plan.calendar.start_of(organisation.history_from) * 1000
        self._direct = DirectPath(
            plan, topic, self._seen, self._services, self._names, self._cells, self._sessions, self._horizon_ms
        )
        self._counts = {"received": 0, "kpi": 0, "dead_letter": 0, "duplicate": 0, "unmapped": 0, "ignored": 0}
        self._reasons: dict[str, int] = {}
        self._counted = False
        self._settled_at = 0
        self._partials: list[tuple[str, bytes, bytes]] = []
        #: base keys of a cell → the CSFs that read some, with these: few combinations, many cells
        self._readers: dict[tuple[str, ...], list[tuple[str, list[str]]]] = {}
        self._outbox = Outbox()
        self._dead: list[tuple[bytes, bytes]] = []

    def entities(self) -> Iterator[HeldEntity]:
        """Yield the entities of this partition with what each contributes now."""
        return self._entities.each()

    def restore(self, position: int, chunks: Iterable[tuple[bytes, bytes]]) -> None:
        """Take recovered state: all chunks as of ``position``."""
        self.position = position
        recovered: bytes | None = None
        held: bytes | None = None
        parts: dict[bytes, Callable[[bytes, bytes], None]] = {
            b"b": self._cells.restore,
            b"c": self._cells.restore,
            b"d": self._seen.restore,
            b"x": self._seen.restore,
            b"e": self._entities.restore,
            b"s": self._sessions.restore,
            b"p": self._control.restore,
            b"n": self._names.restore,
        }
        for key, value in chunks:
            if key == OUTBOX_KEY:
                recovered = value
            elif key == BASES_KEY:
                held = value
            elif key == b"meta":
                self._clock_ms, self._counts, self._reasons, services = msgspec.msgpack.decode(value)
                self._services.restore(services)
            else:
                parts[key[:1]](key, value)
        self._settled_at = self._counts["received"]
        self._cells.expire(self._clock_ms)  # a block may still have what was dropped of it
        self._sessions.restored()
        if recovered is not None:
            told, self._partials = Outbox.unpack(recovered)
            self._outbox.others = list(range(len(self._partials)))
            self._cells.tell_again(told)
        if held is not None:
            self._take_up(held)

    def _take_up(self, held: bytes) -> None:
        """Tell rollup since when new bases are folded, and what CSFs that read an old one now have missed of it."""
        facts = self._counts["received"] > self._counts["dead_letter"] + self._reasons.get("ignored:control", 0)
        fresh, shared = self._held.restore(held, self._clock_ms, facts=facts)
        self._cells.tell_all(shared)
        for csf in self._plan.catalogue.csfs if fresh or shared else ():
            since = self._held.since(fresh | shared, csf)
            if since:
                self._say(csf, "bases", wire.BASES, since)

    def fold(self, records: Sequence[tuple[int, int, bytes]]) -> None:
        """Fold messages (offset, arrival in epoch ms, value); those at or below ``position`` are skipped."""
        new = records if records and records[0][0] > self.position else [r for r in records if r[0] > self.position]
        start = 0
        while start < len(new):
            offset = new[start][0]
            checkpoint = offset + -offset % CHECKPOINT
            end = bisect_right(new, checkpoint, lo=start, key=itemgetter(0))
            self._lead(new[start:end], self._message)
            self.position = new[end - 1][0]
            if self.position == checkpoint:
                self._bound()
            start = end
        many = self._unsettled >= MOST_UNSETTLED or self._direct.cells >= MOST_TOUCHED
        if many or self._cells.turns(self._clock_ms):
            self._settle()
        self._cells.expire(self._clock_ms)
        self._seen.expire(self._clock_ms)
        self._sessions.expire(self._clock_ms)

    def _bound(self) -> None:
        """Keep ids and sessions within their number, at a place of the log."""
        for what, number in (
            ("ids", self._seen.bound(self._clock_ms)),
            ("sessions", self._sessions.bound(self._clock_ms)),
        ):
            if number:  # no event's exit: what it tells is how far the bounds reach
                label = f"forgotten:{what}"
                self._reasons[label] = self._reasons.get(label, 0) + number
                self._counted = True

    def _lead(self, items: Sequence[Item], the_long_way: Callable[[Item, int], None]) -> None:
        """Lead items of the log to their exits: runs of them the direct way, one that cannot go there the long way."""
        at = 0
        while at < len(items):
            taken = self._direct.take(items, at, self._clock_ms)
            at, self._clock_ms = taken.upto, taken.clock_ms
            self._counts["received"] += taken.kpi + taken.duplicate
            self._counts["kpi"] += taken.kpi
            self._counts["duplicate"] += taken.duplicate
            self._counted = self._counted or taken.kpi + taken.duplicate > 0
            if at < len(items):
                self._clock_ms = max(self._clock_ms, items[at][1])
                the_long_way(items[at], at)
                at += 1

    def _message(self, item: Item, _index: int) -> None:
        """Lead the events of one message to their exits."""
        offset, arrival_ms, value = item
        self.position = offset - 1
        if value and value[0] == _OBJECT:  # one event: spares the list
            self._safely(value, offset, 0, arrival_ms)
            return
        try:
            events = split_message(value)
        except InvalidEvent as e:
            self._count("dead_letter", e.reason)
            self._bury(e, offset, 0, arrival_ms, value or b"")
        else:
            self._lead([(offset, arrival_ms, raw) for raw in events], self._event)
        self._bound()

    def _event(self, item: Item, index: int) -> None:
        self._safely(item[2], item[0], index, item[1])

    @property
    def _unsettled(self) -> int:
        """How many events were led to their exits since what they say was brought into the cells."""
        return self._counts["received"] - self._settled_at

    def _settle(self) -> None:
        """Bring what was gathered into the cells: once for many events, since it costs by the cells they touch.

        Raises:
            SettlingFailed: half of it may be there; no event can be named, and what follows would be wrong.
        """
        self._settled_at = self._counts["received"]
        try:
            self._direct.settle()
            self._sessions.settle()
            self._cells.settle()
        except Exception as e:
            raise SettlingFailed(
                f"{self.topic}/{self.partition}: what was gathered up to offset {self.position} cannot be folded: {e!r}; "
                "the state is as of the last flush, from which a restart goes on"
            ) from e

    @property
    def changed_cells(self) -> int:
        """How many cells changed since they were taken last, about: of what is not settled those of the finest level."""
        return self._cells.changes + self._direct.cells

    def take(self) -> IngestOutput:
        """Return what changed since the last call."""
        self._settle()
        self._tell_services()
        self._emit_cells()
        self._tell_happenings()
        exits = Exits(
            topic=self.topic, partition=self.partition, **self._counts, reasons=dict(self._reasons),
            truncated=self._control.truncated, clock=self._clock_ms / 1000,
        )  # fmt: skip
        chunks: list[tuple[bytes, bytes | None]] = []
        if self._counted:
            self._counted = False
            self._say(next(iter(self._plan.catalogue.csfs)), "exits", wire.EXITS, self._counts, self._reasons)
            meta = [self._clock_ms, self._counts, self._reasons, self._services.discovered]
            chunks.append((b"meta", msgspec.msgpack.encode(meta)))
        for part in (self._cells, self._seen, self._entities, self._sessions, self._control, self._held, self._names):
            chunks.extend(part.chunks())
        if self._partials:
            chunks.append((OUTBOX_KEY, self._outbox.pack(self._partials)))
        output = IngestOutput(self._dead, chunks, self._partials, exits)
        self._partials, self._dead, self._outbox = [], [], Outbox()
        return output

    def _safely(self, raw: bytes | msgspec.Raw, offset: int, index: int, arrival_ms: int) -> None:
        """Lead one event to its exit; one that meets a fault of ours is a dead letter too, and counted."""
        received = self._counts["received"]
        try:
            self._one(raw, offset, index, arrival_ms)
        except SettlingFailed:
            raise
        except Exception as e:
            if self._counts["received"] > received:
                raise  # it had its exit: what failed is not this event alone
            why = own_fault(e)
            self._count("dead_letter", why.reason)
            self._bury(why, offset, index, arrival_ms, bytes(raw))

    def _one(self, raw: bytes | msgspec.Raw, offset: int, index: int, arrival_ms: int) -> None:
        """Lead one event to its exit."""
        try:
            event = decode_envelope(raw)
            data, at_ms = decode_data(event, self.topic, arrival_ms)
            if event.type in CONTROL_TYPES:
                self._controlled(event, data)
                return
        except InvalidEvent as e:
            self._count("dead_letter", e.reason)
            self._bury(e, offset, index, arrival_ms, bytes(raw))
            return
        if at_ms < self._horizon_ms:
            self._count("ignored", "beyond-horizon")
        elif not self._seen.add(event.source, event.id, self._clock_ms):
            self._count("duplicate", "")
        elif event.type not in self._plan.wanted_types:
            self._count("unmapped", "no-kpi")
        elif (service := self._services.find(event.subject, event.csfteam)) is None:
            self._count("unmapped", self._services.refused)
        elif (refused := self._names.refuse(event.type, data, service)) is not None:
            self._count("unmapped", refused)
        else:
            try:
                self._fact(event, data, at_ms, service)
            except Exception:
                self._seen.forget([event_key(event.source, event.id)], self._clock_ms)  # its letter can be sent again
                raise

    def _fact(self, event: Envelope, data: Any, at_ms: int, service: str) -> None:
        """Fold one fact about a known service."""
        if event.type in ENTITY_TYPES:
            key = (event.type, event.source, entity_id(event.type, data, event.id))
            if self._entities.full(key):
                self._count("unmapped", "entity-limit")
                return
            sequence = sequence_number(event.sequence)
            kept = self._entities.update(key, service, data, at_ms, sequence, self._clock_ms)
            self._count(*(("kpi", "") if kept else ("ignored", "superseded")))
            return
        reported = service in self._services.reporting
        if event.type == "session.ended" and not reported:
            self._count("ignored", "not-required")
            return
        # all is read before anything is changed: an event that cannot be read leaves nothing behind
        hot, others = self._plan.hot.get(event.type, _NO_BASES)
        read = [(key, add, found) for key, add, contribution_of in hot if (found := contribution_of(data)) is not None]
        dated = [(base, *each) for base in others for each in base.extract(data, at_ms, "")]
        if event.type == "session.ended":
            self._reported_session(data, at_ms, service)
        elif not reported and SESSION in self._plan.by_type:
            if event.type == "page.viewed":
                self._sessions.view_page(service, data, at_ms, self._clock_ms)
            elif event.type == "task.finished":
                self._sessions.finish(service, data, at_ms, self._clock_ms)
        if read:
            states = self._cells.gathered(self._cells.cell_of(service, at_ms, self._clock_ms))
            for base_key, add, found in read:
                states[base_key] = add(states.get(base_key), found, 1)
        for base, dated_ms, contribution in dated:
            self._cells.gather(base, service, dated_ms, self._clock_ms, contribution)
        self._counts["received"] += 1
        self._counts["kpi"] += 1
        self._counted = True

    def _reported_session(self, data: SessionEnded, at_ms: int, service: str) -> None:
        start = at_ms - int(data.duration_s * 1000) if data.started_at is None else to_ms(data.started_at)
        record = reported_record(data, start)
        for base in self._plan.by_type.get(SESSION, ()):
            for dated_ms, contribution in base.extract(record, start, ""):
                self._cells.gather(base, service, dated_ms, self._clock_ms, contribution)

    def _controlled(self, event: Envelope, data: Any) -> None:
        """Act on a control event."""
        for said in self._control.act(event.type, data):
            if said.kind == wire.BARRIER:  # what was folded so far lies before the barrier
                self._settle()
                self._tell_services()
                self._emit_cells()
            for csf in said.shards:
                self._say(csf, said.key, said.kind, *said.body)
        if event.type == "clock.ticked" and self.topic == event_topic("control"):
            for csf in self._plan.catalogue.csfs:
                self._say(csf, "clock", wire.CLOCK)
        self._count("ignored", "control")

    def _tell_services(self) -> None:
        """Queue the services registered since the last time: rollup of every CSF shall know the same ones."""
        for service in self._services.unsaid():
            for csf in self._plan.catalogue.csfs:
                self._say(csf, f"service|{service}", wire.SERVICE, service, self._services.team(service))

    def _tell_happenings(self) -> None:
        """Queue what happened to services, for one CSF that reads such events."""
        for found in self._entities.happenings.take():
            bases = self._plan.by_type[HAPPENING_TYPES[found.kind]]
            shards = {csf for base in bases for csf in base.shards}
            found.team = self._services.team(found.service)
            self._say(min(shards), f"h|{'|'.join(found.identity)}", wire.HAPPENED, msgspec.to_builtins(found))

    def _emit_cells(self) -> None:
        """Queue the changed states for rollup, each to the CSFs that read its base."""
        for (level, start, service), states in self._cells.changed():
            keys = tuple(states)
            self._outbox.cells.append((level, start, service, list(keys)))
            readers = self._readers.get(keys)
            if readers is None:
                if len(self._readers) >= _REMEMBERED:
                    self._readers.clear()
                readers = self._readers[keys] = self._plan.readers(keys)
            team = self._services.team(service)
            for csf, read in readers:
                said = states if len(read) == len(keys) else {key: states[key] for key in read}
                self._say(csf, f"c|{level}|{start}|{service}", wire.CELL, service, team, level, start, said)

    def _say(self, csf: str, key: str, kind: str, *body: Any) -> None:
        head = [kind, self.topic, self.partition, self.position, self._clock_ms, csf]
        if kind == wire.BARRIER:
            self._outbox.ordered = True
        elif kind != wire.CELL:
            self._outbox.others.append(len(self._partials))
        message_key = f"{self.topic}|{self.partition}|{csf}|{key}".encode()
        self._partials.append((csf, message_key, wire.encode([*head, *body])))

    def _count(self, exit_name: str, reason: str) -> None:
        self._counts["received"] += 1
        self._counts[exit_name] += 1
        if reason:
            label = f"{exit_name}:{reason}"
            self._reasons[label] = self._reasons.get(label, 0) + 1
        self._counted = True

    def _bury(self, why: InvalidEvent, offset: int, index: int, arrival_ms: int, raw: bytes) -> None:
        """Queue the dead letter of a bad event; of one message, only of the first ones."""
        if index >= LETTERS_A_MESSAGE:
            return
        self._dead.append(dead_letter(why, self.topic, self.partition, (offset, index), arrival_ms, raw))
