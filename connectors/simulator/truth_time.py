"""Ground truth of what is measured over time: availability and outages, busiest hours, freshness."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from connectors.simulator.figures import Book, scopes_of
from connectors.simulator.monitoring import merged
from connectors.simulator.organisation import SERVICES
from connectors.simulator.sharing import LINKS
from connectors.simulator.world import World

Spans = list[tuple[int, int]]
_SHORTEST_OUTAGE_S = 60


def _without(spans: Spans, gaps: Spans) -> Spans:
    """Return spans with gaps taken out."""
    for a, b in gaps:
        spans = [p for s, e in spans for p in ((s, min(e, a)), (max(s, b), e)) if p[0] < p[1]]
    return spans


def _length(spans: Spans) -> int:
    return sum(b - a for a, b in spans)


def add_availability(book: Book, world: World, finished: list[int], until: int) -> None:
    """Add availability, outages and time between failures of finished months."""
    calendar = world.calendar
    up: dict[tuple[int, str], int] = defaultdict(int)
    down: dict[tuple[int, str], int] = defaultdict(int)
    outages: dict[tuple[int, str], int] = defaultdict(int)
    for number, service in enumerate(SERVICES.values()):
        seen_from = world.start + world.checks.first(number)
        broken: Spans = []
        for month in finished:
            planned = [
                (w.start, w.end) for w in world.maintenance.plan(month) if w.service == service.id and w.excludes
            ]
            observed = [(max(calendar.month_start(month), seen_from), calendar.month_start(month + 1))]
            failing = merged([s for c in service.checks for s in world.checks.down(month, service.id, c)])
            failing = _without(failing, planned)
            watched = _without(_without(observed, planned), world.checks.unwatched(month, service.id))
            broken += [s for s in failing if s[1] - s[0] >= _SHORTEST_OUTAGE_S]
            for scope in scopes_of(service.id):
                down[month, scope] += _length(failing)
                up[month, scope] += _length(watched) - _length(failing)
        for start, _ in merged([*broken, *_majors(world, service.id, until)]):
            for scope in scopes_of(service.id):
                outages[calendar.month_of(start), scope] += 1
    for (month, scope), seconds in up.items():
        label, failed = calendar.label(month), outages[month, scope]
        book.put("availability", label, scope, 100 * seconds / (seconds + down[month, scope]))
        book.put("outages", label, scope, failed)
        if failed:
            book.put("mtbf", label, scope, seconds / 3600 / failed)


def _majors(world: World, service: str, until: int) -> Spans:
    """Return the times of major incidents of a service."""
    spans: Spans = []
    for month in range(world.calendar.first_month, world.calendar.month_of(until) + 1):
        for incident in world.incidents.plan(month):
            told: list[Any] = incident.told(until)
            if told and told[-1].data.major and told[-1].subject == service:
                resolved = told[-1].data.resolved_at
                spans.append((incident.opened, until if resolved is None else int(resolved.timestamp())))
    return spans


def add_peaks(book: Book, world: World, finished: list[int]) -> None:
    """Add the figures of the busiest hour of each finished month: the one with most requests of the scope."""
    if not finished:
        return
    end = world.calendar.month_start(finished[-1] + 1)
    requests: dict[tuple[str, int], int] = defaultdict(int)
    told: dict[int, list[Any]] = defaultdict(list)
    for fact in world.requests.facts(world.start):
        if fact.at >= end:
            break
        hour = fact.at // 3600 * 3600
        told[hour].append(fact)
        for scope in scopes_of(fact.service):
            requests[scope, hour] += fact.number
    for month in finished:
        first, last = world.calendar.month_start(month), world.calendar.month_start(month + 1)
        for scope in {s for s, _ in requests}:
            hours = [h for s, h in requests if s == scope and first <= h < last]
            if hours:
                busiest = max((requests[scope, h], -h) for h in hours)[1] * -1
                facts = [f for f in told[busiest] if scope in scopes_of(f.service)]
                _peak(book, world.calendar.label(month), scope, facts)


def _peak(book: Book, label: str, scope: str, facts: list[Any]) -> None:
    minutes: dict[int, int] = defaultdict(int)
    for fact in facts:
        minutes[fact.at // 60] += fact.number
    total = sum(f.number for f in facts)
    rank, passed = int(0.95 * (total - 1)), 0
    for fact in sorted(facts, key=lambda f: f.latency_ms):
        passed += fact.number
        if passed > rank:
            book.put("peak_response_time", label, scope, fact.latency_ms)
            break
    book.put("peak_throughput", label, scope, max(minutes.values()) / 60)
    book.put("peak_error_rate", label, scope, 100 * sum(f.number for f in facts if f.status >= 500) / total)


def add_freshness(book: Book, world: World, finished: list[int]) -> None:
    """Add how old shared data was, on average over each finished month; and how long records were on their way."""
    done: dict[str, list[int]] = defaultdict(list)
    taken: dict[tuple[int, str], list[float]] = defaultdict(list)
    for month in finished:
        for entity in world.syncs.plan(month):
            data: Any = entity.updates[0].data
            if data.ok:
                available = int(data.available_at.timestamp())
                done[data.from_].append(available)
                seconds = (data.available_at - data.changed_at).total_seconds()
                for scope in scopes_of(entity.updates[0].subject):
                    taken[world.calendar.month_of(available), scope].append(seconds)
    for month in finished:
        label = world.calendar.label(month)
        area: dict[str, float] = defaultdict(float)
        watched: dict[str, int] = defaultdict(int)
        for link in LINKS:
            first, last = world.calendar.month_start(month), world.calendar.month_start(month + 1)
            moments = sorted(t for t in done[link.origin] if t < last)
            for here, after in zip(moments, [*moments[1:], last], strict=True):
                a, b = max(here, first), min(after, last)
                if a < b:
                    for scope in scopes_of(link.service):
                        area[scope] += ((b - here) ** 2 - (a - here) ** 2) / 2
                        watched[scope] += b - a
        for scope, seconds in area.items():
            book.put("data_freshness", label, scope, seconds / watched[scope])
            for kpi, q in (("sync_latency", 0.5), ("sync_latency_p95", 0.95)):
                ordered = sorted(taken[month, scope])
                book.put(kpi, label, scope, ordered[int(q * (len(ordered) - 1))])
