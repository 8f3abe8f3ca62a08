"""Changes that are deployed, and features that were asked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Literal

from connectors.simulator.calendar import Day
from connectors.simulator.emit import ChangeUpdated, FeatureUpdated, at
from connectors.simulator.organisation import DEPLOYED
from connectors.simulator.rng import Share, poisson, spread, weighted
from connectors.simulator.setting import Entity, Monthly, Update
from connectors.simulator.story import BLOWS, level

Outcome = Literal["successful", "failed", "rolled_back"]
_DAY_S = 86_400
_HOUR_S = 3600
#: Nothing that causes trouble is deployed in the last hours of a month: its trouble belongs to the same month.
_QUIET_END_S = 12 * _HOUR_S


@dataclass(slots=True)
class Change(Entity):
    """A deployment: where, when, and whether it failed."""

    service: str = ""
    deployed: int = 0
    failed: bool = False


class Changes(Monthly[Change]):
    """Deployments by month: faster every month, worse in the months that the story tells."""

    name = "changes"
    kinds = ("change.updated",)
    ahead = 1
    numbered = True

    def make(self, month: int) -> Iterator[Change]:
        """Yield the changes deployed in a month, in order of deployment, hotfixes after what they fix."""
        if month < self.setting.calendar.first_month:
            return
        r = self.setting.rng("changes", month)
        fails = Share(r)
        found: list[Change] = []
        end = self.setting.calendar.month_start(month + 1)
        for day in self.setting.calendar.days(month):
            if day.working:
                for _ in range(poisson(r, level("deploys", month))):
                    found.append(self._change(r, month, day, weighted(r, DEPLOYED), len(found), fails))
        for blow in BLOWS:
            if blow.month == month and blow.cause == "release":
                day = nth_weekday(self.setting.calendar.days(month), blow.weekday, blow.nth)
                when = day.at(blow.hour, blow.minute) - 150
                found.append(self._fill(r, month, when, blow.hits[0][0], len(found), "rolled_back"))
        for failure in [c for c in found if c.failed and c.deployed < end - _DAY_S]:
            when = failure.deployed + r.randrange(2 * _HOUR_S, 20 * _HOUR_S)
            found.append(self._fill(r, month, when, failure.service, len(found), "successful", hotfix=True))
        yield from sorted(found, key=lambda c: (c.deployed, c.number))

    def _change(self, r: Random, month: int, day: Day, service: str, n: int, fails: Share) -> Change:
        when = day.at(
            r.choices((9, 10, 11, 13, 14, 15, 16), (2, 3, 2, 2, 3, 2, 1))[0], r.randrange(60), r.randrange(60)
        )
        outcome: Outcome = "successful"
        if fails(level("failures", month)) and when < self.setting.calendar.month_start(month + 1) - _QUIET_END_S:
            outcome = "rolled_back" if r.random() < 0.6 else "failed"
        return self._fill(r, month, when, service, n, outcome)

    def _fill(
        self, r: Random, month: int, when: int, service: str, n: int, outcome: Outcome, hotfix: bool = False
    ) -> Change:
        number = f"CHG{month + 100:03d}{n:04d}"
        median = 2.0 if hotfix else level("lead_h", month)
        written = sorted(when - max(600, int(spread(r, median, 0.7) * _HOUR_S)) for _ in range(1 + poisson(r, 1.4)))
        change = Change(number, service=service, deployed=when, failed=outcome != "successful")
        # some tools tell every commit, some only the first
        told = {"commits": [at(w) for w in written]} if r.random() < 0.7 else {"committed_at": at(written[0])}
        planned = when - (900 if hotfix else r.randrange(2 * _HOUR_S, 3 * _DAY_S))

        def tell(moment: int, state: Literal["planned", "cancelled"] | Outcome, deployed: int | None) -> None:
            data = ChangeUpdated(
                number=number,
                updated_at=at(moment),
                deployed_at=None if deployed is None else at(deployed),
                outcome=state,
                **(told if deployed is not None else {}),
            )
            change.updates.append(Update(moment, "change.updated", service, data))

        tell(planned, "planned", None)
        if not hotfix and not change.failed and r.random() < 0.03:
            tell(planned + 3600, "cancelled", None)
            change.deployed = 0
            return change
        if change.failed and r.random() < 0.4:  # it looked well for a while
            tell(when, "successful", when)
            tell(when + r.randrange(1200, 6 * _HOUR_S), outcome, when)
        else:
            tell(when + (300 if change.failed else 60), outcome, when)
        return change


def nth_weekday(days: list[Day], weekday: int, nth: int) -> Day:
    """Return the nth Monday (0) ... Sunday (6) of a month's days."""
    return [d for d in days if d.weekday == weekday][nth - 1]


class Features(Monthly[Entity]):
    """Requests for features, from the month they were delivered in."""

    name = "features"
    kinds = ("feature.updated",)
    lookback = 0
    ahead = 4
    numbered = True

    def make(self, month: int) -> Iterator[Entity]:
        """Yield the features delivered (or dropped) in a month, with the requests they answer."""
        r = self.setting.rng("features", month)
        for n in range(poisson(r, 24)):
            done = self.setting.office_time(r, month)
            asked = done - max(_DAY_S, min(int(spread(r, level("implement_d", month), 0.45) * _DAY_S), 110 * _DAY_S))
            number = f"FEA{month + 100:03d}{n:04d}"
            service = weighted(r, DEPLOYED)
            dropped = r.random() < 0.06
            last = FeatureUpdated(
                number=number,
                updated_at=at(done),
                requested_at=at(asked),
                delivered_at=None if dropped else at(done),
                outcome="cancelled" if dropped else "delivered",
            )
            first = FeatureUpdated(number=number, updated_at=at(asked), requested_at=at(asked))
            updates = [Update(asked, "feature.updated", service, first), Update(done, "feature.updated", service, last)]
            yield Entity(number, updates)
