"""What is done once a month: which months it is due for."""

from __future__ import annotations

from datetime import date, datetime
from datetime import time as clock_time
from zoneinfo import ZoneInfo


def newest_due(zone: str, day: int, at: str, now: datetime) -> date:
    """Return the first day of the newest month that something is due for which is done once a month, after its end.

    Args:
        zone: IANA name of the zone of day and time.
        day: of the following month, 1 to 28.
        at: local time, ``06:00``.
        now: an aware time.
    """
    local = now.astimezone(ZoneInfo(zone))
    due = (day, clock_time.fromisoformat(at))
    back = 1 if (local.day, local.time()) >= due else 2
    months = local.year * 12 + local.month - 1 - back
    return date(months // 12, months % 12 + 1, 1)


def months_after(last: date, until: date) -> list[date]:
    """Return the first days of the months after ``last`` up to ``until``."""
    first, end = last.year * 12 + last.month, until.year * 12 + until.month - 1
    return [date(n // 12, n % 12 + 1, 1) for n in range(first, end + 1)]
