"""The JSON API over a real SQLite store."""

from __future__ import annotations

import asyncio
import time

import pytest

from agents.console.info import ConsoleInfo
from pipeline.catalogue.model import CSF_IDS
from pipeline.errors import StoreUnavailable
from pipeline.stores.sqlite import SqliteStore
from tests.console.conftest import Api, Sample, served
from tests.stores.samples import alert

ROW_FIELDS = [
    "csf", "kpi", "scope", "period", "start", "value", "unit", "numerator", "denominator", "count", "coverage",
    "target", "status", "state", "revision", "definition_version",
]  # fmt: skip


def test_csfs_are_the_eight_of_the_newest_month_by_default(api: Api) -> None:
    found = api.get("csfs")
    assert [c["id"] for c in found["csfs"]] == list(CSF_IDS)
    assert (found["scope"], found["period"], found["start"]) == ("org", "month", "2026-10-01T00:00:00+02:00")
    assert found["demo"] is True
    assert found["organisation"] == "Nordwind Trading"
    for csf in found["csfs"]:
        assert {"id", "name", "statement", "status", "score", "worst_service", "coverage", "kpis"} <= csf.keys()
        assert 3 <= len(csf["kpis"]) <= 4
        assert len(csf["sparkline"]) == 13
        assert all(len(k["sparkline"]) == 13 for k in csf["kpis"])


def test_a_tile_says_what_the_store_holds(api: Api, sample: Sample) -> None:
    store = sample.filler.store
    month = sample.months[-1]
    held = {v.kpi: v for v in store.periods(period="month", scopes=["org"], start_from=month, start_to=month)}
    statuses = {(s.csf, s.scope): s for s in store.statuses(period="month", start_from=month, start_to=month)}
    for csf in api.get("csfs")["csfs"]:
        assert csf["score"] == pytest.approx(statuses[csf["id"], "org"].score)
        assert csf["status"] == statuses[csf["id"], "org"].status
        scores = {s: v.score for (c, s), v in statuses.items() if c == csf["id"] and s.startswith("service:")}
        known = {s: score for s, score in scores.items() if score is not None}
        assert csf["worst_service"]["score"] == pytest.approx(min(known.values()))
        for kpi in csf["kpis"]:
            assert kpi["value"] == held[kpi["id"]].value
            assert kpi["target"] == held[kpi["id"]].target


@pytest.mark.parametrize("window", ["5m", "1h", "24h", "30d"])
def test_windows_show_live_values_of_what_is_offered(api: Api, window: str) -> None:
    found = api.get(f"csfs?window={window}")
    assert found["period"] == window
    kpis = [k for c in found["csfs"] for k in c["kpis"]]
    assert {k["state"] for k in kpis} <= {"live", None}
    assert all(k["offered"] for k in kpis)
    assert any(len(k["sparkline"]) > 20 for k in kpis)


def test_the_page_of_a_csf_has_all_its_kpis_months_and_services_worst_first(api: Api, sample: Sample) -> None:
    csf = api.get("csfs/reliability")["csf"]
    expected = [k.id for k in sample.catalogue.kpis.values() if k.csf == "reliability"]
    assert [k["id"] for k in csf["kpis"]] == expected
    units = {k["id"]: k["sample_unit"] for k in csf["kpis"]}
    assert (units["availability"], units["outages"], units["mttr"]) == ("s", "s", "")
    mttr = next(k for k in csf["kpis"] if k["id"] == "mttr")
    assert len(mttr["trend"]) == 13
    assert mttr["trend"][0]["start"] == "2025-10-01T00:00:00+02:00"
    assert mttr["definition"]["definition"] == sample.catalogue.kpis["mttr"].definition
    change, before = mttr["change"], mttr["trend"][-2]["value"]
    assert change["previous"] == before
    assert change["better"] is (mttr["value"] < before)
    scores = [s["score"] for s in csf["services"]]
    assert len(scores) == 12
    assert scores == sorted(scores)
    assert csf["services"][0]["name"] == csf["worst_service"]["name"]


def test_sums_of_a_running_month_are_not_compared_with_a_whole_one(api: Api) -> None:
    running = {k["id"]: k for k in api.get("csfs/reliability")["csf"]["kpis"]}
    closed = {k["id"]: k for k in api.get("csfs/reliability?month=2026-09")["csf"]["kpis"]}
    assert running["incidents"]["state"] == "to_date"
    assert running["incidents"]["change"] is None
    assert closed["incidents"]["change"] is not None


def test_a_restated_month_says_what_it_replaced(api: Api) -> None:
    mttr = next(k for k in api.get("csfs/reliability?month=2026-08")["csf"]["kpis"] if k["id"] == "mttr")
    assert (mttr["state"], mttr["revision"]) == ("restated", 2)
    assert mttr["revisions"] == [{"revision": 1, "value": 9.25, "reason": "events arrived after the month was closed"}]


