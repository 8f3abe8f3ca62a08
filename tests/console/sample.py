"""A KPI store with 13 months, recent days and live windows of a made-up organisation of 4 teams and 12 services."""

from __future__ import annotations

import math
import random
import zlib
from datetime import date
from pathlib import Path

import yaml

from pipeline.catalogue.loader import load_catalogue
from pipeline.catalogue.model import Catalogue, Kpi
from pipeline.evaluate.judge import judge, judge_csf
from pipeline.evaluate.words import is_offered
from pipeline.stores.port import KpiStore
from pipeline.time.calendar import Calendar
from pipeline.time.panes import LENGTH, SLIDE, window_bounds
from pipeline.values import WINDOWS, CsfStatus, Exits, KpiRevision, KpiValue

SERVICES = {
    "web-shop": ("Web shop", "commerce", 1),
    "checkout": ("Checkout", "commerce", 1),
    "search": ("Product search", "commerce", 2),
    "customer-portal": ("Customer portal", "commerce", 2),
    "identity": ("Identity and sign-on", "platform", 1),
    "api-gateway": ("API gateway", "platform", 1),
    "messaging": ("Messaging", "platform", 2),
    "data-warehouse": ("Data warehouse", "data", 2),
    "reporting": ("Reporting", "data", 3),
    "erp": ("ERP", "back-office", 1),
    "payroll": ("Payroll", "back-office", 3),
    "intranet": ("Intranet", "back-office", 3),
}
#: How much worse than on target each service does, and each CSF: 0 is on target, 1 is red.
_STRAIN = {"checkout": 0.2, "erp": 0.15, "messaging": 0.2, "payroll": 0.1}
_CSF_STRAIN = {"reliability": 0.28, "security": 0.45, "integration": 0.3, "scalability": 0.1}


def catalogue(directory: Path, *, name: str = "Nordwind Trading", zone: str = "Europe/Berlin") -> Catalogue:
    """Write an own catalogue into a directory and load it over the built-in one."""
    directory.mkdir(parents=True, exist_ok=True)
    organisation = {"name": name, "zone": zone}
    services = [{"id": i, "name": n, "team": t, "tier": tier} for i, (n, t, tier) in SERVICES.items()]
    (directory / "organisation.yaml").write_text(yaml.safe_dump(organisation))
    (directory / "services.yaml").write_text(yaml.safe_dump(services))
    return load_catalogue(directory)


def scopes() -> list[str]:
    teams = sorted({team for _, team, _ in SERVICES.values()})
    return ["org", *(f"team:{t}" for t in teams), *(f"service:{s}" for s in SERVICES)]


def _own(text: str) -> float:
    """Return a fixed number in [0, 1) for a text, so that each KPI and service has a character of its own."""
    return zlib.crc32(text.encode()) / 2**32


def _strain(kpi: Kpi, scope: str) -> float:
    ident = scope.partition(":")[2]
    if scope.startswith("team:"):
        inside = [_STRAIN.get(s, 0.0) for s, (_, team, _) in SERVICES.items() if team == ident]
        own = sum(inside) / len(inside)
    else:
        own = _STRAIN.get(ident, 0.0) if ident else 0.12
    return own + _CSF_STRAIN.get(kpi.csf, 0.0) + 0.9 * (_own(kpi.id + "!") - 0.5) + 0.7 * (_own(scope + kpi.csf) - 0.5)


def _number(kpi: Kpi, scope: str, wave: float, rng: random.Random) -> float:
    """Return a value between a bit better than the target and beyond red."""
    if kpi.thresholds is None or kpi.target is None:
        return float(rng.randrange(0, 40))
    good, red = kpi.target, kpi.thresholds.red
    badness = _strain(kpi, scope) - 0.08 + 0.2 * wave + rng.gauss(0, 0.06)
    value = good + (red - good) * badness
    if kpi.unit == "%":
        value = min(value, 100.0)
    if kpi.id not in {"nps", "forecast_bias", "decision_impact", "decision_uplift", "error_budget_remaining"}:
        value = max(value, 0.15 * good)
    return float(round(value)) if kpi.decimals == 0 else value


