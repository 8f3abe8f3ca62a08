"""Load: requests with their latencies, and platforms that scale with it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from random import Random
from statistics import NormalDist
from typing import NamedTuple

from connectors.simulator.calendar import HOURS, PEAK_HOUR, SEASON, WEEK, Day
from connectors.simulator.emit import Emitter, Item, RequestMeasured, ScalingCompleted, at
from connectors.simulator.organisation import REQUESTS
from connectors.simulator.rng import poisson, spread
from connectors.simulator.setting import Entity, Monthly, Setting, Update
from connectors.simulator.story import level
from connectors.simulator.trouble import Outages

_MINUTE = 60
_HOUR = 3600
#: Errors are told gathered in this share of the minutes and hours (as many in the mean), to save events.
_GATHERED = 0.15
#: From this share of errors on a service is broken, and every minute tells its own.
_BROKEN = 0.2
#: p95 is this many times the median.
_P95_OF_MEDIAN = 2.6
_SIGMA = math.log(_P95_OF_MEDIAN) / NormalDist().inv_cdf(0.95)
#: Latencies against the median at the middle of sixty equally likely classes.
_CLASSES = tuple(math.exp(_SIGMA * NormalDist().inv_cdf((i + 0.5) / _MINUTE)) for i in range(_MINUTE))


class Told(NamedTuple):
    """Requests, ``number`` of them, of one latency and status, told at one second."""

    at: int
    service: str
    latency_ms: float
    status: int
    number: int


class Requests:
    """Requests: a minute of the busiest hour one by one, other hours in one sum, live ones by the second.

    Every request of an hour is told once, so that hours compare; only what lies in the busiest hour of a day, or
    is recent, is told minute by minute.
    """

    name = "requests"

    def __init__(self, setting: Setting, outages: Outages) -> None:
        self._setting = setting
        self._outages = outages
        self._classes_hour = 0
        self._classes: dict[str, list[float]] = {}

    def rate(self, service: str, day: Day, hour: int) -> float:
        """Return the requests a second of a service in a local hour."""
        growth = level("load", day.month) * SEASON[day.calendar_month - 1]
        return REQUESTS[service] * growth * WEEK[day.weekday] * HOURS[hour]

    def _median_ms(self, month: int, hour: int) -> float:
        # latency follows the load of the hour; p95 of the story is that of the busiest
        return level("p95_ms", month) / _P95_OF_MEDIAN * (0.62 + 0.38 * HOURS[hour])

    def facts(self, start: int) -> Iterator[Told]:
        """Yield what was measured from an hour's start on, without end, in order of time."""
        calendar = self._setting.calendar
        day = calendar.day(start)
        while True:
            for hour_start, hour in day.hours:
                if hour_start + _HOUR > start:
                    if hour == PEAK_HOUR or not self._setting.coarse(hour_start):
                        for minute in range(hour_start, hour_start + _HOUR, _MINUTE):
                            yield from self._minute(day, hour, hour_start, minute)
                    else:
                        yield from self._hour(day, hour, hour_start)
            day = calendar.day(day.end)

    def _hour(self, day: Day, hour: int, hour_start: int) -> Iterator[Told]:
        told: list[Told] = []
        for service in REQUESTS:
            r = self._setting.rng("hour", service, hour_start)
            count = max(1, round(self.rate(service, day, hour) * _HOUR * r.gauss(1, 0.03)))
            errors = level("peak_error", day.month) * 0.3
            wrong = poisson(r, count * errors / _GATHERED) if r.random() < _GATHERED else 0
            latency = round(self._median_ms(day.month, hour) * r.choice(_CLASSES), 1)
            told.append(Told(hour_start + r.randrange(_HOUR), service, latency, 200, count - min(wrong, count - 1)))
            if 0 < wrong < count:
                told.append(Told(hour_start + r.randrange(_HOUR), service, latency * 2, 500, wrong))
        yield from sorted(told)

    def _minute(self, day: Day, hour: int, hour_start: int, minute: int) -> Iterator[Told]:
        told: list[Told] = []
        for service in REQUESTS:
            r = self._setting.rng("minute", service, minute)
            rate = self.rate(service, day, hour) * max(0.5, r.gauss(1, 0.05))
            median, errors = self._median_ms(day.month, hour), level("peak_error", day.month)
            if self._outages.down(service, minute):
                rate, median, errors = rate * 0.3, median * 5, 0.6
            if minute >= self._setting.live_from and not self._setting.coarse(hour_start):
                told += self._seconds(r, minute, service, rate, median, errors)
            else:
                factor = self._classes_of(service, hour_start)[(minute - hour_start) // _MINUTE]
                told += self._sum(r, minute, service, max(1, round(rate * _MINUTE)), median * factor, errors)
        yield from sorted(told)

    def _classes_of(self, service: str, hour_start: int) -> list[float]:
        """Return the latency class of each minute of an hour: sixty minutes, sixty classes, each once."""
        if hour_start != self._classes_hour:
            self._classes_hour, self._classes = hour_start, {}
        if service not in self._classes:
            self._classes[service] = self._setting.rng("classes", service, hour_start).sample(_CLASSES, _MINUTE)
        return self._classes[service]

    @staticmethod
    def _sum(r: Random, minute: int, service: str, count: int, latency: float, errors: float) -> Iterator[Told]:
        if errors > _BROKEN:
            wrong = min(round(count * errors), count - 1)
        else:
            wrong = min(poisson(r, count * errors / _GATHERED), count - 1) if r.random() < _GATHERED else 0
        when = minute + r.randrange(_MINUTE)
        yield Told(when, service, round(latency, 1), 200, count - wrong)
        if wrong:
            yield Told(when, service, round(latency * 2, 1), 500, wrong)

    @staticmethod
    def _seconds(r: Random, minute: int, service: str, rate: float, median: float, errors: float) -> Iterator[Told]:
        for second in range(minute, minute + _MINUTE):
            count = max(1, round(rate * r.uniform(0.8, 1.2)))
            wrong = min(poisson(r, count * errors), count - 1)
            slow = (count - wrong) * 3 // 10
            fast = median * _CLASSES[r.randrange(42)]
            yield Told(second, service, round(fast, 1), 200, count - wrong - slow)
            if slow:
                yield Told(second, service, round(median * _CLASSES[r.randrange(42, _MINUTE)], 1), 200, slow)
            if wrong:
                yield Told(second, service, round(median * 3, 1), 500, wrong)

    def items(self, stream: int, start: int) -> Iterator[Item]:
        """Yield the events from an instant on, without end."""
        emit = Emitter(self._setting.seed, stream, "request.measured")
        last, n = 0, 0
        for told in self.facts(start):
            n = n + 1 if told.at == last else 0
            last = told.at
            if told.at >= start:
                data = RequestMeasured(told.latency_ms, told.status, told.number)
                # any partition will do: the sums do not mind
                yield emit(told.at, n, f"{told.at}.{n}", told.service, data, f"{told.service}|{told.at // _HOUR}")


class Scalings(Monthly[Entity]):
    """Platforms that grow in the morning and shrink in the evening."""

    name = "scalings"
    kinds = ("scaling.completed",)
    lookback = 1

    def make(self, month: int) -> Iterator[Entity]:
        """Yield the scaling actions asked for in a month."""
        if month < self.setting.calendar.first_month:
            return
        for day in self.setting.calendar.days(month):
            for service in REQUESTS:
                r = self.setting.rng("scaling", service, day.start)
                size = 4 + round(2 * level("load", month))
                for n, hour in enumerate((7, 8, 10, 17, 20, 22) if day.working else (9, 21)):
                    asked = day.at(hour, r.randrange(60), r.randrange(60))
                    up = hour <= 10
                    step = r.choice((1, 2, 2, 3))
                    yield self._action(r, f"{service}.{day.start // _HOUR:x}.{n}", service, asked, up, size, step)
                    size = size + step if up else max(2, size - step)

    def _action(self, r: Random, number: str, service: str, asked: int, up: bool, size: int, step: int) -> Entity:
        month = self.setting.calendar.month_of(asked)
        worked = r.random() < level("scale_ok", month)
        ready = asked + max(8, int(spread(r, level("scale_up_s" if up else "scale_down_s", month), 0.3)))
        told = ready if worked else asked + 900
        data = ScalingCompleted(
            direction="up" if up else "down",
            requested_at=at(asked),
            ready_at=at(ready) if worked else None,
            from_=size,
            to=size + step if up else max(2, size - step),
            outcome="successful" if worked else "failed",
        )
        return Entity(number, [Update(told, "scaling.completed", service, data)])
