"""The service desk: incidents, most of them everyday ones, some with a cause in an outage or a release."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Literal

from connectors.simulator.delivery import Changes
from connectors.simulator.emit import IncidentUpdated, at, at_or_none
from connectors.simulator.organisation import SERVICES
from connectors.simulator.rng import poisson, spread
from connectors.simulator.setting import Entity, Monthly, Setting, Update
from connectors.simulator.story import REDESIGN, REPAIR, level
from connectors.simulator.trouble import Outages

State = Literal["new", "in_progress", "on_hold", "resolved", "closed", "cancelled"]
_HOUR_S = 3600
#: Hours to resolve in an ordinary month (median), hours the SLA allows, minutes to acknowledge, by priority.
_RESOLVE_H = {1: 1.3, 2: 2.6, 3: 5.0, 4: 9.0, 5: 16.0}
SLA_H = {1: 4, 2: 8, 3: 24, 4: 48, 5: 96}
_ACKNOWLEDGE_MIN = {1: 4, 2: 9, 3: 22, 4: 40, 5: 70}
_PRIORITIES = ((1, 2, 3, 4, 5), (1, 8, 42, 36, 13))
#: A resolved incident is closed after two days without a word from the user.
_CLOSE_S = 48 * _HOUR_S
#: Longest time to resolve, so that an incident is told within its lookback.
_LONGEST_S = 24 * 24 * _HOUR_S


@dataclass(slots=True)
class Incident(Entity):
    """An incident: service that owns it at last, when it was opened, why."""

    service: str = ""
    opened: int = 0
    cause: str = ""


@dataclass(frozen=True, slots=True)
class _Wish:
    opened: int
    service: str
    cause: str = "everyday"
    priority: int | None = None
    #: instant of the repair where the cause has one
    repaired: int | None = None
    major: bool = False


class Incidents(Monthly[Incident]):
    """Incidents by month of opening."""

    name = "incidents"
    kinds = ("incident.updated",)
    numbered = True

    def __init__(self, setting: Setting, outages: Outages, changes: Changes) -> None:
        super().__init__(setting)
        self._outages = outages
        self._changes = changes

    def make(self, month: int) -> Iterator[Incident]:
        """Yield the incidents opened in a month, in order of opening."""
        if month < self.setting.calendar.first_month:
            return
        r = self.setting.rng("incidents", month)
        wishes = [*self._everyday(r, month), *self._from_outages(month), *self._from_releases(month)]
        for n, wish in enumerate(sorted(wishes, key=lambda w: (w.opened, w.service))):
            yield self._tell(r, month, f"INC{month:03d}{n:04d}", wish)

    def _everyday(self, r: Random, month: int) -> Iterator[_Wish]:
        for service in SERVICES.values():
            for _ in range(poisson(r, service.incidents * level("incidents", month))):
                yield _Wish(self.setting.office_time(r, month), service.id)
        if REDESIGN <= month < REPAIR:  # "where did my documents go?"
            for _ in range(poisson(r, 22)):
                yield _Wish(self.setting.office_time(r, month), "customer-portal", "usability", 4)

    def _from_outages(self, month: int) -> Iterator[_Wish]:
        for outage in self._outages.plan(month):
            r = self.setting.rng("outage-incidents", outage.service, outage.start)
            if outage.seconds < 240:
                continue
            opened = outage.start + r.randrange(60, 240)
            tier = SERVICES[outage.service].tier
            yield _Wish(opened, outage.service, outage.cause, tier, outage.end, outage.major and tier < 3)
            for _ in range(poisson(r, min(outage.seconds / 1500, 6) / tier)):  # users call, too
                called = outage.start + r.randrange(200, max(400, outage.seconds))
                yield _Wish(called, outage.service, outage.cause, 3, outage.end)

    def _from_releases(self, month: int) -> Iterator[_Wish]:
        end = self.setting.calendar.month_start(month + 1)
        for change in self._changes.plan(month):
            if change.failed:
                r = self.setting.rng("release-incidents", change.number)
                for _ in range(1 + poisson(r, 1.6)):
                    opened = change.deployed + r.randrange(300, 7 * _HOUR_S)
                    if opened < end:
                        yield _Wish(opened, change.service, "release", r.choice((2, 3, 3, 4)))

    def _tell(self, r: Random, month: int, number: str, wish: _Wish) -> Incident:
        priority = wish.priority or r.choices(*_PRIORITIES)[0]
        opened = wish.opened
        incident = Incident(number, service=wish.service, opened=opened, cause=wish.cause)
        acknowledged = opened + max(45, int(spread(r, _ACKNOWLEDGE_MIN[priority] * 60 * level("resolve", month), 0.7)))
        hours = spread(r, _RESOLVE_H[priority] * level("resolve", month), 0.85)
        resolved = max(acknowledged + 120, opened + min(int(hours * _HOUR_S), _LONGEST_S))
        if wish.repaired is not None:
            resolved = max(acknowledged + 120, wish.repaired + r.randrange(60, 900))
        says_when = r.random() < 0.8  # the others leave the acknowledgement to their history of states
        service = wish.service

        def tell(moment: int, state: State, done: int | None = None, closed: int | None = None, again: int = 0) -> None:
            told_sla = done is not None
            data = IncidentUpdated(
                number=number,
                state=state,
                opened_at=at(opened),
                updated_at=at(moment),
                priority=priority,
                acknowledged_at=at(acknowledged) if says_when and moment >= acknowledged and state != "new" else None,
                resolved_at=at_or_none(done),
                closed_at=at_or_none(closed),
                reopen_count=again,
                made_sla=(done - opened <= SLA_H[priority] * _HOUR_S) if told_sla and done is not None else None,
                major=wish.major,
            )
            incident.updates.append(Update(moment, "incident.updated", service, data))

        if wish.cause == "everyday" and r.random() < 0.03:  # taken for another service's at first
            service = r.choice([s for s in SERVICES if s != wish.service])
        tell(opened, "new")
        service = wish.service
        if wish.cause == "everyday" and r.random() < 0.035:
            says_when = False
            tell(opened + r.randrange(600, 3 * 86_400), "cancelled")
            return incident
        tell(acknowledged, "in_progress")
        if resolved - acknowledged > 3 * _HOUR_S and r.random() < 0.3:
            waited = r.randrange(acknowledged + 600, resolved - 3600)
            tell(waited, "on_hold")
            tell(waited + r.randrange(60, resolved - waited - 60), "in_progress")
        tell(resolved, "resolved", resolved)
        again = 0
        if r.random() < 0.035 * level("resolve", month):
            again = 1
            back = resolved + r.randrange(2 * _HOUR_S, 40 * _HOUR_S)
            tell(back, "in_progress", again=again)
            resolved = back + max(600, int(spread(r, 4 * _HOUR_S, 0.8)))
            tell(resolved, "resolved", resolved, again=again)
        tell(resolved + _CLOSE_S, "closed", resolved, resolved + _CLOSE_S, again)
        return incident
