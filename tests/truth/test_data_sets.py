"""The public data sets, imported by the shipped mappings: our figures are theirs wherever the rules are the same.

The incident log goes end to end in tests/e2e; here are the others. Each difference asserted as one is listed,
with its reason, in docs/decisions/0002.
"""

import pytest

from pipeline.engine.services import service_id
from tests.truth.told import DATA, Told, imported, imported_log, truth

MAY_2015 = "2015-05"


def same(ours: float, theirs: float, digits: int) -> None:
    assert round(ours, digits) == pytest.approx(theirs, abs=10.0**-digits)


# --- web access log ---


@pytest.mark.parametrize("crowd", ["all", "no_bots"])
def test_a_web_log_gives_its_visits(crowd: str) -> None:
    expected = truth("elastic_apache")
    told = imported_log("elastic_apache/apache_logs.gz", bots=crowd == "all")
    figures = expected[crowd]
    assert len(told.bad) == expected["malformed"]
    # robots view no pages, but their requests are load like any other
    assert told.summary.by_type == {
        "request.measured": expected["all"]["hits"],
        "page.viewed": figures["page_views"],
    }
    sessions = told.at("pages_per_session", MAY_2015)
    assert (sessions.numerator, sessions.count) == (figures["page_views"], figures["sessions"])
    same(told.value("session_duration", MAY_2015), figures["mean_session_s"], 6)
    same(told.value("bounce_rate", MAY_2015), 100 * figures["bounce_sessions_one_pv"] / figures["sessions"], 9)
    for day, of_day in figures["by_day"].items():
        same(told.value("session_duration", day, period="day"), of_day["mean_session_s"], 6)
        same(told.value("pages_per_session", day, period="day"), of_day["pv_per_session"], 6)
    # theirs counts visitors of any hit, ours of page views; and theirs has the busiest hour's hits
    assert told.value("active_users", MAY_2015) <= figures["visitors"]
    peak = told.at("peak_throughput", MAY_2015)
    assert peak.count == expected["all"]["peak_hour"]["hits"]


# --- uptime checks ---


@pytest.fixture(scope="module")
def checks() -> Told:
    return imported("upptime-checks", "upptime_dhbern/checks.csv.gz")


def test_uptime_checks_give_availability_of_the_fleet_and_of_every_monitor(checks: Told) -> None:
    expected = truth("upptime_dhbern")
    for month, figures in expected["fleet_by_month"].items():
        same(checks.value("availability", month), figures["availability_pct"], 5)
    for slug, figures in expected["by_slug"].items():
        cells = [v for (k, s, p, _), v in checks.cluster.values.items()
                 if (k, s, p) == ("availability", f"service:{service_id(slug)}", "month") and v.numerator is not None]  # fmt: skip
        up, observed = sum(v.numerator or 0 for v in cells), sum(v.denominator or 0 for v in cells)
        assert 100 * up / observed == pytest.approx(figures["availability_pct"], abs=2e-4), slug


def test_an_outage_lasts_a_minute_at_least(checks: Told) -> None:
    ours = {m: checks.value("outages", m) for m in truth("upptime_dhbern")["fleet_by_month"]}
    theirs = {m: f["outages"] for m, f in truth("upptime_dhbern")["fleet_by_month"].items()}
    fewer = {m: (n, ours[m]) for m, n in theirs.items() if ours[m] != n}
    assert fewer == {"2026-03": (161, 157), "2026-05": (37, 35)}


# --- survey ---


def test_a_survey_gives_nps_csat_and_ces_on_our_scale() -> None:
    expected = truth("sfo_survey_2017")
    told = imported("sfo-survey", "sfo_survey_2017/2017_sfo_customer_survey.csv.gz")
    overall = expected["overall"]
    same(told.value("nps", "2017-05"), overall["nps"], 4)
    same(told.value("csat", "2017-05"), overall["csat"]["top2_pct"], 4)
    assert told.at("nps", "2017-05").count == overall["answers_nps"]
    assert told.at("csat", "2017-05").count == overall["csat"]["answers"]
    # theirs is on 1 to 5, ours on 1 to 7
    same(told.value("ces", "2017-05"), 1 + (overall["ces"]["mean"] - 1) * 6 / 4, 3)
    for day, figures in expected["by_day"].items():
        if figures["answers_nps"]:
            same(told.value("nps", day, period="day"), figures["nps"], 4)


# --- load forecasts ---


@pytest.mark.parametrize("file", ["BPAT_2019.csv.gz", "CISO_2019.csv.gz", "ERCO_2019.csv.gz"])
def test_load_forecasts_give_their_accuracy_and_bias_by_month(file: str) -> None:
    told = imported("eia-forecast", f"eia930_load/{file}")
    months = truth("eia930_load")["files"][file]["by_month_raw"]
    assert len(months) == 12
    for month, figures in months.items():
        same(told.value("forecast_accuracy", month), figures["accuracy_pct"], 5)
        same(told.value("forecast_bias", month), figures["bias_pct"], 5)
        assert told.at("forecast_accuracy", month).count == figures["pairs"]


# --- mirrors ---


def test_mirrors_give_their_consistency_and_delays_within_the_sketch() -> None:
    mirrors = truth("kev_mirror_sync")["mirrors"]
    told = imported("kev-mirror-sync", "kev_mirror_sync/syncs.csv")
    months = {m for f in mirrors.values() for m in f["by_month"]}
    for month in months:
        syncs = sum(f["by_month"].get(month, {"n": 0})["n"] for f in mirrors.values())
        assert told.at("sync_latency", month).count == syncs, month
        assert told.value("data_consistency", month) == 100.0
    # one mirror alone, an odd number of syncs: the median is a sync, ours within the sketch's 1 %
    for month in ("2025-03", "2025-04", "2025-05"):
        theirs = mirrors["cisagov"]["by_month"][month]["p50"] * 60
        assert told.value("sync_latency", month) == pytest.approx(theirs, rel=0.01), month


# --- releases ---


def test_releases_give_deployments_and_lead_times_by_month() -> None:
    folder = "releases_airbyte_cdk"
    commits = {"commits": str(DATA / folder / "commits.csv.gz")}
    told = imported("git-releases", f"{folder}/releases.csv", variables=commits)
    by_month = truth(folder)["by_month"]
    assert len(by_month) == 22
    for month, figures in by_month.items():
        assert told.at("deployment_frequency", month).count == figures["deployments"], month
        assert told.at("change_lead_time", month).count == figures["changes"], month
        same(told.value("change_lead_time", month), figures["lead_time_h"]["p50"], 4)
