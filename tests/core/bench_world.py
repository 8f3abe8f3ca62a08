"""A small catalogue and an in-memory run of ingest and rollup, for tests of the engine alone."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from zlib import crc32

from pipeline.catalogue import model as m
from pipeline.engine.ingest import IngestPartition
from pipeline.engine.plan import Plan, build_plan
from pipeline.engine.rollup import RollupPartition
from pipeline.events.envelope import OutEvent, encode
from pipeline.events.families import TYPES, event_topic
from pipeline.values import WINDOWS, CsfStatus, Exits, Happening, KpiRevision, KpiValue

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
H, M, D = timedelta(hours=1), timedelta(minutes=1), timedelta(days=1)


def kpi(name: str, csf: str, measure: m.AnyMeasure, direction: m.Direction = "up", **rest: Any) -> m.Kpi:
    return m.Kpi(id=name, csf=csf, name=name, definition="", unit="x", direction=direction, measure=measure, **rest)


INCIDENT = ["incident.updated"]
KPIS = [
    kpi("active_users", "user_centric_design", m.Distinct(events=["page.viewed"], value="user")),
    kpi("stickiness", "user_centric_design", m.Stickiness(events=["page.viewed"], value="user")),
    kpi("pages_per_session", "user_centric_design", m.Mean(events=["session"], value="pages")),
    kpi("bounce_rate", "user_centric_design", m.Share(events=["session"], of="pages == 1")),
    kpi("csat", "user_centric_design", m.Share(events=["survey.answered"], where="kind == 'csat'", of="score >= 4")),
    kpi("engagement_rate", "user_friendly_interface", m.Share(events=["session"], of="engaged")),
    kpi(
        "time_on_site",
        "user_friendly_interface",
        m.PerUserDay(events=["session"], value="duration_s", user_events=["page.viewed"], user="user", scale="minutes"),
    ),
    kpi("peak_response_time", "scalability", m.Peak(stat="p95")),
    kpi("peak_throughput", "scalability", m.Peak(stat="throughput")),
    kpi("incidents", "reliability", m.Count(events=INCIDENT, at="opened_at", where="state != 'cancelled'")),
    kpi(
        "mttr",
        "reliability",
        m.Mean(events=INCIDENT, at="resolved_at", value="resolved_at - opened_at", scale="hours"),
        "down",
        target=8.0,
        thresholds=m.Thresholds(12, 24),
    ),
    kpi(
        "mttr_median",
        "reliability",
        m.Quantile(events=INCIDENT, at="resolved_at", value="resolved_at - opened_at", scale="hours", q=0.5),
    ),
    kpi(
        "mtta",
        "reliability",
        m.Mean(events=INCIDENT, at="acknowledged_at", value="acknowledged_at - opened_at", scale="hours"),
    ),
    kpi("reopen_rate", "reliability", m.Share(events=INCIDENT, at="resolved_at", of="reopen_count > 0")),
    kpi("backlog", "reliability", m.Stock(events=INCIDENT, enter="opened_at", leave="closed_at")),
    kpi("availability", "reliability", m.Availability(stat="availability"), target=99.0),
    kpi("error_budget_remaining", "reliability", m.Availability(stat="error_budget_remaining")),
    kpi("outages", "reliability", m.Availability(stat="outages"), "down"),
    kpi("mtbf", "reliability", m.Availability(stat="mtbf")),
    kpi("forecast_accuracy", "data_driven_insights", m.Forecast(events=["prediction.scored"], stat="accuracy")),
    kpi("data_freshness", "integration", m.Freshness(events=["record.synced"], completed="available_at", where="ok")),
    kpi(
        "security_incidents",
        "security",
        m.Count(events=["security_incident.updated"], at="detected_at", where="not cancelled"),
        "down",
    ),
]


def catalogue(zone: str = "UTC", **organisation: Any) -> m.Catalogue:
    services = [
        m.Service(id="shop", name="Shop", team="web", vendor_ids=["SHOP-1"]),
        m.Service(id="portal", name="Portal", team="web"),
        m.Service(id="mail", name="Mail", team="work", sessions="reported"),
    ]
    return m.Catalogue(
        organisation=m.Organisation(zone=zone, **organisation),
        csfs={c: m.Csf(c, c, c) for c in m.CSF_IDS},
        kpis={k.id: k for k in KPIS},
        services={s.id: s for s in services},
        targets=[],
        goals={},
    )


class World:
    """A log of events, folded by ingest partitions and one rollup partition, with crashes on demand."""

    def __init__(self, plan: Plan | None = None, partitions: int = 1) -> None:
        self.plan = plan or build_plan(catalogue())
        self.partitions = partitions
        self.log: dict[tuple[str, int], list[tuple[int, int, bytes]]] = {}
        self.chunks: dict[tuple[str, int], dict[bytes, bytes]] = {}
        self.saved: dict[tuple[str, int], int] = {}
        self.engines: dict[tuple[str, int], IngestPartition] = {}
        self.rollup = RollupPartition(self.plan, 0)
        self.rollup_chunks: dict[bytes, bytes] = {}
        self.partials = 0
        self.unacknowledged: list[tuple[int, int, bytes]] = []
        self.values: dict[tuple[str, str, str, int], KpiValue] = {}
        self.statuses: dict[tuple[str, str, str, int], CsfStatus] = {}
        self.revisions: list[KpiRevision] = []
        self.happenings: dict[tuple[str, ...], Happening] = {}
        self.dead: list[bytes] = []
        self.exits: dict[tuple[str, int], Exits] = {}
        self._n = 0

    def event(
        self, kind: str, at: datetime, data: dict[str, Any], *, subject: str = "shop", key: str = "",
        arrival: datetime | None = None, ident: str | None = None, **attributes: Any,
    ) -> None:  # fmt: skip
        self._n += 1
        out = OutEvent(
            id=ident or f"e{self._n}", source="test", type=kind, time=at, subject=subject, data=data, **attributes
        )
        self.raw(event_topic(TYPES[kind][0]), encode(out), arrival or at, key=key)

    def raw(self, topic: str, value: bytes, arrival: datetime, key: str = "", partition: int | None = None) -> None:
        chosen = crc32(key.encode()) % self.partitions if partition is None else partition
        log = self.log.setdefault((topic, chosen), [])
        log.append((len(log), int(arrival.timestamp() * 1000), value))

    def tick(self, at: datetime = NOW) -> None:
        """Let the clock of every partition and of rollup reach an instant."""
        self.event("clock.ticked", at, {"partition": 0, "time": at.isoformat()}, subject="")

    def close(self, month: str, at: datetime = NOW) -> None:
        """Write the barrier of a month to every partition that has a log."""
        self.tick(at)
        data = {"month": month, "zone": "UTC", "id": month, "barriers": len(self.log)}
        for topic, partition in list(self.log):
            self._n += 1
            out = OutEvent(id=f"b{self._n}", source="test", type="month.closed", time=at, subject="", data=data)
            self.raw(topic, encode(out), at, partition=partition)

    def _engine(self, at: tuple[str, int]) -> IngestPartition:
        if at not in self.engines:
            engine = IngestPartition(self.plan, *at)
            if at in self.saved:
                engine.restore(self.saved[at], self.chunks[at].items())
            self.engines[at] = engine
        return self.engines[at]

    def step(self, at: tuple[str, int], upto: int, *, flush: bool = True, tell: bool = True) -> None:
        """Fold a partition's log up to an offset; without ``flush`` (``tell``) it crashes before its state is
        durable (before rollup hears of it)."""
        engine = self._engine(at)
        engine.fold(self.log[at][max(0, engine.position - 3 if engine.position > 3 else 0) : upto])
        out = engine.take()
        if not flush:
            del self.engines[at]
            return
        self.dead += [v for _, v in out.dead_letters]
        self.exits[at] = out.exits
        kept = self.chunks.setdefault(at, {})
        for key, value in out.chunks:
            if value is None:
                kept.pop(key, None)
            else:
                kept[key] = value
        self.saved[at] = engine.position
        if not tell:
            del self.engines[at]
            return
        self.fold_partials([v for _, _, v in out.partials])

    def fold_partials(self, values: Iterable[bytes]) -> None:
        records = []
        for value in values:
            records.append((self.partials, 0, value))
            self.partials += 1
        self.unacknowledged += records
        self.rollup.fold(records)
        self.keep_rollup()

    def keep_rollup(self) -> None:
        for key, value in self.rollup.take_chunks():
            if value is None:
                self.rollup_chunks.pop(key, None)
            else:
                self.rollup_chunks[key] = value

    def crash_rollup(self) -> None:
        """Lose rollup's memory; it recovers from its chunks."""
        position = self.rollup.position
        self.rollup = RollupPartition(self.plan, 0)
        self.rollup.restore(position, self.rollup_chunks.items())
        self.rollup.fold(self.unacknowledged)  # what was not yet in the store comes again

    def evaluate(self) -> None:
        while self.rollup.pending:
            out = self.rollup.evaluate(500)
            for v in out.values:
                self.values[(v.kpi, v.scope, v.period, 0 if v.period in WINDOWS else v.start)] = v
            for s in out.statuses:
                self.statuses[(s.csf, s.scope, s.period, 0 if s.period in WINDOWS else s.start)] = s
            for h in out.happenings:
                self.happenings.pop(h.identity, None)
                if not h.gone:
                    self.happenings[h.identity] = h
            self.revisions += [r for r in out.revisions if r not in self.revisions]
        assert self.rollup.settled(0)
        self.keep_rollup()
        self.unacknowledged = []

    def run(self) -> World:
        """Fold everything and evaluate."""
        for at in sorted(self.log):
            self.step(at, len(self.log[at]))
        self.evaluate()
        return self

    def month(self, name: str, month: str = "2026-11", scope: str = "org") -> KpiValue:
        return self.values[(name, scope, "month", self.plan.calendar.parse_month(month))]

    def live(self, name: str, window: str = "24h", scope: str = "org") -> KpiValue:
        return self.values[(name, scope, window, 0)]


def incident(world: World, number: str, opened: datetime, updated: datetime, state: str, **more: Any) -> None:
    data = {
        "number": number, "state": state, "opened_at": opened.isoformat(), "updated_at": updated.isoformat(),
        **{k: v.isoformat() if isinstance(v, datetime) else v for k, v in more.items() if k not in {"subject", "arrival", "csfteam"}},
    }  # fmt: skip
    world.event(
        "incident.updated", updated, data, key=number, subject=more.get("subject", "shop"), arrival=more.get("arrival"),
        csfteam=more.get("csfteam"),
    )  # fmt: skip


def polled(world: World, start: datetime, end: datetime, types: list[str]) -> None:
    data = {"source": "s", "from": start.isoformat(), "to": end.isoformat(), "types": types}
    world.event("source.polled", end, data, subject="")


def view(world: World, user: str, at: datetime, **more: Any) -> None:
    world.event("page.viewed", at, {"user": user, "path": "/"}, key=user, **more)


def check(world: World, at: datetime, up: bool | None, **more: Any) -> None:
    world.event("uptime.checked", at, {"up": up, "interval_s": 60, **more}, key="c")
