"""A week in which everything goes wrong once, played through ingest, rollup and alerting by simulated time.

An outage, a failed release, a security incident, a survey slump, a silent source, and planned maintenance that nobody is
to be told of. ``Week.play`` returns who was told of what and when, by every channel.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import msgspec

from pipeline.alerts import inputs as i
from pipeline.alerts.engine import AlertEngine
from pipeline.alerts.teller import Teller
from pipeline.catalogue import alerts as a
from pipeline.catalogue import model as m
from pipeline.catalogue.loader import load_catalogue
from pipeline.engine.plan import build_plan
from tests.core.bench_world import World

MONDAY = datetime(2026, 11, 2, tzinfo=UTC)
KPIS = ("availability", "change_success_rate", "breaches", "csat")
CHANNELS = ("mail", "hook", "prom")
RULES: list[a.AnyRule] = [
    a.ThresholdRule(
        id="down", kpi="availability", window="5m", limit=50, clear=99, scopes=("service:*",), severity="critical",
        hold="1m", min_sample=1,
    ),
    a.BurnRateRule(
        id="burn_fast", kpi="availability", long="1h", short="5m", factor=14.4, scopes=("service:*",), severity="critical",
        quiet_while=("down",),
    ),
    a.ThresholdRule(id="release", kpi="change_success_rate", limit=60, scopes=("org",), min_sample=3),
    a.ThresholdRule(id="breach", kpi="breaches", limit=1, scopes=("org",), severity="critical", min_sample=0),
    a.ThresholdRule(id="slump", kpi="csat", limit=60, clear=70, scopes=("org",), min_sample=5),
    a.AbsenceRule(id="silent", kpi="availability", scopes=("service:*",), severity="critical"),
]  # fmt: skip


def moment(day: int, hour: int, minute: int = 0) -> datetime:
    """Return an instant of the week; Monday is day 0."""
    return MONDAY + timedelta(days=day, hours=hour, minutes=minute)


OUTAGE = (moment(1, 10), moment(1, 10, 40))
RELEASE, MENDED = moment(2, 14), moment(2, 16, 30)
BREACH = moment(3, 2)
SLUMP = (moment(4, 9), moment(4, 10))
SILENCE = (moment(5, 8), moment(5, 11))
PLANNED = (moment(6, 2), moment(6, 4))
#: around these every minute is looked at; else every hour is
_CLOSELY = [
    (at - timedelta(minutes=2), at + timedelta(minutes=15))
    for at in (*OUTAGE, RELEASE, MENDED, BREACH, BREACH + timedelta(days=1), *SILENCE, *PLANNED)
]


def week_catalogue() -> m.Catalogue:
    """Return the built-in catalogue, as far as the week concerns it."""
    found = load_catalogue()
    services = [m.Service(id=s, name=s.title(), team="web", tier=1) for s in ("shop", "mail", "crm")]
    channels = [a.Channel(id=c, kind="webhook", url="http://127.0.0.1:9/") for c in CHANNELS]
    route = a.Route(id="all", channels=list(CHANNELS), group_by=("rule", "scope"), repeat="0s")
    return msgspec.structs.replace(
        found, kpis={name: found.kpis[name] for name in KPIS}, services={s.id: s for s in services},
        alerts={rule.id: rule for rule in RULES}, channels={c.id: c for c in channels}, routes=[route], insights={},
    )  # fmt: skip


def minutes() -> Iterator[datetime]:
    """Yield the instants at which the pipeline takes a step."""
    for n in range(7 * 1_440 + 1):
        at = MONDAY + timedelta(minutes=n)
        if n % 60 == 0 or any(start <= at <= end for start, end in _CLOSELY):
            yield at


class Week(World):
    """The pipeline from events to what each channel was told."""

    def __init__(self) -> None:
        self.catalogue = week_catalogue()
        super().__init__(build_plan(self.catalogue))
        self.teller = Teller(self.catalogue)
        self.heard: list[bytes] = []
        self.alerts = AlertEngine(self.catalogue)
        self.durable: dict[bytes, bytes] = {}
        self.flushed = -1
        #: by channel: (minute, kind, rule, scope)
        self.told: dict[str, list[tuple[str, str, str, str]]] = {name: [] for name in CHANNELS}

    # --- the pipeline ---

    def evaluate(self) -> None:
        """Work values out and tell alerting what is news."""
        while self.rollup.pending:
            out = self.rollup.evaluate(500)
            self._hear(self.teller.news(out.values, out.statuses, self.rollup.clock, self.rollup.clock))
        assert self.rollup.settled(0)
        self._hear(self.teller.time(self.rollup.csfs, self.rollup.clock, self.rollup.maintenance()))
        self.keep_rollup()
        self.unacknowledged = []

    def _hear(self, messages: list[i.AnyInput]) -> None:
        self.heard += [i.encode(message) for message in messages]

    def alert(self, now: datetime) -> None:
        """Let alerting hear, decide, and tell every channel."""
        records = [(n, 0, self.heard[n]) for n in range(max(0, self.flushed - 3), len(self.heard))]
        assert self.alerts.fold(records) == 0
        for later in (0, 1, 2):  # a group waits a second for others
            self.alerts.advance(now.timestamp() + later)
            self.flush_alerts()
        for number, delivery in sorted(self.alerts.deliveries.items()):
            self.told[delivery.channel] += [
                (f"{now:%a %H:%M}", told.kind, told.rule, told.scope) for told in delivery.message.alerts
            ]
            self.alerts.done(number, "delivered", now.timestamp())
        self.alerts.settle(changes=list(self.alerts.changes), notes=list(self.alerts.notes))
        self.flush_alerts()

    def flush_alerts(self) -> None:
        """Make durable what alerting decided."""
        for chunk, payload in self.alerts.take_chunks():
            if payload is None:
                self.durable.pop(chunk, None)
            else:
                self.durable[chunk] = payload
        self.flushed = self.alerts.position

    def die(self) -> None:
        """Lose every machine: ingest, rollup, what rollup told, alerting; each goes on from what is durable."""
        self.engines.clear()
        self.crash_rollup()
        self.teller.forget()
        self.alerts = AlertEngine(self.catalogue)
        self.alerts.restore(self.flushed, list(self.durable.items()))

    def play(self, deaths: set[datetime] | None = None) -> dict[str, list[tuple[str, str, str, str]]]:
        """Play the week; at some instants everything dies between what is flushed and what is told."""
        self._before()
        last = MONDAY
        for now in minutes():
            self._happen(last, now)
            self.tick(now)
            self.run()
            if now in (deaths or ()):
                records = [(n, 0, self.heard[n]) for n in range(max(0, self.flushed - 3), len(self.heard))]
                self.alerts.fold(records)
                self.alerts.advance(now.timestamp())  # what it was about to say dies with it
                self.die()
                self.run()
            self.alert(now)
            last = now
        return self.told

    # --- what happens ---

    def _before(self) -> None:
        planned = {"id": "CHG-7", "starts_at": PLANNED[0].isoformat(), "ends_at": PLANNED[1].isoformat(), "announced_at": moment(4, 12).isoformat()}  # fmt: skip
        self.event("maintenance.scheduled", MONDAY, planned, subject="crm")

    def _happen(self, last: datetime, now: datetime) -> None:
        """Send the events between two steps."""
        step = min(timedelta(minutes=5), max(now - last, timedelta(minutes=1)))
        at = last + step
        while at <= now:
            for service in ("shop", "mail", "crm"):
                if service == "mail" and SILENCE[0] <= at < SILENCE[1]:
                    continue
                down = (service == "shop" and OUTAGE[0] <= at < OUTAGE[1]) or (
                    service == "crm" and PLANNED[0] <= at < PLANNED[1]
                )
                check = {"up": not down, "check": "web", "interval_s": int(step.total_seconds())}
                self.event("uptime.checked", at, check, subject=service)
            at += step
        for service in ("shop", "mail", "crm"):
            if not (service == "mail" and SILENCE[0] < now <= SILENCE[1]):
                self._polled(f"probe-{service}", ["uptime.checked"], [service], last, now)
        self._polled("siem", ["security_incident.updated"], None, last, now)
        for start, send in ((RELEASE, self._release), (MENDED, self._mended), (BREACH, self._breach)):
            if last < start <= now:
                send(start)
        self._answers(last, now)

    def _polled(
        self, source: str, types: list[str], services: list[str] | None, start: datetime, end: datetime
    ) -> None:
        if start < end:
            said = {
                "source": source,
                "types": types,
                "services": services,
                "from": start.isoformat(),
                "to": end.isoformat(),
            }
            self.event("source.polled", end, said, subject="")

    def _change(self, number: str, at: datetime, outcome: str) -> None:
        said = {"number": number, "updated_at": at.isoformat(), "deployed_at": at.isoformat(), "outcome": outcome}
        self.event("change.updated", at, said, key=number)

    def _release(self, at: datetime) -> None:
        for n in range(5):
            self._change(f"CHG{n}", at, "successful" if n < 2 else "failed")

    def _mended(self, at: datetime) -> None:
        for n in range(5, 10):
            self._change(f"CHG{n}", at, "successful")

    def _breach(self, at: datetime) -> None:
        times = {"detected_at": at.isoformat(), "updated_at": at.isoformat()}
        said = {"number": "SEC1", "breach": True, "severity": "critical", **times}
        self.event("security_incident.updated", at, said, key="SEC1")

    def _answers(self, last: datetime, now: datetime) -> None:
        """Send a good answer each hour, and a bad one each third minute of the slump."""
        at = last.replace(minute=0) + timedelta(hours=1)
        while at <= now:
            self._answer(at, 5)
            at += timedelta(hours=1)
        at = max(last, SLUMP[0])
        while at < min(now, SLUMP[1]):
            if at.minute % 3 == 0:
                self._answer(at, 1)
            at += timedelta(minutes=1)

    def _answer(self, at: datetime, score: int) -> None:
        name = f"{at:%d%H%M}-{score}"
        said = {"kind": "csat", "score": score, "scale": "1-5", "respondent": name, "survey": "s"}
        self.event("survey.answered", at, said, key=name)
