"""A real InfluxDB that holds a simulated organisation, and what is awkward: unknown after known, two definitions, odd names."""

import time
from collections.abc import Iterator

import msgspec
import pytest

from pipeline.catalogue.model import Catalogue
from pipeline.stores.influx import InfluxStore
from pipeline.stores.influx_lines import tag_value
from pipeline.time.calendar import Calendar
from pipeline.time.panes import window_bounds
from pipeline.values import WINDOWS
from tests.console.sample import Filler, catalogue
from tests.dashboards.expected import Point, World
from tests.dashboards.grafana import InfluxQl
from tests.services.influx import Influx

#: a service whose name means something to regular expressions, to InfluxQL and to line protocol
ODD = "service:a.b/c d'e|f(1)%\\"


_ESCAPES = str.maketrans({",": "\\,", " ": "\\ ", "=": "\\="})


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
        # another definition says something else of the same time
        again = [v for v in held if v.kpi == "mtta"]
        store.write_values([msgspec.structs.replace(v, value=77.0, definition_version=2) for v in again])
    status = store.statuses(period="1h", scopes=["org"], latest=True)[0]
    store.write_statuses([msgspec.structs.replace(status, score=None, status="unknown")])


@pytest.fixture(scope="session")
def world(store: InfluxStore, influx: Influx, organisation: Catalogue) -> World:
    calendar = Calendar(organisation.organisation.zone)
    return World(store, calendar, _report(influx, calendar))


def _report(influx: Influx, calendar: Calendar) -> list[Point]:
    """Write what the report says of the newest months."""
    points = []
    start = calendar.month_start(int(time.time()))
    for _ in range(3):
        for csf in ("summary", "reliability"):
            for scope in ("org", tag_value(ODD)):
                said = {
                    "verdict": "at_risk",
                    "insight": f'{csf} of {scope} since {start}: 99.1 %, not "three nines"'.replace("\\", "/"),
                    "concerns": "ERP, and payroll",
                    "suggestions": "",
                }
                points.append(Point(start, {"csf": csf, "period": "month", "scope": scope}, said))
        start = calendar.previous_month(start)
    for p in points:
        tags = ",".join(f"{k}={v.translate(_ESCAPES)}" for k, v in p.tags.items())
        fields = ",".join('{}="{}"'.format(k, v.replace('"', '\\"')) for k, v in p.fields.items())
        influx.write("csf_history", f"report_text,{tags} {fields} {p.time}")
    return points


@pytest.fixture(scope="session")
def influxql(influx: Influx, store: InfluxStore) -> InfluxQl:
    return InfluxQl(influx)
