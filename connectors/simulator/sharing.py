"""Systems that share data: records on their way, and nightly comparisons."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from connectors.simulator.calendar import Day
from connectors.simulator.emit import RecordSynced, at, at_or_none
from connectors.simulator.rng import spread
from connectors.simulator.setting import Entity, Monthly, Update
from connectors.simulator.story import SYNC_LAG, level
from pipeline.events.families import ReconciliationCompleted

_HOUR_S = 3600
#: While the CRM feed lags, records take this many times as long, and this share of them fails.
_LAG_FACTOR, _LAG_FAILS = 45, 0.12


@dataclass(frozen=True)
class Link:
    """A feed from one system to another: seconds between records, ordinary latency in seconds, who owns it."""

    origin: str
    to: str
    service: str
    every_s: int
    latency_s: float


LINKS = (
    Link("crm", "data-platform", "data-platform", 1800, 42),
    Link("policy-admin", "claims", "claims", 3600, 18),
    Link("hr", "identity", "identity", 7200, 75),
)


def _lagging(link: Link, day: Day) -> bool:
    month, (first, last) = SYNC_LAG
    return link.origin == "crm" and day.month == month and first <= day.number <= last


class Syncs(Monthly[Entity]):
    """Records that changed in one system and became available in another."""

    name = "syncs"
    kinds = ("record.synced",)
    lookback = 1

    def key(self, entity: str, _update: Update) -> str:
        """Return the link."""
        return entity.partition(".")[0]

    def make(self, month: int) -> Iterator[Entity]:
        """Yield the records that changed in a month."""
        if month < self.setting.calendar.first_month:
            return
        for day in self.setting.calendar.days(month):
            for link in LINKS:
                r = self.setting.rng("sync", link.origin, day.start)
                lagging = _lagging(link, day)
                for n, slot in enumerate(range(day.start, day.end, link.every_s)):
                    changed = slot + r.randrange(60)
                    latency = spread(r, link.latency_s * (_LAG_FACTOR if lagging else 1), 0.45)
                    ok = r.random() >= (_LAG_FAILS if lagging else level("sync_fail", month))
                    done = changed + max(1, int(latency))
                    data = RecordSynced(
                        from_=link.origin,
                        to=link.to,
                        changed_at=at(changed),
                        available_at=at_or_none(done if ok else None),
                        ok=ok,
                    )
                    told = Update(done, "record.synced", link.service, data)
                    yield Entity(f"{link.origin}.{day.start // _HOUR_S:x}.{n}", [told])


class Reconciliations(Monthly[Entity]):
    """Nightly comparisons of the systems of each link."""

    name = "reconciliations"
    kinds = ("reconciliation.completed",)
    lookback = 0

    def make(self, month: int) -> Iterator[Entity]:
        """Yield the comparisons of a month."""
        if month < self.setting.calendar.first_month:
            return
        for day in self.setting.calendar.days(month):
            for link in LINKS:
                r = self.setting.rng("reconciliation", link.origin, day.start)
                when = day.at(4, r.randrange(30), r.randrange(60))
                data = self._compare(r, link, month)
                told = Update(when, "reconciliation.completed", link.service, data)
                yield Entity(f"{link.origin}.{day.start // _HOUR_S:x}", [told])

    @staticmethod
    def _compare(r: Random, link: Link, month: int) -> ReconciliationCompleted:
        share = level("mismatch", month) * (1.0 if link.origin == "crm" else 0.5)
        records = 900 + r.randrange(200)
        compared = records * 6
        mismatched = round(compared * share * r.uniform(0.8, 1.2))
        wrong = min(records, round(mismatched * r.uniform(0.5, 0.8)))
        return ReconciliationCompleted(
            from_=link.origin,
            to=link.to,
            compared=compared,
            matched=compared - mismatched,
            mismatched=mismatched,
            missing=round(records * share * 0.3),
            records_compared=records,
            records_consistent=records - wrong,
        )
