"""What all parts of a world share, and how facts of a month become its events."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Generic, NamedTuple, TypeVar

import msgspec

from connectors.simulator.calendar import OFFICE, Day, WorldCalendar
from connectors.simulator.emit import Emitter, Item, in_order
from connectors.simulator.rng import rng

#: Months whose facts are kept in memory behind the one being told.
_KEPT_MONTHS = 9
#: Before the anchor, measurements come as finely as a monitoring system keeps its last hours, seconds.
RECENT_S = 6 * 3600
_MINUTE = 60


@dataclass
class Setting:
    """Seed, time and zone of one world.

    Attributes:
        anchor: where history ends and live begins, epoch seconds.
        pauses: whole clock hours after the anchor that nobody watched live, told as coarsely as history.
    """

    seed: int
    anchor: int
    calendar: WorldCalendar
    pauses: list[tuple[int, int]] = field(default_factory=list)

    @property
    def recent_from(self) -> int:
        """From here on checks and requests come by the minute."""
        return (self.anchor - RECENT_S) // 3600 * 3600

    @property
    def live_from(self) -> int:
        """From here on requests come by the second."""
        return -(-self.anchor // _MINUTE) * _MINUTE

    def coarse(self, hour_start: int) -> bool:
        """Return whether a clock hour is told in sums: history, and pauses of the live simulator."""
        return hour_start < self.recent_from or any(a <= hour_start < b for a, b in self.pauses)

    def rng(self, *parts: object) -> Random:
        """Return a generator of its own for one named part of this world."""
        return rng(self.seed, *parts)

    def office_time(self, r: Random, month: int) -> int:
        """Draw an instant of a month at which people work: more on working days, mostly in office hours."""
        days = self.calendar.days(month)
        day = r.choice(days)
        while not day.working and r.random() < 0.7:
            day = r.choice(days)
        return self.office_time_of(r, day)

    def office_time_of(self, r: Random, day: Day) -> int:
        """Draw an instant of a day at which people work."""
        hour = r.choices(range(24), OFFICE)[0]
        return min(day.at(hour, r.randrange(60), r.randrange(60)), day.end - 1)


class Update(NamedTuple):
    """One thing said about an entity: when, the event type, the service, the data."""

    at: int
    kind: str
    subject: str
    data: msgspec.Struct


@dataclass(slots=True)
class Entity:
    """Something of the world that is told in one or more updates, first to last.

    Attributes:
        number: unique among the entities of its stream.
    """

    number: str
    updates: list[Update] = field(default_factory=list)

    def told(self, until: int) -> list[Update]:
        """Return what was said before an instant."""
        return [u for u in self.updates if u.at < until]


E = TypeVar("E", bound=Entity)


class Monthly(ABC, Generic[E]):
    """Facts that are made month by month, and their events day by day.

    Attributes:
        name: of the stream.
        kinds: event types it tells.
        lookback: months after which an entity is surely told to its end.
        ahead: months before its own in which an entity may be told about.
        numbered: whether updates carry their number as ``sequence``.
    """

    name: str
    kinds: tuple[str, ...]
    lookback = 2
    ahead = 0
    numbered = False

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self._plans: dict[int, list[E]] = {}
        self._by_day: dict[int, dict[int, list[tuple[Update, str, int]]]] = {}

    @abstractmethod
    def make(self, month: int) -> Iterable[E]:
        """Yield the facts of a month of the story, the same ones for the same world."""

    def plan(self, month: int) -> list[E]:
        """Return the facts of a month of the story."""
        found = self._plans.get(month)
        if found is None:
            found = self._plans[month] = list(self.make(month))
            self._forget(month)
        return found

    def _forget(self, month: int) -> None:
        for kept in (self._plans, self._by_day):
            for old in [m for m in kept if m < month - _KEPT_MONTHS]:
                kept.pop(old)

    def _days(self, month: int) -> dict[int, list[tuple[Update, str, int]]]:
        found = self._by_day.get(month)
        if found is None:
            found = self._by_day[month] = {}
            day_start = self.setting.calendar.calendar.day_start
            for entity in self.plan(month):
                for k, update in enumerate(entity.updates):
                    found.setdefault(day_start(update.at), []).append((update, entity.number, k))
        return found

    def key(self, entity: str, _update: Update) -> str:
        """Return what an update's order depends on: by default the entity."""
        return entity

    def items(self, stream: int, start: int) -> Iterator[Item]:
        """Yield the events from an instant on, without end."""
        emitters = {kind: Emitter(self.setting.seed, stream, kind) for kind in self.kinds}
        calendar = self.setting.calendar
        day = calendar.day(start)
        while True:
            told: list[Item] = []
            months = range(day.month - self.lookback, day.month + self.ahead + 1)
            updates = [u for month in months for u in self._days(month).get(day.start, ())]
            for n, (update, number, k) in enumerate(updates):
                if update.at >= start:
                    emit, key = emitters[update.kind], self.key(number, update)
                    sequence = k if self.numbered else None
                    told.append(emit(update.at, n, f"{number}-{k}", update.subject, update.data, key, sequence))
            yield from in_order(told)
            day = calendar.day(day.end)
