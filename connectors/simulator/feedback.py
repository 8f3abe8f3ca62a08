"""What people say: surveys that follow what happened, with a lag."""

from __future__ import annotations

import math
from collections.abc import Iterator
from random import Random
from typing import Literal

from connectors.simulator.calendar import Day
from connectors.simulator.delivery import Changes
from connectors.simulator.emit import SurveyAnswered
from connectors.simulator.organisation import SURVEYED
from connectors.simulator.rng import poisson
from connectors.simulator.setting import Entity, Monthly, Setting, Update
from connectors.simulator.story import level
from connectors.simulator.trouble import Outages

Kind = Literal["csat", "nps", "ces"]
_KINDS: tuple[Kind, ...] = ("csat", "nps", "ces")
_DAY_S = 86_400
#: Days until an outage shows in the answers, and days in which it is half forgotten.
_LAG_D, _FORGET_D = 1.0, 5.0
#: Answers of claims handlers come on this scale; all others on the kind's own.
OTHER_SCALE = {("csat", "claims"): "1-10"}


class Surveys(Monthly[Entity]):
    """Answers by month of the first answer; some people answer the same survey again the day after."""

    name = "surveys"
    kinds = ("survey.answered",)

    def __init__(self, setting: Setting, outages: Outages, changes: Changes) -> None:
        super().__init__(setting)
        self._outages = outages
        self._changes = changes

    def make(self, month: int) -> Iterator[Entity]:
        """Yield the answers of a month, each with the answer that replaced it, if one did."""
        if month < self.setting.calendar.first_month:
            return
        for day in self.setting.calendar.days(month):
            r = self.setting.rng("surveys", day.start)
            n = 0
            for kind in _KINDS:
                for service, a_day in SURVEYED[kind].items():
                    busy = 1.0 if day.working else 0.55
                    for _ in range(poisson(r, a_day * busy)):
                        yield self._answer(r, day, kind, service, n)
                        n += 1
        yield from self._about_changes(month)

    def _mood(self, service: str, when: int) -> float:
        """Return what recent outages of a service take from satisfaction, 0 to 0.5."""
        month = self.setting.calendar.month_of(when)
        lost = 0.0
        for outage in (*self._outages.plan(month - 1), *self._outages.plan(month)):
            age = (when - outage.end) / _DAY_S - _LAG_D
            if outage.service == service and age > 0:
                lost += min(outage.seconds / 7200, 1.2) * 0.38 * math.exp(-age * math.log(2) / _FORGET_D)
        return min(lost, 0.5)

    def _answer(self, r: Random, day: Day, kind: Kind, service: str, n: int) -> Entity:
        when = min(day.at(r.randrange(7, 23), r.randrange(60), r.randrange(60)), day.end - 1)
        respondent = f"r-{day.start // 3600:x}-{n}"
        scale = OTHER_SCALE.get((kind, service))
        survey = f"{kind}-{self.setting.calendar.label(day.month)}-{service}"
        times = [when]
        if r.random() < 0.03:
            times.append(when + r.randrange(3600, _DAY_S))
        answer = Entity(f"{day.start // 3600:x}.{n}")
        for moment in times:
            score = self._score(r, kind, service, moment, day.month, scale)
            data = SurveyAnswered(kind=kind, score=score, scale=scale, respondent=respondent, survey=survey)
            answer.updates.append(Update(moment, "survey.answered", service, data))
        return answer

    def _score(self, r: Random, kind: Kind, service: str, when: int, month: int, scale: str | None) -> float:
        lost = self._mood(service, when)
        if kind == "csat":
            good = r.random() < level("csat", month) - lost
            if scale is not None:
                return r.choices((8, 9, 10), (3, 4, 3))[0] if good else r.choices((2, 4, 5, 6, 7), (1, 1, 2, 3, 4))[0]
            return r.choices((4, 5), (11, 9))[0] if good else r.choices((1, 2, 3), (1, 2, 5))[0]
        if kind == "nps":
            at_random = r.random()
            if at_random < level("promoters", month) - lost / 2:
                return r.choice((9, 9, 10))
            return r.choice((2, 4, 5, 6)) if at_random > 1 - level("detractors", month) - lost / 2 else r.choice((7, 8))
        return min(7, max(1, round(r.gauss(level("ces", month) - 2 * lost, 1.1))))

    def _about_changes(self, month: int) -> Iterator[Entity]:
        for change in self._changes.plan(month):
            if not change.deployed:
                continue
            r = self.setting.rng("change-feedback", change.number)
            for n in range(poisson(r, 0.9)):
                moment = change.deployed + r.randrange(_DAY_S // 2, 3 * _DAY_S)
                mean = level("change_liked", month) - (0.9 if change.failed else 0.0)
                score = min(5, max(1, round(r.gauss(mean, 0.9))))
                data = SurveyAnswered(
                    kind="change_feedback", score=score, about=change.number, respondent=f"u-{r.randrange(900):03d}-{n}"
                )
                yield Entity(f"{change.number}.{n}", [Update(moment, "survey.answered", change.service, data)])