def test_unknown_is_null_with_a_reason(api: Api) -> None:
    integration = api.get("csfs/integration?scope=service:intranet")["csf"]
    assert integration["status"] == "unknown"
    assert integration["score"] is None
    assert {(k["value"], k["reason"]) for k in integration["kpis"]} == {(None, "no source")}
    design = api.get("csfs/user_centric_design?scope=service:payroll")["csf"]
    csat = next(k for k in design["kpis"] if k["id"] == "csat")
    assert (csat["status"], csat["reason"]) == ("unknown", "sample too small: 4 of 10")
    live = api.get("csfs/user_centric_design?window=1h")["csf"]
    stickiness = next(k for k in live["kpis"] if k["id"] == "stickiness")
    assert (stickiness["value"], stickiness["offered"]) == (None, False)
    assert stickiness["reason"] == "measured over a week or longer"


def test_a_team_compares_only_its_own_services(api: Api) -> None:
    csf = api.get("csfs/security?scope=team:data")["csf"]
    assert {s["id"] for s in csf["services"]} == {"data-warehouse", "reporting"}
    assert api.get("csfs/security?scope=service:erp")["csf"]["services"] == []


def test_kpis_are_rows_as_the_command_line_prints_them(api: Api, sample: Sample) -> None:
    rows = api.get("kpis?kpi=mttr,sla_met&scope=org&period=month&from=2026-03&to=2026-05")
    assert [list(row) for row in rows] == [ROW_FIELDS] * 6
    assert [row["start"] for row in rows][::2] == [
        "2026-03-01T00:00:00+01:00", "2026-04-01T00:00:00+02:00", "2026-05-01T00:00:00+02:00",
    ]  # fmt: skip
    held = sample.filler.store.periods(period="month", kpis=["mttr"], scopes=["org"])
    assert [r["value"] for r in rows if r["kpi"] == "mttr"] == [v.value for v in held[5:8]]
    live = api.get("kpis?csf=security&scope=team:data&window=24h")
    assert {row["state"] for row in live} == {"live"}
    days = api.get("kpis?kpi=mttr&scope=org&period=day&from=2026-10-18&to=2026-10-20")
    assert [row["start"][:10] for row in days] == ["2026-10-18", "2026-10-19", "2026-10-20"]


@pytest.mark.parametrize("line", ["kpi=%0D%0Amttr&scope=org", "kpi=mttr&scope=%20org", "csf=reliability%09&scope=org"])
def test_spaces_beside_the_one_name_of_a_series_are_as_harmless_as_in_a_list(api: Api, line: str) -> None:
    plain = line.replace("%0D%0A", "").replace("%20", "").replace("%09", "")
    assert api.get(f"series?{line}") == api.get(f"series?{plain}")


def test_series_of_a_kpi_of_a_score_and_of_a_window(api: Api) -> None:
    kpi = api.get("series?kpi=mttr&from=2026-01")
    assert (kpi["unit"], kpi["direction"], len(kpi["points"])) == ("h", "down", 10)
    score = api.get("series?csf=reliability&period=month")
    assert len(score["points"]) == 13
    assert all(0 <= p["value"] <= 100 for p in score["points"])
    live = api.get("series?kpi=mttr&window=1h&last=1h")
    assert 55 <= len(live["points"]) <= 62


def test_alerts_that_fire_come_first_and_changes_newest_first(api: Api, sample: Sample) -> None:
    now = int(time.time())
    sample.filler.store.write_alerts(
        [
            alert(at=now - 300, since=now - 300, state="firing", scope="service:a", severity="warning"),
            alert(at=now - 200, since=now - 200, state="firing", scope="org", value=None),
            alert(at=now - 250, since=now - 290, state="firing", scope="service:b"),
            alert(at=now - 100, since=now - 290, state="resolved", scope="service:b"),
        ]
    )
    found = api.get("alerts")
    assert [(a["severity"], a["scope"], a["value"]) for a in found["firing"]] == [
        ("critical", "org", None), ("warning", "service:a", 12.5),
    ]  # fmt: skip
    assert [a["state"] for a in found["changes"]] == ["resolved", "firing", "firing", "firing"]
    assert found["changes"][0]["name"] == "Mean time to resolve beyond red"
    assert {a["decimals"] for a in found["changes"]} == {2}
    assert found["firing"][0]["scope_name"] == "Nordwind Trading"


def test_exits_add_up_by_partition_and_reason(api: Api) -> None:
    found = api.get("exits")
    totals = found["totals"]
    assert totals["balanced"] is True
    assert totals["received"] == sum(p["received"] for p in found["partitions"])
    dead = sum(r["count"] for r in found["reasons"] if r["exit"] == "dead_letter")
    assert dead == totals["dead_letter"] > 0
    assert found["partitions"][0]["clock"] == "2026-10-20T12:00:00+02:00"


