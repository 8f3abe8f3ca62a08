"""Every query of every board, as it stands in the generated JSON, against a real InfluxDB: it answers what the KPI store says."""

import itertools
import json
import math
import time
from collections.abc import Iterator
from typing import Any

import pytest

from dashboards.boards import BOARDS
from dashboards.build import GENERATED
from pipeline.stores.influx import InfluxStore
from pipeline.stores.influx_lines import armour, tag_value
from tests.dashboards.conftest import ODD
from tests.dashboards.expected import World
from tests.dashboards.grafana import ALL, Chosen, InfluxQl, Row, panels_of, transformed

pytestmark = pytest.mark.services

#: what is tried of each variable; of others, all that it offers up to three
TRIED = {"window": ["1h", "7d"], "scope": ["org", tag_value(ODD)], "service": ["service:erp", tag_value(ODD)]}


def board(name: str) -> dict[str, Any]:
    return json.loads((GENERATED / f"{name}.json").read_text())


def choices(found: dict[str, Any], influxql: InfluxQl) -> Iterator[Chosen]:
    """Yield combinations of the board's variables: each depends on those before it."""
    now = int(time.time() * 1000)
    yield from _with(found["templating"]["list"], Chosen({}, now - 86_400_000, now + 60_000), influxql)


def _with(variables: list[dict[str, Any]], chosen: Chosen, influxql: InfluxQl) -> Iterator[Chosen]:
    if not variables:
        yield chosen
        return
    first, *rest = variables
    if first["type"] == "custom":
        offered = [o["value"] for o in first["options"]]
        assert first["current"]["value"] in offered
    else:
        offered = influxql.options(first, chosen)
        assert offered, f"{first['name']} offers nothing: {chosen.fill(first['query'])}"
    tried = TRIED.get(first["name"], offered if first["name"] in {"csf", "kpi"} else offered[:3])
    assert set(tried) <= set(offered), first["name"]
    if first.get("allValue"):
        assert first["allValue"] == ".*"
        tried = [*tried, ALL]
    for value in tried:
        values = {**chosen.values, first["name"]: value}
        yield from _with(rest, Chosen(values, chosen.time_from, chosen.time_to), influxql)


def shown(panel: dict[str, Any], target: dict[str, Any], rows: list[Row]) -> list[Row]:
    """Return what the panel makes of an answer: the newest definition comes last."""
    if panel["type"] == "stat":
        options = panel["options"]["reduceOptions"]
        return transformed(panel, rows)[: options["limit"]] if options["values"] else rows[-1:]
    if target["resultFormat"] == "time_series":
        tags = [t for t in ("csf", "scope", "rule") if rows and t in rows[0]]
        return list({(row["time"], *(row[t] for t in tags)): row for row in rows}.values())
    return transformed(panel, rows)


def same(one: Any, other: Any) -> bool:
    if isinstance(one, float | int) and isinstance(other, float | int):
        return math.isclose(one, other, rel_tol=1e-12, abs_tol=1e-12)
    return one == other


def assert_same(got: list[Row], want: list[Row], columns: list[str], query: str) -> None:
    def key(row: Row) -> tuple[str, ...]:
        return tuple(str(row.get(c)) for c in columns if not isinstance(row.get(c), float))

    got, want = sorted(got, key=key), sorted(want, key=key)
    assert len(got) == len(want), f"{len(got)} rows for {len(want)}: {query}"
    for g, w in zip(got, want, strict=True):
        wrong = [c for c in columns if not same(g.get(c), w.get(c))]
        assert not wrong, f"{wrong}: {g} is not {w}: {query}"


def marks(store: InfluxStore, name: str, scope: str, csf: str, chosen: Chosen) -> list[tuple[Any, ...]]:
    """Return (time in s, end in ms, text) of what an annotation of a board must show."""
    first, last = chosen.time_from / 1000, chosen.time_to / 1000
    if name == "Alerts":
        shown = [
            c
            for c in store.alerts(at_from=int(first), at_to=int(last))
            if c.state == "firing" and tag_value(c.scope) == scope
        ]
        return [(c.at, None, armour(c.note, "\\")) for c in shown if not csf or c.csf == csf]
    kind = {"Deployments": "deployment", "Major incidents": "incident", "Planned maintenance": "maintenance"}[name]
    within = [h for h in store.happenings() if scope in {tag_value(f"service:{h.service}"), f"team:{h.team}", "org"}]
    return [
        (h.start, None if h.end is None else 1000 * h.end, armour(h.text, "\\"))
        for h in within
        if h.kind == kind and h.start <= last and (h.start if h.end is None else h.end) >= first
    ]


@pytest.mark.parametrize("name", ["service", "csf-detail"])
def test_annotations_are_what_the_store_says(name: str, influxql: InfluxQl, store: InfluxStore) -> None:
    now = int(time.time() * 1000)
    seen = set()
    for scope in ("org", "team:back-office", "service:erp", "service:payroll", tag_value(ODD)):
        for csf in ("reliability", "user_centric_design"):
            chosen = Chosen({"scope": scope, "service": scope, "csf": csf}, now - 86_400_000, now + 60_000)
            for annotation in board(name)["annotations"]["list"][:-1]:
                target = annotation["target"]
                assert target["query"] == annotation["query"]
                got = []
                for series in influxql.series(target["datasource"]["uid"], chosen.fill(target["query"])):
                    assert {target["textColumn"], *target["tagsColumn"].split(",")} <= set(series["columns"])
                    rows = [dict(zip(series["columns"], values, strict=True)) for values in series["values"]]
                    got += [(row["time"] // 1000, row.get("ends"), row["text"]) for row in rows]
                of_csf = csf if name == "csf-detail" else ""
                assert sorted(got, key=str) == sorted(marks(store, annotation["name"], scope, of_csf, chosen), key=str)
                seen |= {(annotation["name"], scope) for _ in got}
    assert {("Deployments", "org"), ("Deployments", "team:back-office"), ("Planned maintenance", "service:erp")} <= seen
    assert {("Major incidents", tag_value(ODD)), ("Alerts", "org"), ("Alerts", tag_value(ODD))} <= seen
    assert not {one for one in seen if one[1] == "service:payroll"}


@pytest.mark.timeout(1200)  # thousands of queries
@pytest.mark.parametrize("name", BOARDS)
def test_every_panel_answers_what_the_store_says(name: str, influxql: InfluxQl, world: World) -> None:
    found, asked, answered = board(name), set(), set()
    panels = [p for p in panels_of(found) if p["type"] != "text"]
    for chosen in choices(found, influxql):
        for panel in panels:
            for target in panel["targets"]:
                if target["datasource"]["type"] != "influxdb":
                    continue
                query = chosen.fill(target["query"])
                got = shown(panel, target, influxql.table(target, chosen))
                want = world.rows(query, time.time())
                if panel["type"] == "stat" and panel["options"]["reduceOptions"]["values"]:
                    want = sorted(want, key=lambda row: row["Score"])[: panel["options"]["reduceOptions"]["limit"]]
                columns = list(dict.fromkeys(itertools.chain.from_iterable(row.keys() for row in want)))
                if panel["type"] == "stat" or panel.get("transformations"):
                    columns = [c for c in columns if c != "time"]
                assert_same(got, want, columns, query)
                asked.add((panel["id"], target["refId"]))
                answered |= {(panel["id"], target["refId"])} if got else set()
    assert asked == answered, f"no choice gives these panels a row: {asked - answered}"