class Filler:
    """Writes plausible values; ``now`` is where live windows end."""

    def __init__(self, store: KpiStore, catalogue: Catalogue, now: int, seed: int = 7) -> None:
        self.store, self.catalogue, self.now = store, catalogue, now
        self.calendar = Calendar(catalogue.organisation.zone)
        self.rng = random.Random(seed)
        self.received = 1_284_332

    def value(self, kpi: Kpi, scope: str, period: str, start: int, end: int, wave: float, state: str) -> KpiValue:
        rng = self.rng
        number: float | None = _number(kpi, scope, wave, rng)
        count, coverage = rng.randrange(90, 900), min(1.0, 0.975 + rng.random() * 0.04)
        if scope == "service:intranet" and kpi.csf == "integration":
            number, count, coverage = None, 0, None
        if scope == "service:payroll" and kpi.id in {"csat", "nps", "ces"}:
            count = 4
        if kpi.id == "decision_impact" and scope != "org":
            number, count = None, 0
        target = self.catalogue.target_for(kpi.id, scope, None, date(2026, 1, 1))
        status, score = judge(kpi, number, count if number is not None else 0, target)
        share = number is not None and kpi.unit == "%"
        return KpiValue(
            csf=kpi.csf,
            kpi=kpi.id,
            scope=scope,
            period=period,
            start=start,
            end=end,
            value=number,
            unit=kpi.unit,
            numerator=number * count / 100 if share else None,
            denominator=float(count) if share else None,
            count=count,
            coverage=coverage,
            target=target,
            status=status,
            score=score,
            state=state,
            revision={"closed": 1, "restated": 2}.get(state, 0),
            definition_version=kpi.version,
        )

    def cells(self, scopes: list[str], period: str, start: int, end: int, wave: float, state: str) -> None:
        values: list[KpiValue] = []
        statuses: list[CsfStatus] = []
        for scope in scopes:
            v, s = self.made(scope, period, start, end, wave, state)
            values += v
            statuses += s
        self.store.write_values(values)
        self.store.write_statuses(statuses)

    def made(
        self, scope: str, period: str, start: int, end: int, wave: float, state: str
    ) -> tuple[list[KpiValue], list[CsfStatus]]:
        values: list[KpiValue] = []
        statuses: list[CsfStatus] = []
        for csf in self.catalogue.csfs:
            offered = [k for k in self.catalogue.kpis.values() if k.csf == csf and is_offered(k, period)]
            found = [self.value(k, scope, period, start, end, wave, state) for k in offered]
            scores = [(v.score, k.weight) for v, k in zip(found, offered, strict=True)]
            status, score, known, total = judge_csf(scores, self.catalogue.organisation)
            values += found
            statuses.append(
                CsfStatus(
                    csf=csf,
                    scope=scope,
                    period=period,
                    start=start,
                    end=end,
                    status=status,
                    score=score,
                    known_weight=known,
                    total_weight=total,
                )
            )
        return values, statuses

    def months(self, number: int = 13) -> list[int]:
        starts = [self.calendar.month_start(self.now)]
        while len(starts) < number:
            starts.append(self.calendar.previous_month(starts[-1]))
        starts.reverse()
        for i, start in enumerate(starts):
            state = "to_date" if i == number - 1 else "restated" if i == number - 3 else "closed"
            self.cells(scopes(), "month", start, self.calendar.next_month(start), math.sin(i / 2), state)
        self.store.write_revisions(
            [
                KpiRevision(
                    csf="reliability",
                    kpi="mttr",
                    scope="org",
                    period="month",
                    start=starts[-3],
                    revision=1,
                    value=9.25,
                    reason="events arrived after the month was closed",
                    replaced_by=9.5,
                )
            ]
        )
        return starts

    def days(self, number: int = 31) -> None:
        day = self.calendar.day_start(self.now)
        for i in range(number):
            state = "to_date"
            self.cells(["org"], "day", day, self.calendar.next_day(day), math.sin(i / 4), state)
            day = self.calendar.day_start(day - 1)

    def windows(self, history_s: int = 7_200) -> None:
        """Write every window as of now for all scopes, and the recent hours of the organisation's."""
        for window in WINDOWS:
            slide = LENGTH[SLIDE[window]]
            back = history_s // 60 if slide == 60 else 48
            values: list[KpiValue] = []
            statuses: list[CsfStatus] = []
            for i in range(back, -1, -1):
                start, end = window_bounds(window, self.now - i * slide)
                for scope in scopes() if i == 0 else ["org"]:
                    v, s = self.made(scope, window, start, end, math.sin(end / 1500), "live")
                    values += v
                    statuses += s
            self.store.write_values(values)
            self.store.write_statuses(statuses)

    def tick(self, now: int) -> None:
        """Write what a moment later would be in the store: new live values and a later clock."""
        self.now = now
        for window in WINDOWS:
            start, end = window_bounds(window, now)
            self.cells(scopes(), window, start, end, math.sin(now / 60), "live")
        month = self.calendar.month_start(now)
        self.cells(["org"], "month", month, self.calendar.next_month(month), math.sin(now / 60), "to_date")
        self.exits()

    def exits(self) -> None:
        self.received += self.rng.randrange(100, 900)
        found = []
        for i, topic in enumerate(("uptime", "incident", "usage", "performance")):
            for partition in range(2):
                received = self.received // (2 + i + partition)
                dead, twice, unmapped, ignored = received // 9_000, received // 700, received // 5_000, received // 90
                found.append(
                    Exits(
                        topic=f"csf.events.{topic}",
                        partition=partition,
                        received=received,
                        dead_letter=dead,
                        duplicate=twice,
                        unmapped=unmapped,
                        ignored=ignored,
                        kpi=received - dead - twice - unmapped - ignored,
                        reasons={
                            "dead_letter:malformed-json": dead // 2,
                            "dead_letter:bad-data": dead - dead // 2,
                            "unmapped:unknown-service": unmapped,
                            "ignored:control": ignored // 2,
                            "ignored:superseded": ignored - ignored // 2,
                        },
                        clock=self.now - partition * 2.0,
                    )
                )
        self.store.write_exits(found)

    def everything(self) -> None:
        self.months()
        self.days()
        self.windows()
        self.exits()
