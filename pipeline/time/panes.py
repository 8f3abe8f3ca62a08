"""Pane levels: how finely facts are kept, and for how long.

Rolling windows are merges of panes; a window is put together from the coarsest panes that fit.
"""

from __future__ import annotations

from pipeline.time.calendar import Calendar
from pipeline.values import WINDOWS

MINUTE, FIVE_MINUTES, HOUR, DAY = 0, 1, 2, 3
LEVELS = (MINUTE, FIVE_MINUTES, HOUR, DAY)
#: Length of a pane, seconds (a local day's length varies).
LENGTH = {MINUTE: 60, FIVE_MINUTES: 300, HOUR: 3600}
#: How long after its end a pane is kept, seconds; days are kept.
KEEP = {MINUTE: 7_200, FIVE_MINUTES: 345_600, HOUR: 2_764_800}
#: Level by which a window slides.
SLIDE = {
    "5m": MINUTE, "30m": MINUTE, "1h": MINUTE,
    "6h": FIVE_MINUTES, "24h": FIVE_MINUTES, "3d": FIVE_MINUTES,
    "7d": HOUR, "30d": HOUR,
}  # fmt: skip

Pane = tuple[int, int]  # (level, start in epoch seconds)


def levels_for(age_s: float) -> tuple[int, ...]:
    """Return the levels that take a record dated ``age_s`` seconds before its arrival."""
    if age_s <= KEEP[MINUTE]:
        return LEVELS
    if age_s <= KEEP[FIVE_MINUTES]:
        return LEVELS[1:]
    if age_s <= KEEP[HOUR]:
        return LEVELS[2:]
    return LEVELS[3:]


def expired(level: int, start: int, clock_s: float) -> bool:
    """Return whether a pane can take no more records at a partition's clock."""
    return level != DAY and start + LENGTH[level] + KEEP[level] < clock_s


def pane_start(level: int, at_s: int, calendar: Calendar) -> int:
    """Return the start of the pane of a level that holds an instant."""
    return calendar.day_start(at_s) if level == DAY else at_s - at_s % LENGTH[level]


def part_start(level: int, at_s: int, calendar: Calendar) -> int:
    """Return the start of the part of a pane that holds an instant and lies within one pane of the next level.

    That is the pane itself, but for an hour that a local midnight parts in two (zones whose offset is no full hour).
    """
    start = pane_start(level, at_s, calendar)
    return max(start, calendar.day_start(at_s)) if level == HOUR else start


def window_bounds(window: str, now_s: float) -> tuple[int, int]:
    """Return [start, end) of a rolling window as of now: it ends with the pane that holds now."""
    length = LENGTH[SLIDE[window]]
    end = int(now_s) // length * length + length
    return end - WINDOWS[window], end


def cover(start: int, end: int, finest: int, calendar: Calendar) -> list[Pane]:
    """Return panes that together are exactly [start, end), whole local days first, then hours ...

    ``start`` and ``end`` must be multiples of the finest level's length.
    """
    panes: list[Pane] = []

    def fill(a: int, b: int, level: int) -> None:
        """Cover [a, b) with panes of at most ``level``; what does not fit goes one level down."""
        if a >= b:
            return
        if level == DAY:
            first = calendar.day_start(a)
            first = first if first == a else calendar.next_day(first)
            day = first
            inner: list[int] = []
            while day < b and (following := calendar.next_day(day)) <= b:
                inner.append(day)
                day = following
            # where local midnight is no multiple of the finest pane (half-hour zones), days do not fit
            if not inner or first % LENGTH[finest] or day % LENGTH[finest]:
                fill(a, b, HOUR)
                return
            fill(a, first, HOUR)
            panes.extend((DAY, d) for d in inner)
            fill(day, b, HOUR)
            return
        length = LENGTH[level]
        first = -(-a // length) * length
        last = b // length * length
        if first >= last:
            if level > finest:
                fill(a, b, level - 1)
            return
        if level > finest:
            fill(a, first, level - 1)
        panes.extend((level, s) for s in range(first, last, length))
        if level > finest:
            fill(last, b, level - 1)

    fill(start, end, DAY)
    return panes
