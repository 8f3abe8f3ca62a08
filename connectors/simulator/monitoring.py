"""Monitoring: availability checks that see the outages, and what every source says it delivered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from connectors.simulator.calendar import HOURS, Day
from connectors.simulator.emit import Emitter, Item, SourcePolled, UptimeChecked, at, in_order
from connectors.simulator.organisation import SERVICES, SOURCES, Service, Source
from connectors.simulator.setting import Setting
from connectors.simulator.story import ANALYTICS_GAP
from connectors.simulator.trouble import UNWATCHED, Maintenance, Outages

_HOUR = 3600
_MINUTE = 60
#: Seconds between the checks of one service as history tells them.
_COARSE = 2 * _HOUR
#: Live, each source says this often what it delivered, seconds.
POLL_S = 30


class Check(NamedTuple):
    """One check as it is told; ``interval`` 0 means: holds until the next one."""

    at: int
    service: str
    check: str
    up: bool | None
    latency_ms: float | None
    interval: int


class Checks:
    """Checks of all services: every two hours in history, by the minute while something is down, recently and live."""

    name = "checks"

    def __init__(self, setting: Setting, outages: Outages, maintenance: Maintenance) -> None:
        self._setting = setting
        self._outages = outages
        self._maintenance = maintenance

    def down(self, month: int, service: str, check: str) -> list[tuple[int, int]]:
        """Return when a check of a service fails in a month, maintenance included, in order."""
        unplanned = [
            (o.start, o.end) for o in self._outages.plan(month) if o.service == service and o.check in {"", check}
        ]
        planned = [w.down for w in self._maintenance.plan(month) if w.service == service and w.down[0]]
        return merged([*unplanned, *planned])

    def unwatched(self, month: int, service: str) -> list[tuple[int, int]]:
        """Return when nobody looked at a service in a month."""
        gap_month, gap_service, length = UNWATCHED
        if (month, service) != (gap_month, gap_service):
            return []
        start = self._setting.calendar.days(month)[16].at(8)
        return [(start, start + length)]

    def facts(self, day: Day) -> list[Check]:
        """Return the checks of a day in order of time."""
        found: list[Check] = []
        for number, service in enumerate(SERVICES.values()):
            for check in service.checks:
                down = self.down(day.month, service.id, check)
                found += self._on_change(day, service, check, down, number)
                if not service.on_change:
                    found += self._regular(day, service, check, down, number)
        return sorted(found, key=lambda c: (c.at, c.service, c.check))

    def first(self, number: int) -> int:
        """Return when the checks of the n-th service began, seconds after the start of history."""
        return number * 5

    def _regular(
        self, day: Day, service: Service, check: str, down: list[tuple[int, int]], number: int
    ) -> Iterator[Check]:
        r = self._setting.rng("checks", service.id, check, day.start)
        for n, (hour_start, hour) in enumerate(day.hours):
            coarse = self._setting.coarse(hour_start)
            if coarse and n % 2:
                continue
            step = _COARSE if coarse else _MINUTE
            for slot in range(hour_start, hour_start + _HOUR, step):
                when = slot + self.first(number)
                if not any(a <= when < b for a, b in down):
                    latency = round(90 + 110 * HOURS[hour] * r.uniform(0.7, 1.3), 1)
                    yield Check(when, service.id, check, True, latency, step)

    def _on_change(
        self, day: Day, service: Service, check: str, down: list[tuple[int, int]], number: int
    ) -> Iterator[Check]:
        """Yield what is told because something changes: down, still down, up again, unwatched."""
        until_next = 0
        for a, b in down:
            for when in [a] if service.on_change else range(a, b, _MINUTE):
                if day.start <= when < day.end:
                    yield Check(when, service.id, check, False, None, until_next if service.on_change else _MINUTE)
            if day.start <= b < day.end:
                regular = _COARSE if self._setting.coarse(b // _HOUR * _HOUR) else _MINUTE
                yield Check(b, service.id, check, True, None, until_next if service.on_change else regular)
        if service.on_change:
            for a, b in self.unwatched(day.month, service.id):
                if day.start <= a < day.end:
                    yield Check(a, service.id, check, None, None, until_next)
                    yield Check(b, service.id, check, True, None, until_next)
            beat = day.start + self.first(number)
            if not any(a <= beat < b for a, b in down):
                yield Check(beat, service.id, check, True, None, until_next)

    def items(self, stream: int, start: int) -> Iterator[Item]:
        """Yield the events from an instant on, without end."""
        emit = Emitter(self._setting.seed, stream, "uptime.checked")
        calendar = self._setting.calendar
        day = calendar.day(start)
        while True:
            for n, c in enumerate(self.facts(day)):
                if c.at >= start:
                    data = UptimeChecked(
                        up=c.up,
                        check=c.check,
                        latency_ms=c.latency_ms,
                        interval_s=c.interval or _MINUTE,
                        valid_until="interval" if c.interval else "next",
                    )
                    key = f"{c.service}|{c.check}"
                    yield emit(c.at, n, f"{c.service}.{c.check}.{c.at}", c.service, data, key)
            day = calendar.day(day.end)


class Polls:
    """What each source delivered: a day at a time in history, then every half minute."""

    name = "polls"

    def __init__(self, setting: Setting) -> None:
        self._setting = setting

    def missed(self, source: Source, day: Day) -> bool:
        """Return whether a source delivered nothing on a day."""
        month, numbers = ANALYTICS_GAP
        return source.id == "analytics" and day.month == month and day.number in numbers

    def spans(self, day: Day) -> Iterator[tuple[int, int, int]]:
        """Yield (told at, from, to) of a day: what every source says that was not down."""
        anchor = self._setting.anchor
        if day.end <= anchor:
            yield day.end - 1, day.start, day.end
            return
        start = day.start
        if start < anchor:
            yield anchor - 1, start, anchor
            start = anchor
        for hour_start, _ in day.hours:
            end = hour_start + _HOUR
            if end > start:
                step = _HOUR if self._setting.coarse(hour_start) else POLL_S
                for until in range(hour_start + step, end + 1, step):
                    if until > start:
                        # the last poll of an hour is told within it: a day's polls belong to the day
                        yield until - (until == end), max(start, until - step), until

    def items(self, stream: int, start: int) -> Iterator[Item]:
        """Yield the events from an instant on, without end."""
        emitters = [Emitter(self._setting.seed, stream, "source.polled", s.uri) for s in SOURCES]
        calendar = self._setting.calendar
        day = calendar.day(start)
        while True:
            for told, first, last in self.spans(day):
                if told >= start:
                    polled = [self._one(emitters[n], n, s, told, first, last) for n, s in enumerate(SOURCES)
                              if not self.missed(s, day)]  # fmt: skip
                    yield from in_order(polled)
            day = calendar.day(day.end)

    @staticmethod
    def _one(emit: Emitter, n: int, source: Source, told: int, first: int, last: int) -> Item:
        data = SourcePolled(
            source=source.id,
            from_=at(first),
            to=at(last),
            types=list(source.types),
            services=None if source.services is None else list(source.services),
        )
        return emit(told, n, f"{source.id}.{last}", "", data, source.id)


def merged(parts: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return intervals in order, overlapping and touching ones as one."""
    out: list[tuple[int, int]] = []
    for a, b in sorted(parts):
        if out and a <= out[-1][1]:
            out[-1] = (out[-1][0], max(b, out[-1][1]))
        elif b > a:
            out.append((a, b))
    return out
