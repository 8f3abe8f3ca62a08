"""Calendar days and months of one time zone, daylight saving included.

All instants are epoch seconds (UTC). A local day starts at the first instant that shows its date.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

#: Zones change their offset only at multiples of this, seconds; days are looked up once a quarter.
_QUARTER = 900


class Calendar:
    """Days and months of a zone, with look-ups cached.

    Args:
        zone: IANA name, for example ``Europe/Zurich``.
    """

    def __init__(self, zone: str = "UTC") -> None:
        self.zone = ZoneInfo(zone)
        self._day_of_quarter: dict[int, int] = {}
        self._hour_of_quarter: dict[int, int] = {}
        self._month_of_day: dict[int, int] = {}
        self._next_day: dict[int, int] = {}
        self._next_month: dict[int, int] = {}
        self._next_of_month: dict[int, int] = {}

    def local(self, at_s: float) -> datetime:
        """Return the local wall-clock time of an instant."""
        return datetime.fromtimestamp(at_s, self.zone)

    def start_of(self, day: date) -> int:
        """Return the instant at which a local date starts."""
        start = int(datetime(day.year, day.month, day.day, tzinfo=self.zone).timestamp())
        while self.local(start).date() < day:  # midnight does not exist where clocks jump over it
            start += _QUARTER
        return start

    def day_start(self, at_s: int) -> int:
        """Return the start of the local day that holds an instant."""
        quarter = at_s // _QUARTER
        found = self._day_of_quarter.get(quarter)
        if found is None:
            if len(self._day_of_quarter) > 100_000:
                self._day_of_quarter.clear()
            found = self.start_of(self.local(at_s).date())
            self._day_of_quarter[quarter] = found
        return found

    def hour_start(self, at_s: int) -> int:
        """Return the start of the local clock hour that holds an instant."""
        quarter = at_s // _QUARTER
        found = self._hour_of_quarter.get(quarter)
        if found is None:
            if len(self._hour_of_quarter) > 100_000:
                self._hour_of_quarter.clear()
            start = quarter * _QUARTER
            found = start - self.local(start).minute * 60
            self._hour_of_quarter[quarter] = found
        return found

    def next_day(self, day_start: int) -> int:
        """Return the start of the local day after the one that starts at ``day_start``."""
        found = self._next_day.get(day_start)
        if found is None:
            found = self._next_day[day_start] = self.start_of(self.local(day_start).date() + timedelta(days=1))
        return found

    def month_start(self, at_s: int) -> int:
        """Return the start of the local month that holds an instant."""
        day = self.day_start(at_s)
        found = self._month_of_day.get(day)
        if found is None:
            found = self.start_of(self.local(day).date().replace(day=1))
            self._month_of_day[day] = found
        return found

    def next_month(self, month_start: int) -> int:
        """Return the start of the month after the one that starts at ``month_start``."""
        found = self._next_of_month.get(month_start)
        if found is None:
            first = self.local(month_start).date()
            found = self.start_of((first.replace(day=28) + timedelta(days=4)).replace(day=1))
            self._next_of_month[month_start] = found
        return found

    def previous_month(self, month_start: int) -> int:
        """Return the start of the month before the one that starts at ``month_start``."""
        first = self.local(month_start).date()
        return self.start_of((first - timedelta(days=1)).replace(day=1))

    def days(self, start: int, end: int) -> list[int]:
        """Return the starts of the local days that overlap [start, end)."""
        day, found = self.day_start(start), []
        while day < end:
            found.append(day)
            day = self.next_day(day)
        return found

    def period(self, kind: str, at_s: int) -> tuple[int, int]:
        """Return [start, end) of the hour, day or month that holds an instant.

        Hours are UTC hours, also in zones with half-hour offsets.
        """
        if kind == "hour":
            start = at_s - at_s % 3600
            return start, start + 3600
        if kind == "day":
            start = self.day_start(at_s)
            return start, self.next_day(start)
        if kind == "month":
            start = self.month_start(at_s)
            return start, self.next_month(start)
        raise ValueError(f"period '{kind}' is none of hour, day, month")

    def parse_month(self, month: str) -> int:
        """Return the start of a month written ``2026-10``."""
        year, number = month.split("-")
        return self.start_of(date(int(year), int(number), 1))

    def iso(self, at_s: int) -> str:
        """Return an instant as local RFC 3339 with offset."""
        return self.local(at_s).isoformat()


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def to_ms(at: datetime) -> int:
    """Return epoch milliseconds of an aware datetime (rounded down)."""
    since = at - EPOCH
    return since.days * 86_400_000 + since.seconds * 1_000 + since.microseconds // 1_000


def from_ms(at_ms: int) -> datetime:
    """Return the aware UTC datetime of epoch milliseconds."""
    return EPOCH + timedelta(milliseconds=at_ms)
