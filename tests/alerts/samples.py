"""A catalogue with few rules, and a log of alerting that a test writes by hand."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pipeline.alerts import inputs as i
from pipeline.alerts.engine import AlertEngine
from pipeline.alerts.messages import Message, Told
from pipeline.catalogue import alerts as a
from pipeline.catalogue import model as m
from pipeline.values import AlertChange, AlertNote, CsfStatus, KpiValue

T0 = 1_790_000_000
DELAY = a.ThresholdRule(id="delay_high", kpi="delay", limit=100, clear=80, window="5m", severity="critical", hold="1m")
ODD = a.ThresholdRule(id="delay_odd", kpi="delay", limit=60, window="5m", quiet_while=("delay_high",))
BURN = a.BurnRateRule(id="burn", kpi="availability", long="1h", short="5m", factor=14.4, severity="critical")
SILENT = a.AbsenceRule(id="silent", kpi="availability", scopes=("service:*",))
CONCERN = a.StatusRule(id="concern", csf="reliability", window="24h", scopes=("org",))
MISS = a.ForecastRule(id="miss", kpi="availability", recent="7d", scopes=("org",))
WORSE = a.TrendRule(id="worse", kpi="delay", worse_by=50, recent="24h", baseline="7d", clear_below=20)
RULES = (DELAY, ODD, BURN, SILENT, CONCERN, MISS, WORSE)
ALL = a.Route(id="all", channels=["mail"], group_wait="1s", group_interval="30s", repeat="1h")


def catalogue(*rules: a.AnyRule, routes: tuple[a.Route, ...] = (ALL,)) -> m.Catalogue:
    """Return a catalogue with two KPIs, two services of two teams, and some rules."""
    kpis = [
        m.Kpi(
            id="delay", csf="reliability", name="Delay", definition="d", unit="ms", direction="down", decimals=0,
            measure=m.Mean(events=["request.measured"], value="latency_ms"),
        ),
        m.Kpi(
            id="availability", csf="reliability", name="Availability", definition="a", unit="%", direction="up",
            measure=m.Availability(stat="availability"), target=99.9,
        ),
    ]  # fmt: skip
    services = [m.Service(id="shop", name="Shop", team="web", tier=1), m.Service(id="mail", name="Mail", team="work")]
    return m.Catalogue(
        organisation=m.Organisation(),
        csfs={"reliability": m.Csf("reliability", "Reliability", "r")},
        kpis={k.id: k for k in kpis},
        services={s.id: s for s in services},
        targets=[],
        goals={},
        alerts={r.id: r for r in rules or RULES},
        channels={"mail": a.Channel(id="mail", kind="webhook", url="http://127.0.0.1:9/")},
        routes=list(routes),
    )


def value(
    kpi: str, number: float | None, at: int, window: str = "5m", scope: str = "service:shop", **rest: Any
) -> KpiValue:
    """Return a live value that ends at an instant."""
    length = {"5m": 300, "30m": 1800, "1h": 3600, "6h": 21600, "24h": 86400, "7d": 604800}[window]
    given = {"count": 100, "unit": "ms" if kpi == "delay" else "%", **rest}
    return KpiValue(
        csf="reliability", kpi=kpi, scope=scope, period=window, start=at - length, end=at, value=number, state="live",
        **given,
    )  # fmt: skip


def status(state: Any, at: int, score: float = 50.0) -> CsfStatus:
    """Return the organisation's status over a day."""
    return CsfStatus(
        csf="reliability", scope="org", period="24h", start=at - 86400, end=at, status=state, score=score,
        known_weight=1, total_weight=1, worst_service="service:shop",
    )  # fmt: skip


@dataclass
class World:
    """An engine with its log, what is durable of it, and what it told; ``crash`` goes on from what is durable."""

    catalogue: m.Catalogue = field(default_factory=catalogue)
    log: list[bytes] = field(default_factory=list)
    chunks: dict[bytes, bytes] = field(default_factory=dict)
    saved: int = -1
    told: dict[str, Message] = field(default_factory=dict)
    changes: dict[tuple[str, str, int, str], AlertChange] = field(default_factory=dict)
    notes: dict[int, AlertNote] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.engine = AlertEngine(self.catalogue)

    def say(self, *messages: i.AnyInput) -> None:
        """Append to the log, and let the engine take it."""
        for message in messages:
            self.log.append(i.encode(message))
        self.catch_up()

    def catch_up(self) -> None:
        self.engine.fold([(n, 0, raw) for n, raw in enumerate(self.log)][max(0, self.saved - 2) :])

    def tell(self, kpi: str, number: float | None, at: int, window: str = "5m", **rest: Any) -> None:
        self.say(i.ValueTold(clock=at, value=value(kpi, number, at, window, **rest)))

    def clock(self, at: float) -> None:
        self.say(i.ClockTold(csfs=["reliability"], clock=at))

    def flush(self) -> None:
        """Make durable what changed."""
        for chunk, payload in self.engine.take_chunks():
            if payload is None:
                self.chunks.pop(chunk, None)
            else:
                self.chunks[chunk] = payload
        self.saved = self.engine.position

    def deliver(self) -> None:
        """Take what is to be written and told out of the durable state."""
        for number, change in list(self.engine.changes.items()):
            self.changes[change.rule, change.scope, change.at, change.state] = change
            self.engine.settle(changes=[number])
        for number, note in list(self.engine.notes.items()):
            self.notes[number] = note
            self.engine.settle(notes=[number])
        for number, delivery in list(self.engine.deliveries.items()):
            self.told[delivery.message.id] = delivery.message
            self.engine.done(number, "delivered", delivery.at)

    def advance(self, now: float) -> list[Told]:
        """Decide at an instant and a second later; return what was told."""
        before = set(self.told)
        for at in (now, now + 1):
            self.engine.advance(at)
            self.flush()
            self.deliver()
        return [item for name, n in self.told.items() if name not in before for item in n.alerts]

    def restart(self, changed: m.Catalogue) -> None:
        """Start again with another catalogue."""
        self.catalogue = changed
        self.crash()

    def crash(self) -> None:
        """Lose what is not durable; read the log again from a little before."""
        self.engine = AlertEngine(self.catalogue)
        self.engine.restore(self.saved, list(self.chunks.items()))
        self.catch_up()

    def kinds(self, now: float) -> list[tuple[str, str, str]]:
        """Return (kind, rule, scope) of what is told at an instant."""
        return [(item.kind, item.rule, item.scope) for item in self.advance(now)]
