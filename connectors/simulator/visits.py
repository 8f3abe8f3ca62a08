"""Visits: page views and tasks of people who come by, and sessions that an app counts itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

from connectors.simulator.calendar import HOURS, Day
from connectors.simulator.emit import PageViewed, SessionEnded, TaskFinished, at
from connectors.simulator.organisation import REPORTED_VISITS, VISITS
from connectors.simulator.rng import poisson, spread
from connectors.simulator.setting import Entity, Monthly, Setting, Update
from connectors.simulator.story import ANALYTICS_GAP, level
from connectors.simulator.trouble import Outages

#: Visitors known to a service against its visits a day: most come back within a month.
_POOL = 4.5
#: Clicks within a visit are nearer than the session gap, and a visit ends before the next morning, seconds.
_LONGEST_GAP_S = 1200
_LONGEST_VISIT_S = 5400
_FIRST_HOUR, _LAST_HOUR = 6, 21
_PATHS: dict[str, tuple[str, ...]] = {
    "web-shop": ("/", "/insurances", "/insurances/travel", "/quote", "/basket", "/checkout"),
    "customer-portal": ("/home", "/policies", "/documents", "/claims", "/profile", "/messages"),
    "claims": ("/worklist", "/claim", "/claim/assess", "/claim/pay", "/search"),
}
_TASKS = {"web-shop": "buy", "customer-portal": "find-document", "claims": "assess-claim", "mobile-app": "report-claim"}
#: The redesign concerns what customers see, not the tool of the claims handlers.
_REDESIGNED = ("web-shop", "customer-portal", "mobile-app")
_OLD_DESIGN_MONTH = 8


@dataclass(slots=True)
class Visit(Entity):
    """One visit: who, where, when the pages were seen, and the task tried (None: none; else whether it was done)."""

    service: str = ""
    user: str = ""
    views: list[int] = field(default_factory=list)
    task: bool | None = None
    reported: bool = False


class Visits(Monthly[Visit]):
    """Visits by month; a user visits a service at most once a day, so that visits are sessions."""

    name = "visits"
    kinds = ("page.viewed", "task.finished", "session.ended")
    lookback = 0

    def __init__(self, setting: Setting, outages: Outages) -> None:
        super().__init__(setting)
        self._outages = outages

    def key(self, entity: str, update: Update) -> str:
        """Return service and user: all of one visitor stays in order."""
        data = update.data
        user = data.user if isinstance(data, PageViewed | TaskFinished | SessionEnded) else entity
        return f"{update.subject}|{user}"

    def make(self, month: int) -> Iterator[Visit]:
        """Yield the visits of a month, none on the days on which the analytics tool was down."""
        if month < self.setting.calendar.first_month:
            return
        for day in self.setting.calendar.days(month):
            if month == ANALYTICS_GAP[0] and day.number in ANALYTICS_GAP[1]:
                continue
            for service, a_day in (*VISITS.items(), *REPORTED_VISITS.items()):
                yield from self._day(day, service, a_day)

    def _day(self, day: Day, service: str, a_day: float) -> Iterator[Visit]:
        r = self.setting.rng("visits", service, day.start)
        quiet = 0.12 if service == "claims" else 0.85
        n = poisson(r, a_day * level("visits", day.month) * (1.0 if day.working else quiet))
        pool = int(a_day * _POOL * level("visits", day.month))
        came: set[int] = set()
        while len(came) < min(n, pool):
            came.add(int(pool * r.random() ** 1.5))
        hours = range(_FIRST_HOUR, _LAST_HOUR + 1)
        for i, who in enumerate(sorted(came)):
            hour = r.choices(hours, HOURS[_FIRST_HOUR : _LAST_HOUR + 1])[0]
            start = day.at(hour, r.randrange(60), r.randrange(60))
            # customers of shop, portal and app are the same people
            user = f"h-{who:04d}" if service == "claims" else f"c-{who:04d}"
            visit = Visit(f"{service}.{day.start // 3600:x}.{i}", service=service, user=user)
            self._walk(r, visit, start, day.month)
            yield visit

    def _walk(self, r: Random, visit: Visit, start: int, month: int) -> None:
        service = visit.service
        shown = month if service in _REDESIGNED else min(month, _OLD_DESIGN_MONTH)
        broken = self._outages.down(service, start)
        pages = 1
        if not broken and r.random() >= level("bounce", shown):
            pages = 2 + poisson(r, level("pages", shown) - 2)
        when = start
        for _ in range(pages):
            visit.views.append(when)
            when += max(4, min(int(spread(r, level("page_s", shown) * 0.8, 0.7)), _LONGEST_GAP_S))
            if when - start > _LONGEST_VISIT_S:
                break
        if r.random() < (0.75 if len(visit.views) > 1 else 0.1):
            visit.task = not broken and r.random() < level("task_done", shown)
        if service in REPORTED_VISITS:
            self._report(r, visit)
        else:
            self._views(r, visit, broken, shown)

    def _views(self, r: Random, visit: Visit, broken: bool, month: int) -> None:
        paths = _PATHS[visit.service]
        for i, when in enumerate(visit.views):
            wrong = broken or r.random() < level("page_error", month)
            data = PageViewed(
                user=visit.user,
                path=paths[min(i, len(paths) - 1)] if r.random() < 0.6 else r.choice(paths),
                error=wrong and r.random() < 0.3,
                status=503 if broken else r.choice((404, 500)) if wrong else 200,
                duration_ms=round(spread(r, 420 if not broken else 4000, 0.5)),
            )
            visit.updates.append(Update(when, "page.viewed", visit.service, data))
        if visit.task is not None:
            visit.updates.append(self._task(visit))

    def _task(self, visit: Visit) -> Update:
        first, last = visit.views[0], visit.views[-1]
        data = TaskFinished(
            user=visit.user,
            completed=bool(visit.task),
            task=_TASKS[visit.service],
            duration_ms=float((last - first) * 1000) if last > first else None,
        )
        return Update(last, "task.finished", visit.service, data)

    def _report(self, r: Random, visit: Visit) -> None:
        visit.reported = True
        if visit.task is not None:
            visit.updates.append(self._task(visit))
        first, last = visit.views[0], visit.views[-1]
        data = SessionEnded(
            user=visit.user,
            session=visit.number,
            pages=len(visit.views),
            duration_s=float(last - first),
            started_at=at(first),
        )
        visit.updates.append(Update(last + r.randrange(1, 20), "session.ended", visit.service, data))
