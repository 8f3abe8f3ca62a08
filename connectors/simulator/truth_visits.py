"""Ground truth of visits: sessions, users and tasks, as the world meant them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from connectors.simulator.emit import PageViewed, SessionEnded, TaskFinished
from connectors.simulator.figures import Book, scopes_of
from connectors.simulator.visits import Visit
from connectors.simulator.world import World

#: A visit in which people did something lasts this many seconds, or has two pages, or a finished task.
_ENGAGED_S = 10


def add_visits(book: Book, world: World, months: Iterable[int], until: int) -> None:
    """Add what is known of the visits told before an instant."""
    for month in months:
        label = world.calendar.label(month)
        users: dict[tuple[str, int], set[str]] = defaultdict(set)
        seconds: dict[str, list[float]] = defaultdict(list)
        for visit in world.visits.plan(month):
            told: list[Any] = [u.data for u in visit.told(until)]
            for data in told:
                if isinstance(data, TaskFinished):
                    book.add("task_completion_rate", label, visit.service, float(data.completed))
                elif isinstance(data, PageViewed):
                    wrong = data.error or (data.status is not None and data.status >= 400)
                    book.add("client_error_rate", label, visit.service, float(wrong))
            if any(isinstance(data, PageViewed | SessionEnded) for data in told):
                length = _session(book, label, visit, told)
                day = world.calendar.day(visit.views[0]).start
                for scope in scopes_of(visit.service):
                    users[scope, day].add(visit.user)
                    seconds[scope].append(length)
        _users(book, world, month, label, users, seconds, until)


def _session(book: Book, label: str, visit: Visit, told: list[Any]) -> float:
    """Add one session and return how long it lasted, seconds."""
    if visit.reported:
        ended = next(data for data in told if isinstance(data, SessionEnded))
        pages, length, tasks = ended.pages, ended.duration_s, 0
    else:
        pages = sum(isinstance(data, PageViewed) for data in told)
        length = float(visit.views[pages - 1] - visit.views[0])
        tasks = sum(isinstance(data, TaskFinished) and data.completed for data in told)
    book.add("session_duration", label, visit.service, length)
    book.add("pages_per_session", label, visit.service, pages)
    book.add("bounce_rate", label, visit.service, float(pages <= 1))
    engaged = length >= _ENGAGED_S or pages > 1 or tasks > 0
    book.add("engagement_rate", label, visit.service, float(engaged))
    return length


def _users(
    book: Book,
    world: World,
    month: int,
    label: str,
    users: dict[tuple[str, int], set[str]],
    seconds: dict[str, list[float]],
    until: int,
) -> None:
    days = sum(day.start < until for day in world.calendar.days(month))
    for scope, lengths in seconds.items():
        daily = [found for (s, _), found in users.items() if s == scope]
        everyone = set().union(*daily)
        visits = sum(len(found) for found in daily)
        book.put("active_users", label, scope, len(everyone))
        book.put("stickiness", label, scope, 100 * visits / days / len(everyone))
        book.put("time_on_site", label, scope, math.fsum(lengths) / 60 / visits)
