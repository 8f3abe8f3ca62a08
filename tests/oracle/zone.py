"""Local hours, days and months of a zone, worked out from the wall clock one instant at a time."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo


@lru_cache(maxsize=200_000)
def first_instant(zone: str, day: date) -> int:
    """Return the first instant (epoch s) whose wall clock in the zone shows a date (or a later one)."""
    at = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) - 16 * 3600
    while datetime.fromtimestamp(at, ZoneInfo(zone)).date() < day:
        at += 900
    return at


def local_date(zone: str, at_s: float) -> date:
    return datetime.fromtimestamp(at_s, ZoneInfo(zone)).date()


def day_of(zone: str, at_s: float) -> tuple[int, int]:
    """Return [start, end) of the local day of an instant."""
    day = local_date(zone, at_s)
    return first_instant(zone, day), first_instant(zone, day + timedelta(days=1))


def month_of(zone: str, at_s: float) -> tuple[int, int]:
    """Return [start, end) of the local month of an instant."""
    day = local_date(zone, at_s)
    following = date(day.year + day.month // 12, day.month % 12 + 1, 1)
    return first_instant(zone, day.replace(day=1)), first_instant(zone, following)


def hour_of(zone: str, at_s: float) -> int:
    """Return the start of the local clock hour of an instant."""
    at = int(at_s)
    wall = datetime.fromtimestamp(at, ZoneInfo(zone))
    return at - wall.minute * 60 - wall.second


def days_within(zone: str, start: int, end: int) -> list[tuple[int, int]]:
    """Return the local days that overlap [start, end)."""
    found, at = [], start
    while at < end:
        found.append(day_of(zone, at))
        at = found[-1][1]
    return found


def period_of(zone: str, kind: str, at_s: int) -> tuple[int, int]:
    if kind == "hour":
        return at_s // 3600 * 3600, at_s // 3600 * 3600 + 3600
    return day_of(zone, at_s) if kind == "day" else month_of(zone, at_s)


#: What each rolling window slides by, seconds, and its length.
STEPS = {"5m": 60, "30m": 60, "1h": 60, "6h": 300, "24h": 300, "3d": 300, "7d": 3600, "30d": 3600}
LENGTHS = {"5m": 300, "30m": 1800, "1h": 3600, "6h": 21600, "24h": 86400, "3d": 259200, "7d": 604800, "30d": 2592000}


def window_at(window: str, now_s: float) -> tuple[int, int]:
    step = STEPS[window]
    end = (int(now_s) // step + 1) * step
    return end - LENGTHS[window], end
