"""A real InfluxDB that holds a simulated organisation, and what is awkward: unknown after known, two definitions, odd names."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import msgspec
import pytest

from pipeline.catalogue.model import Catalogue
from pipeline.stores.influx import InfluxStore
from pipeline.time.calendar import Calendar
from pipeline.time.panes import window_bounds
from pipeline.values import WINDOWS, AlertChange, Happening, ReportText
from tests.console.sample import Filler, catalogue
from tests.dashboards.expected import World
from tests.dashboards.grafana import InfluxQl
from tests.services.influx import Influx
from tests.stores.samples import note

#: a service whose name means something to regular expressions, to InfluxQL and to line protocol
ODD = "service:a.b/c d'e\"g|f(1)[^2]{3}$x,y=é%\\"


@pytest.fixture(scope="session")
def organisation(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    return catalogue(tmp_path_factory.mktemp("catalogue"))


@pytest.fixture(scope="session")
def influx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Influx]:
    running = Influx(tmp_path_factory.mktemp("influx"))
    yield running
    running.server.stop()


@pytest.fixture(scope="session")
def store(influx: Influx, organisation: Catalogue) -> Iterator[InfluxStore]:
    store = InfluxStore(influx.url, influx.token, influx.org)
    store.setup_buckets()
    store.map_databases()
    filler = Filler(store, organisation, int(time.time()))
    filler.everything()
    _awkward(store, filler)
    yield store
    store.close()


def _awkward(store: InfluxStore, filler: Filler) -> None:
    month = filler.calendar.month_start(filler.now)
    bounds = {w: window_bounds(w, filler.now) for w in WINDOWS}
    for period, (start, end) in {**bounds, "month": (month, filler.calendar.next_month(month))}.items():
        state = "live" if period in WINDOWS else "to_date"
        values, statuses = filler.made(ODD, period, start, end, 0.5, state)
        store.write_values(values)
        store.write_statuses(statuses)
    months = store.periods(period="month", scopes=["org"])
    live = store.live(window="1h", scopes=["org"])
    for held in (months, live):
        # known once, unknown now: the numbers are still in the bucket
        gone = [v for v in held if v.kpi in {"availability", "csat"}]
        nothing = dict.fromkeys(("value", "numerator", "denominator", "coverage", "target", "score", "previous"))
        store.write_values([msgspec.structs.replace(v, **nothing, count=0, status="unknown") for v in gone])
        # other definitions say something else of the same time
        again = [v for v in held if v.kpi == "mtta"]
        for version, number in ((2, 55.0), (9, 66.0), (10, 77.0)):
            store.write_values([msgspec.structs.replace(v, value=number, definition_version=version) for v in again])
    texts = [
        ReportText(
            csf=csf,
            scope=scope,
            period="month",
            start=start,
            verdict="at_risk",
            insight=f'{csf} of {scope}: 99.1 %, not "three nines"',
            concerns="ERP, and payroll\nC:\\temp is full",
            suggestions="",
            issue=1,
        )
        for csf in ("summary", "reliability")
        for scope in ("org", ODD)
        for start in {v.start for v in months}
    ]
    store.write_report_texts(texts)
    status = store.statuses(period="1h", scopes=["org"], latest=True)[0]
    store.write_statuses([msgspec.structs.replace(status, score=None, status="unknown")])
    store.write_alerts(alerts(filler.now))
    store.write_happenings(happenings(filler.now))
    told = note(at=filler.now - 60, kind="delivered", channel="pager", about="2 alerts: MTTR is red", until=None)
    store.write_alert_notes(
        [note(at=filler.now - 60), note(at=filler.now - 50 * 86_400), told, note(at=filler.now - 60, slot=8)]
    )


def happenings(now: int) -> list[Happening]:
    """Return things that happened: at one instant, that last from before what is shown, that have no end, that are gone."""
    erp = partial(Happening, service="erp", team="back-office", source="//itsm")
    odd = partial(Happening, service=ODD.removeprefix("service:"), team="", source="s'\\")
    hour = 3_600
    return [
        *(erp(kind="deployment", id=f"C{n}", start=now - hour, text=f"Deployment C{n}") for n in range(20)),
        erp(kind="deployment", id="C99", start=now - hour, text="moved elsewhere", gone=True),
        erp(kind="incident", id="I1", start=now - 48 * hour, end=now - hour, text="Major incident I1: resolved"),
        erp(kind="incident", id="I2", start=now - 48 * hour, end=now - 30 * hour, text="over before what is shown"),
        odd(kind="incident", id="I3", start=now - 2 * hour, text='Major incident "I3": in progress\nC:\\temp'),
        odd(kind="maintenance", id="M1", start=now - hour, end=now + hour, text="Planned maintenance"),
        erp(kind="maintenance", id="M2", start=now - 4 * hour, end=now - 3 * hour, text="Planned maintenance: disk"),
    ]


def alerts(now: int) -> list[AlertChange]:
    """Return changes: over and fired again, unknown, of several severities, of a rule that became milder, long ago."""

    def of(rule: str, kpi: str, csf: str, scope: str, severity: Any) -> Callable[..., AlertChange]:
        return partial(
            AlertChange, rule=rule, kpi=kpi, csf=csf, scope=scope, severity=severity, unit="h", note=f"{kpi} of {scope}"
        )

    red = of("mttr_red", "mttr", "reliability", "org", "critical")
    odd = of("csat_amber", "csat", "user_centric_design", ODD, "warning")
    concern = of("security_concern", "", "security", "org", "critical")
    milder = of("security_concern", "", "security", "org", "info")
    slow = of("nps_forecast", "nps", "user_centric_design", "org", "info")
    hour, day = 3_600, 86_400
    return [
        red(state="firing", at=now - 3 * day, since=now - 3 * day, value=50.0, threshold=48.0),  # before what is shown
        red(state="resolved", at=now - 5 * hour, since=now - 3 * day, value=20.0, threshold=24.0),
        red(state="firing", at=now - 4 * hour, since=now - 4 * hour, value=61.5, threshold=48.0, count=9, coverage=0.9),
        odd(state="firing", at=now - 2 * hour, since=now - 2 * hour, value=70.0, threshold=75.0),
        odd(state="unknown", at=now - hour, since=now - 2 * hour, threshold=75.0),
        concern(state="firing", at=now - 2 * hour, since=now - 2 * hour, value=40.0, threshold=60.0),
        milder(state="resolved", at=now - hour, since=now - 2 * hour, value=80.0),
        slow(state="firing", at=now - 50 * day, since=now - 50 * day),  # no longer looked for
        slow(state="firing", at=now - 600, since=now - 600),
    ]


@pytest.fixture(scope="session")
def world(store: InfluxStore, organisation: Catalogue) -> World:
    return World(store, Calendar(organisation.organisation.zone))


@pytest.fixture(scope="session")
def influxql(influx: Influx, store: InfluxStore) -> InfluxQl:
    return InfluxQl(influx)
