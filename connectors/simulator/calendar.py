"""Time of the world: its months, local days and hours, and when people are at work."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from connectors.simulator.story import MONTHS
from pipeline.time.calendar import Calendar

#: Load of the hours of a local day against the busiest (hour 11).
HOURS = (
    0.10, 0.07, 0.05, 0.05, 0.06, 0.10, 0.20, 0.36, 0.58, 0.80, 0.92, 1.00,
    0.86, 0.82, 0.84, 0.82, 0.76, 0.70, 0.66, 0.70, 0.72, 0.58, 0.38, 0.20,
)  # fmt: skip
PEAK_HOUR = 11
#: Load of the days of a week against an ordinary working day, Monday first.
WEEK = (1.12, 1.05, 1.0, 1.0, 0.96, 0.66, 0.58)
#: Season: the calendar months against the mean (renewals at the turn of the year, a quiet summer).
SEASON = (1.06, 1.0, 1.0, 0.99, 0.98, 0.97, 0.93, 0.93, 1.0, 1.01, 1.05, 1.08)
#: Share of office work in the hours of a local working day (incidents, changes).
OFFICE = (1, 1, 1, 1, 1, 2, 4, 9, 14, 16, 15, 13, 10, 13, 14, 13, 11, 7, 4, 3, 3, 2, 2, 1)


@dataclass(frozen=True)
class Day:
    """A local day: start and end (epoch seconds), month of the story (1 is the first), date, hours."""

    start: int
    end: int
    month: int
    number: int
    weekday: int
    calendar_month: int
    #: (start of the clock hour, local hour)
    hours: tuple[tuple[int, int], ...]

    @property
    def working(self) -> bool:
        """Whether people work that day."""
        return self.weekday < 5

    def at(self, hour: int, minute: int = 0, second: int = 0) -> int:
        """Return a local clock time of the day, epoch seconds."""
        start = next((s for s, h in self.hours if h == hour), self.start + hour * 3600)
        return start + minute * 60 + second


class WorldCalendar:
    """Months and days of one world.

    Args:
        zone: time zone of the organisation.
        anchor: the instant at which history ended and live began, epoch seconds.
        months: finished months of history before the one that holds the anchor.
    """

    def __init__(self, zone: str, anchor: int, months: int = MONTHS) -> None:
        self.calendar = Calendar(zone)
        first = self.calendar.month_start(anchor)
        for _ in range(months):
            first = self.calendar.previous_month(first)
        #: month of the story that the first month of this history is: a shorter history begins later in it
        self.first_month = MONTHS - months + 1
        self._starts: list[int] = [first]
        self._days: dict[int, Day] = {}
        self._month_days: dict[int, list[Day]] = {}

    @property
    def start(self) -> int:
        """Start of history, epoch seconds."""
        return self._starts[0]

    def month_start(self, month: int) -> int:
        """Return the start of a month of the story; months before the first are counted back."""
        index = month - self.first_month
        if index < 0:
            start = self._starts[0]
            for _ in range(-index):
                start = self.calendar.previous_month(start)
            return start
        while len(self._starts) <= index:
            self._starts.append(self.calendar.next_month(self._starts[-1]))
        return self._starts[index]

    def month_of(self, when: int) -> int:
        """Return the month of the story that holds an instant (of history or later)."""
        month = self.first_month
        while self.month_start(month + 1) <= when:
            month += 1
        while self.month_start(month) > when:
            month -= 1
        return month

    def label(self, month: int) -> str:
        """Return a month of the story as ``2026-05``."""
        local: datetime = self.calendar.local(self.month_start(month))
        return f"{local.year:04d}-{local.month:02d}"

    def day(self, when: int) -> Day:
        """Return the local day that holds an instant."""
        start = self.calendar.day_start(when)
        found = self._days.get(start)
        if found is None:
            if len(self._days) > 2000:
                self._days.clear()
            found = self._days[start] = self._make(start)
        return found

    def _make(self, start: int) -> Day:
        end = self.calendar.next_day(start)
        local = self.calendar.local(start)
        hours = tuple((s, self.calendar.local(s).hour) for s in range(start, end, 3600))
        return Day(start, end, self.month_of(start), local.day, local.weekday(), local.month, hours)

    def days(self, month: int) -> list[Day]:
        """Return the days of a month of the story."""
        found = self._month_days.get(month)
        if found is None:
            found, when, end = [], self.month_start(month), self.month_start(month + 1)
            while when < end:
                found.append(self.day(when))
                when = found[-1].end
            self._month_days[month] = found
        return found
