"""When services are down: outages with their causes, planned maintenance, and monitoring that looks away."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from connectors.simulator.delivery import Changes, nth_weekday
from connectors.simulator.emit import MaintenanceScheduled, at
from connectors.simulator.organisation import SERVICES
from connectors.simulator.rng import poisson, spread
from connectors.simulator.setting import Entity, Monthly, Setting, Update
from connectors.simulator.story import BLOWS, level

_HOUR_S = 3600
_DAY_S = 86_400
#: Outages of a service keep this far from one another and from the ends of a month, seconds.
_APART_S = 1800
_MARGIN_S = 8 * _HOUR_S
#: An outage this long is a major incident, seconds.
MAJOR_S = 30 * 60
#: Services with a maintenance window every month, on the second Sunday from two to four o'clock.
MAINTAINED = ("payments", "claims", "network", "hr", "policy-admin")
#: Month and service whose monitoring was moved to another tool: nine hours unknown.
UNWATCHED = (6, "data-platform", 9 * _HOUR_S)
#: Month and service of an emergency repair announced only after it began, without a reason: it excludes nothing.
LATE_NOTICE = (10, "claims", 40 * 60)


@dataclass(frozen=True, slots=True)
class Outage:
    """An unplanned time down: ``check`` is the check that fails ("" for all), ``change`` what caused it, if known."""

    service: str
    start: int
    end: int
    cause: str
    check: str = ""
    #: service whose trouble this one shares, "" where it is its own
    because_of: str = ""
    change: str = ""

    @property
    def seconds(self) -> int:
        """How long it lasted."""
        return self.end - self.start

    @property
    def major(self) -> bool:
        """Whether it is handled as a major incident."""
        return self.seconds >= MAJOR_S


class Outages:
    """Unplanned outages by month; none crosses the end of its month, none of a service touches another."""

    def __init__(self, setting: Setting, changes: Changes) -> None:
        self._setting = setting
        self._changes = changes
        self._plans: dict[int, list[Outage]] = {}

    def plan(self, month: int) -> list[Outage]:
        """Return the outages of a month in order of their start."""
        found = self._plans.get(month)
        if found is None:
            found = self._plans[month] = self._make(month) if month >= self._setting.calendar.first_month else []
            for old in [m for m in self._plans if m < month - 3]:
                del self._plans[old]
        return found

    def _make(self, month: int) -> list[Outage]:
        calendar = self._setting.calendar
        lowest, highest = calendar.month_start(month) + _MARGIN_S, calendar.month_start(month + 1) - _MARGIN_S
        taken: dict[str, list[Outage]] = {s: [] for s in SERVICES}
        for wanted in (*self._told(month), *self._by_release(month), *self._by_chance(month)):
            near = taken[wanted.service]
            free = all(wanted.end + _APART_S <= o.start or wanted.start >= o.end + _APART_S for o in near)
            if free and lowest <= wanted.start and wanted.end <= highest:
                near.append(wanted)
        return sorted((o for each in taken.values() for o in each), key=lambda o: (o.start, o.service))

    def _told(self, month: int) -> Iterator[Outage]:
        for blow in BLOWS:
            if blow.month == month:
                day = nth_weekday(self._setting.calendar.days(month), blow.weekday, blow.nth)
                start = day.at(blow.hour, blow.minute)
                origin = blow.hits[0][0]
                for service, check, after, minutes in blow.hits:
                    first = start + after * 60
                    other = "" if service == origin else origin
                    yield Outage(service, first, first + minutes * 60, blow.cause, check, other)

    def _by_release(self, month: int) -> Iterator[Outage]:
        for change in self._changes.plan(month):
            r = self._setting.rng("release-outage", change.number)
            if change.failed and r.random() < 0.3:
                start = change.deployed + r.randrange(120, 1500)
                length = int(min(max(spread(r, 16 * 60, 0.6), 120), 3 * _HOUR_S))
                yield Outage(change.service, start, start + length, "release", change=change.number)

    def _by_chance(self, month: int) -> Iterator[Outage]:
        for service in SERVICES.values():
            r = self._setting.rng("outages", month, service.id)
            for _ in range(poisson(r, service.outages * level("outages", month))):
                day = r.choice(self._setting.calendar.days(month))
                start = day.start + r.randrange(_DAY_S - 2 * _HOUR_S)
                length = int(min(max(spread(r, 9 * 60, 0.9), 45), 4 * _HOUR_S))
                cause = r.choices(("hardware", "capacity", "configuration", "vendor"), (3, 2, 4, 2))[0]
                yield Outage(service.id, start, start + length, cause)

    def down(self, service: str, when: int) -> bool:
        """Return whether a service is (unplanned) down at an instant."""
        month = self._setting.calendar.month_of(when)
        return any(o.service == service and o.start <= when < o.end for o in self.plan(month))


@dataclass(slots=True)
class Window(Entity):
    """A maintenance window: of which service, when, when the service is really down, whether it excludes that."""

    service: str = ""
    start: int = 0
    end: int = 0
    down: tuple[int, int] = (0, 0)
    excludes: bool = True


class Maintenance(Monthly[Window]):
    """Planned maintenance: announced a week before."""

    name = "maintenance"
    kinds = ("maintenance.scheduled",)
    ahead = 1

    def make(self, month: int) -> Iterator[Window]:
        """Yield the windows of a month."""
        if month < self.setting.calendar.first_month:
            return
        r = self.setting.rng("maintenance", month)
        sunday = nth_weekday(self.setting.calendar.days(month), 6, 2)
        for service in MAINTAINED:
            start, end = sunday.at(2), sunday.at(4)
            down = (start + 300 + r.randrange(600), start + r.randrange(1500, 5400))
            cancelled = r.random() < 0.1
            yield self._window(month, service, start, end, down, start - 7 * _DAY_S, cancelled)
        if month == LATE_NOTICE[0]:
            day = nth_weekday(self.setting.calendar.days(month), 3, 3)
            start = day.at(15, 20)
            end = start + LATE_NOTICE[2]
            window = self._window(month, LATE_NOTICE[1], start, end, (start, end), start + 600, cancelled=False)
            window.excludes = False
            yield window

    def _window(
        self, month: int, service: str, start: int, end: int, down: tuple[int, int], said: int, cancelled: bool
    ) -> Window:
        number = f"MNT-{self.setting.calendar.label(month)}-{service}-{self.setting.calendar.day(start).number:02d}"
        window = Window(
            number, service=service, start=start, end=end, down=(0, 0) if cancelled else down, excludes=not cancelled
        )

        def tell(moment: int, off: bool) -> None:
            data = MaintenanceScheduled(
                starts_at=at(start), ends_at=at(end), id=number, announced_at=at(said), cancelled=off
            )
            window.updates.append(Update(moment, "maintenance.scheduled", service, data))

        tell(said, off=False)
        if cancelled:
            tell(start - _DAY_S, off=True)
        return window