def test_scopes_services_catalogue_info_and_health(api: Api) -> None:
    scopes = api.get("scopes")["scopes"]
    assert scopes[0] == {"scope": "org", "kind": "org", "name": "Nordwind Trading"}
    assert [s["kind"] for s in scopes].count("team") == 4
    services = {s["id"]: s for s in api.get("services")["services"]}
    assert len(services) == 12
    assert (services["erp"]["team"], services["erp"]["tier"]) == ("back-office", 1)
    assert len(api.get("catalogue")["csfs"]) == 8
    info = api.get("info")
    assert (info["version"], info["zone"], len(info["months"])) == ("1.2.3", "Europe/Berlin", 13)
    assert info["months"][0] == "2026-10"
    assert api.get("health")["store"].startswith("SQLite")


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("csfs?scope=team:none", "scope 'team:none' is unknown; allowed: org, team:back-office"),
        ("csfs?window=2h", "window '2h' is unknown; allowed: 5m, 30m, 1h"),
        ("csfs?month=2026-13", "month '2026-13' is no month; allowed: 2026-10"),
        ("csfs?month=9999-01", "month '9999-01' is out of range; allowed: years 1970 to 2200"),
        ("csfs?window=1h&month=2026-10", "exclude each other"),
        ("csfs?period=hour", "period 'hour' is unknown; allowed: month, day"),
        ("csfs?scop=org", "parameter 'scop' is unknown; allowed: scope, period"),
        ("csfs?scope=org&scope=org", "parameter 'scope' is given twice"),
        ("csfs/nonsense", "csf 'nonsense' is unknown; allowed: user_centric_design"),
        ("kpis?kpi=nonsense", "kpi 'nonsense' is unknown; allowed: "),
        ("kpis?csf=security&kpi=mttr", "kpi 'mttr' is unknown; allowed: security_incidents"),
        ("kpis?from=2026-05&to=2026-03", "is later than to '2026-03'"),
        ("kpis?period=hour&from=2000-01-01T00", "narrow it by kpi, scope, from or to"),
        ("kpis?window=1h&from=2026-05", "window and from exclude each other"),
        ("kpis?period=day&from=2026-02-30", "from '2026-02-30' is no day; allowed: 2026-10-05"),
        ("kpis?period=month&from=%ff%00", "is no month"),
        ("series", "series needs a kpi or a csf"),
        ("series?kpi=mttr&csf=security", "series needs a kpi or a csf"),
        ("series?kpi=mttr,mtta", "one line"),
        ("series?kpi=mttr&last=1h", "last belongs to window"),
        ("stream?csf=none", "csf 'none' is unknown"),
        ("exits?x=1", "parameter 'x' is unknown"),
    ],
)
def test_a_wrong_parameter_is_refused_with_what_is_allowed(api: Api, path: str, says: str) -> None:
    assert says in api.get(path, 400)["error"]


def test_an_unknown_route_names_the_routes(api: Api) -> None:
    assert "csfs, csfs/ID, kpis" in api.get("nonsense", 404)["error"]


def test_only_reading_is_possible(api: Api) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        assert api.answer("/api/v1/csfs", method)[0] == 405


def test_a_store_that_is_away_is_one_sentence(sample: Sample) -> None:
    def away() -> SqliteStore:
        raise StoreUnavailable("there is no KPI store at /nowhere; start csf up")

    async def ask(client):
        response = await client.get("/api/v1/csfs")
        return response.status, await response.json()

    assert served(away, sample.catalogue, ask) == (503, {"error": "there is no KPI store at /nowhere; start csf up"})


def test_an_empty_store_shows_eight_unknown_csfs(tmp_path, sample: Sample) -> None:
    async def ask(client):
        return [await (await client.get(f"/api/v1/{p}")).json() for p in ("csfs", "csfs?window=1h", "csfs/security")]

    month, live, page = served(lambda: SqliteStore(tmp_path / "empty.sqlite"), sample.catalogue, ask)
    for found in (month, live):
        assert [(c["status"], c["score"], c["reason"]) for c in found["csfs"]] == [("unknown", None, "no source")] * 8
        assert (found["start"], found["clock"], found["stale"]) == (None, None, True)
    assert {k["value"] for k in page["csf"]["kpis"]} == {None}


def test_many_viewers_at_once_cost_one_read(sample: Sample) -> None:
    reads: list[str] = []

    class Counted(SqliteStore):
        def statuses(self, **named):
            if named.get("start_from") == named.get("start_to") and "scopes" not in named:
                reads.append(named["period"])
            return super().statuses(**named)

    async def ask(client):
        answers = await asyncio.gather(*(client.get("/api/v1/csfs?month=2026-09") for _ in range(40)))
        return {a.status for a in answers}

    assert served(lambda: Counted(sample.path), sample.catalogue, ask) == {200}
    assert reads == ["month"]


def test_progress_is_what_the_worker_says(sample: Sample) -> None:
    async def progress():
        return {"lag": 7, "pending": 0}

    async def ask(client):
        return await (await client.get("/api/v1/progress")).json()

    info = ConsoleInfo(progress=progress)
    assert served(lambda: SqliteStore(sample.path), sample.catalogue, ask, info) == {"lag": 7, "pending": 0}
    assert ConsoleInfo.of({"demo": True, "group": "csf"}) == ConsoleInfo(demo=True)
