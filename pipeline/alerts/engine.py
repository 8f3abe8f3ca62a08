"""Alerting as a state machine over positions in its log: what it hears changes alerts, what time passes tells of them.

Like ingest and rollup it knows nothing of Kafka or of the time of day. ``fold`` takes messages of ``csf.alert-inputs``
once each (those at or below ``position`` change nothing), ``advance`` decides what is to be told at an instant, and
``take_chunks`` gives what changed of the durable state. What is to be told and written stays in the state until
``settle`` says that it is done: a crash before says it again, a crash after does not.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from pipeline.alerts import inputs as i
from pipeline.alerts.book import AlertBook, Series
from pipeline.alerts.desk import Desk, Open
from pipeline.alerts.machine import Instance
from pipeline.alerts.matching import encode
from pipeline.alerts.messages import Writer, put_together
from pipeline.alerts.outbox import NEVER_TOLD, Delivery, Outbox, State
from pipeline.catalogue.alerts import AnyRule
from pipeline.catalogue.model import Catalogue
from pipeline.values import AlertChange, AlertNote, CsfStatus, KpiValue, NoteKind

_pack = msgspec.msgpack.encode
_SEPARATOR = b"\x1f"
#: Notes of one second and kind are told apart by so many numbers (``AlertNote.slot``).
SLOTS = 1_000
_CLOCKS, _TOLD, _NUMBER, _RULES = b"clocks", b"told", b"number", b"rules"


def _chunk(kind: bytes, *parts: str) -> bytes:
    return kind + _SEPARATOR.join(part.encode() for part in parts)


class _Standing(msgspec.Struct, array_like=True):
    """What the state was made by: rules, also those that are gone while alerts of theirs are open; scopes with a name."""

    rules: list[AnyRule]
    places: list[str]


class AlertEngine:
    """All alerting of an installation: one log, one machine."""

    def __init__(self, catalogue: Catalogue) -> None:
        #: last offset folded, -1 before the first
        self.position = -1
        self.book = AlertBook(catalogue)
        self.outbox = Outbox()
        self.desk = Desk(catalogue, self.book, self.outbox.untold)
        self._writer = Writer(catalogue, self.book)
        self._routes = {route.id: route for route in catalogue.routes}
        self._channels = frozenset(catalogue.channels)
        #: changes not yet written, by number
        self.changes: dict[int, AlertChange] = {}
        #: notes about what people ordered and channels did, not yet written, by number
        self.notes: dict[int, AlertNote] = {}
        self._number = 0
        self._dirty: set[bytes] = {_RULES}

    # --- hearing ---

    def fold(self, records: Iterable[tuple[int, int, bytes]]) -> int:
        """Take messages (offset, arrival in epoch ms, value); return how many could not be read."""
        bad = 0
        for offset, _arrival_ms, value in records:
            if offset <= self.position:
                continue
            try:
                self.hear(i.decode(value))
            except msgspec.DecodeError:
                bad += 1
            self.position = offset
        return bad

    def hear(self, message: i.AnyInput) -> None:
        """Take one message."""
        match message:
            case i.ValueTold() | i.StatusTold():
                self._note(self.book.take(message))
                self._dirty.add(_CLOCKS)
            case i.ClockTold():
                self._note(self.book.pass_time(message.csfs, message.clock))
                self._dirty.add(_CLOCKS)
            case i.MaintenanceTold():
                self.desk.maintenance[message.service] = message.windows
                self._dirty.add(_chunk(b"m|", message.service))
            case i.Silence() | i.Lift() | i.Acknowledgement():
                self._obey(message)

    def _obey(self, order: i.Order) -> None:
        """Do what a person ordered, and note who did it and why; what has no effect is not noted."""
        match order:
            case i.Silence():
                self.desk.silences[order.id] = order
                self._dirty.add(_chunk(b"q|", order.id))
                self._write_down(
                    order.start, "silenced", ref=order.id, who=order.by, via=order.via, until=int(order.end),
                    why=order.reason, about=encode(order.match),
                )  # fmt: skip
            case i.Lift():
                if self.desk.lift(order):
                    self._dirty.add(_chunk(b"q|", order.id))
                    self._write_down(order.at, "lifted", ref=order.id, who=order.by, via=order.via, why=order.reason)
            case i.Acknowledgement():
                if self.desk.acknowledge((order.rule, order.scope), order.by):
                    alert = f"{order.rule}|{order.scope}"
                    self._write_down(order.at, "acknowledged", who=order.by, via=order.via, alerts=(alert,))

    def _write_down(self, at: float, kind: NoteKind, **said: Any) -> None:
        number = self._next()
        self.notes[number] = AlertNote(at=int(at), slot=number % SLOTS, kind=kind, **said)
        self._dirty.add(_chunk(b"a|", str(number)))

    def _write_down_holds(self, now: float) -> None:
        for key, held in self.desk.holds:
            about, alerts = self._writer.title(key), (f"{key[0]}|{key[1]}",)
            if held is None:
                self._write_down(now, "freed", about=about, alerts=alerts)
            else:
                self._write_down(
                    now, "held", ref="|".join(held.by or ()), until=held.window[1] if held.window else None,
                    why=self._writer.why_held(held), about=about, alerts=alerts,
                )  # fmt: skip
        self.desk.holds.clear()

    def _note(self, changes: Iterable[AlertChange]) -> None:
        for change in changes:
            number = self._next()
            self.changes[number] = change
            self._dirty.add(_chunk(b"t|", str(number)))
            if change.state in {"firing", "resolved"}:
                self.desk.note((change.rule, change.scope))

    def _next(self) -> int:
        self._number += 1
        self._dirty.add(_NUMBER)
        return self._number

    # --- telling ---

    def advance(self, now: float) -> None:
        """Decide what is to be told at an instant, epoch seconds; forget silences that ended a day ago."""
        for name in [n for n, s in self.desk.silences.items() if s.end < now - 86_400]:
            del self.desk.silences[name]
            self._dirty.add(_chunk(b"q|", name))
        notifications = self.desk.decide(now)
        self._write_down_holds(now)
        nesting = self._writer.nesting() if notifications else None
        for notification in notifications:
            self._dirty.add(_TOLD)
            channels = self._routes[notification.route].channels
            if nesting is None or not channels or not notification.items:
                continue
            message = self._writer.write(notification, nesting)
            for channel in channels:
                number = self._next()
                self.outbox.deliveries[number] = Delivery(number, channel, now, message)
                self._dirty.add(_chunk(b"o|", str(number)))

    def settle(self, *, changes: Iterable[int] = (), notes: Iterable[int] = ()) -> None:
        """Note that changes and notes are written."""
        for number in changes:
            self.changes.pop(number, None)
            self._dirty.add(_chunk(b"t|", str(number)))
        for number in notes:
            self.notes.pop(number, None)
            self._dirty.add(_chunk(b"a|", str(number)))

    @property
    def deliveries(self) -> dict[int, Delivery]:
        """Deliveries not yet made, by number."""
        return self.outbox.deliveries

    def next_for(self, channel: str) -> Delivery | None:
        """Return the oldest delivery that waits for a channel, None where none does."""
        return self.outbox.next_for(channel)

    def done(self, number: int, state: State, at: float, why: str = "") -> None:
        """Note that a delivery was made or given up at an instant, and why."""
        delivery = self.deliveries.get(number)
        if delivery is None:
            return
        self._dirty.add(_chunk(b"o|", str(number)))
        ended, dropped, changed = self.outbox.end(number, state)
        self._dirty |= {_chunk(b"u|", *untold) for untold in changed}
        for kind, told, because in ((state, ended, why), ("dropped", dropped, NEVER_TOLD)):
            message = put_together(delivery.message.id, delivery.message.at, told)
            if told:
                self._write_down(
                    at, kind, ref=message.id, channel=delivery.channel, why=because, about=message.title,
                    alerts=tuple(f"{t.rule}|{t.scope}" for t in told),
                )  # fmt: skip

    # --- durable state ---

    def take_chunks(self) -> list[tuple[bytes, bytes | None]]:
        """Return the durable state that changed since the last call; None: gone."""
        book, desk = self.book, self.desk
        self._dirty |= {_chunk(b"s|", *series) for series in book.dirty_series}
        self._dirty |= {_chunk(b"i|", *key) for key in book.dirty_instances}
        self._dirty |= {_chunk(b"n|", *key) for key in desk.dirty_open}
        for dirty in (book.dirty_series, book.dirty_instances, desk.dirty_open):
            dirty.clear()
        chunks = [(chunk, self._packed(chunk)) for chunk in sorted(self._dirty)]
        self._dirty.clear()
        return chunks

    def _packed(self, chunk: bytes) -> bytes | None:
        if chunk == _CLOCKS:
            return _pack(self.book.clocks)
        if chunk == _NUMBER:
            return _pack(self._number)
        if chunk == _RULES:
            rules = [*self.book.rules.values(), *self.book.retired.values()]
            return _pack(_Standing(rules, sorted(self.book.places())))
        if chunk == _TOLD:
            return _pack([[route, list(labels), at] for (route, labels), at in self.desk.told.items()])
        kind, parts = chunk[:2], tuple(part.decode() for part in chunk[2:].split(_SEPARATOR))
        held: object | None
        match kind:
            case b"s|":
                found = self.book.series.get((parts[0], parts[1], parts[2]))
                held = None if found is None else [isinstance(found, KpiValue), found]
            case b"i|":
                held = self.book.instances.get((parts[0], parts[1]))
            case b"n|":
                held = self.desk.open.get((parts[0], parts[1]))
            case b"m|":
                held = self.desk.maintenance.get(parts[0])
            case b"q|":
                held = self.desk.silences.get(parts[0])
            case b"t|":
                held = self.changes.get(int(parts[0]))
            case b"a|":
                held = self.notes.get(int(parts[0]))
            case b"u|":
                held = True if (parts[0], parts[1], parts[2]) in self.outbox.untold else None
            case _:
                held = self.deliveries.get(int(parts[0]))
        return None if held is None else _pack(held)

    def restore(self, position: int, chunks: Iterable[tuple[bytes, bytes]]) -> None:
        """Take recovered state; alerts of rules and scopes that the catalogue no longer holds are over, and told so."""
        self.position = position
        made_by: bytes | None = None
        for chunk, value in chunks:
            if chunk == _CLOCKS:
                self.book.clocks = msgspec.msgpack.decode(value, type=dict[str, float])
            elif chunk == _NUMBER:
                self._number = msgspec.msgpack.decode(value, type=int)
            elif chunk == _RULES:
                made_by = value
            elif chunk == _TOLD:
                told = msgspec.msgpack.decode(value, type=list[tuple[str, tuple[str, ...], float]])
                self.desk.told = {(route, labels): at for route, labels, at in told}
            else:
                self._restore(chunk[:2], chunk, value)
        self._dirty |= {_chunk(b"u|", *untold) for untold in self.outbox.keep(self._channels)}
        self._retire(_Standing([], []) if made_by is None else msgspec.msgpack.decode(made_by, type=_Standing))
        if made_by is not None and made_by == self._packed(_RULES):
            self._dirty.discard(_RULES)

    def _restore(self, kind: bytes, chunk: bytes, value: bytes) -> None:
        parts = [part.decode() for part in chunk[2:].split(_SEPARATOR)]
        decode = msgspec.msgpack.decode
        match kind:
            case b"s|":
                is_value, raw = decode(value)
                series: Series = (parts[0], parts[1], parts[2])
                if self.book.watches(parts[0], parts[1]):
                    self.book.series[series] = (
                        msgspec.convert(raw, KpiValue) if is_value else msgspec.convert(raw, CsfStatus)
                    )
                else:
                    self._dirty.add(chunk)
            case b"i|":
                self.book.instances[parts[0], parts[1]] = decode(value, type=Instance)
            case b"n|":
                self.desk.open[parts[0], parts[1]] = decode(value, type=Open)
            case b"m|":
                self.desk.maintenance[parts[0]] = decode(value, type=list[tuple[int, int]])
            case b"q|":
                self.desk.silences[parts[0]] = decode(value, type=i.Silence)
            case b"t|":
                self.changes[int(parts[0])] = decode(value, type=AlertChange)
            case b"a|":
                self.notes[int(parts[0])] = decode(value, type=AlertNote)
            case b"u|":
                self.outbox.untold.add((parts[0], parts[1], parts[2]))
            case b"o|":
                self.deliveries[int(parts[0])] = decode(value, type=Delivery)
            case _:
                self._dirty.add(chunk)

    def _retire(self, before: _Standing) -> None:
        """End what the catalogue no longer holds: nothing would ever be told of it again."""
        book, desk = self.book, self.desk
        open_rules = {rule for rule, _ in desk.open.keys() | book.instances.keys()}
        known = {rule.id: rule for rule in before.rules}
        book.retired = {name: known[name] for name in sorted(open_rules & (known.keys() - book.rules.keys()))}
        gone = set(before.places) - book.places()
        for series in [s for s in book.series if s[2] in gone]:
            del book.series[series]
            book.dirty_series.add(series)
        for key in sorted(desk.open.keys() | book.instances.keys()):
            if key[0] not in book.rules and key[0] not in book.retired:  # made before rules were kept with the state
                book.forget(key)
                desk.forget(key)
            elif why := book.why_over(key, gone):
                desk.retire(key, why)
                self._note(book.retire(key, why))
