"""The shipped mappings on the real files: what the events say, counted naively, is what truth.json says."""

import json
import statistics
import time
from collections import Counter, defaultdict
from datetime import datetime

import pytest

from connectors.mapping import Summary, load_mapping, map_file
from pipeline.events.validate import decode_data, decode_envelope
from tests.paths import SHARED

DATA = SHARED / "data"
NOW_MS = int(datetime.fromisoformat("2026-11-24T00:00:00+00:00").timestamp() * 1000)


def told(mapping, file, variables=None):
    """Return the events of a file as (envelope, typed data), each accepted by the pipeline's own rules."""
    bad, summary = [], Summary()
    events = []
    for event in map_file(DATA / file, load_mapping(mapping), variables, bad.append, summary):
        envelope = decode_envelope(event.raw)
        events.append((envelope, decode_data(envelope, event.topic, NOW_MS)[0], event))
    assert not bad
    assert summary.events == len(events)
    assert len({(e.source, e.id) for e, _, _ in events}) == len(events)
    return events


def truth(folder):
    return json.loads((DATA / folder / "truth.json").read_text())


def near(value, expected):
    assert value == pytest.approx(expected, abs=6e-5)


def month(at):
    return at.strftime("%Y-%m")


@pytest.fixture(scope="module")
def incidents():
    started = time.process_time()
    events = told("servicenow-uci", "uci_incidents/incident_event_log.csv.gz")
    return events, time.process_time() - started


def test_every_row_of_the_incident_log_is_an_event_in_order_of_its_update(incidents):
    events, _ = incidents
    expected = truth("uci_incidents")
    assert len(events) == expected["rows"]
    times = [e.time for e, _, _ in events]
    assert times == sorted(times)
    assert {e.subject for e, _, _ in events} == {"service-desk"}
    assert {e.csfteam for e, _, _ in events} == {"it"}


def test_an_incident_keeps_one_key_and_ends_as_the_truth_says(incidents):
    events, _ = incidents
    expected = truth("uci_incidents")
    keys, last, reopened = defaultdict(set), {}, Counter()
    for envelope, data, event in events:
        keys[data.number].add(event.key)
        reopened[data.number] = max(reopened[data.number], data.reopen_count)
        rank = (envelope.sequence, data.updated_at)
        if data.number not in last or rank >= last[data.number][0]:
            last[data.number] = (rank, data)
    final = [data for _, data in last.values()]
    assert len(final) == expected["incidents"]
    assert all(len(k) == 1 for k in keys.values())
    assert Counter(month(d.opened_at) for d in final) == {
        m: f["incidents"] for m, f in expected["by_opened_month"].items()
    }
    assert Counter(month(d.resolved_at) for d in final if d.resolved_at) == {
        m: f["incidents"] for m, f in expected["by_resolved_month"].items()
    }
    hours = [(d.resolved_at - d.opened_at).total_seconds() / 3600 for d in final if d.resolved_at]
    near(statistics.mean(hours), expected["overall"]["mttr_h"]["mean"])
    assert sum(d.made_sla is False for d in final) == expected["overall"]["sla_breaches"]
    assert sum(n > 0 for n in reopened.values()) == expected["overall"]["reopened"]
    named = {1: "1 - Critical", 2: "2 - High", 3: "3 - Moderate", 4: "4 - Low"}
    assert Counter(named[d.priority] for d in final) == expected["final_priority"]


def test_the_incident_log_maps_fast_enough(incidents):
    """Its 141,712 rows in 12 s of CPU, the pipeline's own checks of the events included."""
    assert incidents[1] < 24  # a machine shared with other work; alone it takes about 8 s


def test_uptime_checks_give_the_availability_of_the_truth():
    events = told("upptime-checks", "upptime_dhbern/checks.csv.gz")
    expected = truth("upptime_dhbern")
    checks = [(e, d) for e, d, _ in events if e.type == "uptime.checked"]
    assert len(checks) == expected["rows"]
    assert Counter(d.up for _, d in checks) == {True: 9738, False: 789, None: 7}
    end = max(e.time for e, d in checks if d.up is not None)
    by_slug = defaultdict(list)
    for envelope, data in checks:
        assert data.valid_until == "next"
        by_slug[envelope.subject].append((envelope.time, data.up))
    up = down = 0.0
    for points in by_slug.values():
        points.sort(key=lambda p: p[0])
        for (at, state), (until, _) in zip(points, [*points[1:], (end, None)], strict=True):
            up += (until - at).total_seconds() if state else 0
            down += (until - at).total_seconds() if state is False else 0
    assert 100 * up / (up + down) == pytest.approx(expected["fleet"]["availability_pct"], abs=6e-6)
    latencies = [d.latency_ms for e, d, _ in events if e.type == "request.measured"]
    assert len(latencies) == expected["fleet"]["response"]["n"]
    near(statistics.mean(latencies), expected["fleet"]["response"]["mean_ms"])


def test_survey_answers_give_nps_csat_and_ces_of_the_truth():
    events = told("sfo-survey", "sfo_survey_2017/2017_sfo_customer_survey.csv.gz")
    expected = truth("sfo_survey_2017")
    raw = defaultdict(list)
    for envelope, data, event in events:
        raw[data.kind].append(json.loads(bytes(envelope.data))["score"])
        assert event.key == data.respondent
    nps = raw["nps"]
    near(100 * (sum(s >= 9 for s in nps) - sum(s <= 6 for s in nps)) / len(nps), expected["overall"]["nps"])
    for kind, figures in (("csat", expected["overall"]["csat"]), ("ces", expected["overall"]["ces"])):
        assert len(raw[kind]) == figures["answers"]
        near(statistics.mean(raw[kind]), figures["mean"])
    days = Counter(e.time.strftime("%Y-%m-%d") for e, d, _ in events if d.kind == "nps")
    assert days == {day: figures["answers_nps"] for day, figures in expected["by_day"].items()}
    entities = {(d.survey, d.about, d.respondent) for _, d, _ in events}
    assert len(entities) == len(events)  # one answer never takes the place of another


@pytest.mark.parametrize("area", ["BPAT", "CISO", "ERCO"])
def test_forecasts_give_the_error_of_the_truth(area):
    events = told("eia-forecast", f"eia930_load/{area}_2019.csv.gz")
    expected = truth("eia930_load")["files"][f"{area}_2019.csv.gz"]["raw"]
    assert {d.model for _, d, _ in events} == {area}
    assert len(events) == expected["pairs"]
    wrong = sum(abs(d.actual - d.predicted) for _, d, _ in events)
    near(100 * wrong / sum(abs(d.actual) for _, d, _ in events), expected["wape_pct"])


def test_the_model_can_be_said():
    events = told("eia-forecast", "eia930_load/BPAT_2019.csv.gz", {"model": "bonneville"})
    assert {d.model for _, d, _ in events} == {"bonneville"}


@pytest.mark.parametrize(
    ("mapping", "file", "figures"),
    [
        ("kev-csv", "known_exploited_vulnerabilities_2025-08-25.csv.gz", "csv_2025_08_25"),
        ("kev-json", "known_exploited_vulnerabilities_2026-08-07.json.gz", "json_2026_08_07"),
    ],
)
def test_a_snapshot_of_vulnerabilities_is_dated_by_its_file_and_due_at_the_end_of_the_day(mapping, file, figures):
    events = told(mapping, f"kev/{file}")
    expected = truth("kev")[figures]
    assert len({d.number for _, d, _ in events}) == expected["unique_cve"]
    assert {d.updated_at.strftime("%Y-%m-%d") for _, d, _ in events} == {file.split("_")[-1][:10]}
    days = sorted((d.due_at - d.found_at).days - 1 for _, d, _ in events)
    near(statistics.mean(days), expected["remediation_days"]["mean"])
    assert (days[0], days[-1]) == (expected["remediation_days"]["min"], expected["remediation_days"]["max"])
    assert Counter(month(d.found_at) for _, d, _ in events) == expected["added_by_month"]


def test_the_second_snapshot_speaks_of_the_same_records_as_the_first():
    first = told("kev-csv", "kev/known_exploited_vulnerabilities_2025-08-25.csv.gz")
    second = told("kev-json", "kev/known_exploited_vulnerabilities_2026-08-07.json.gz")
    keys = [{(e.subject, d.number, event.key) for e, d, event in told_} for told_ in (first, second)]
    assert len(keys[1] - keys[0]) == truth("kev")["diff"]["added"]
    assert not keys[0] - keys[1]


def test_syncs_are_the_first_of_each_release_and_every_row_is_compared():
    events = told("kev-mirror-sync", "kev_mirror_sync/syncs.csv")
    for mirror, expected in truth("kev_mirror_sync")["mirrors"].items():
        synced = [d for e, d, _ in events if e.type == "record.synced" and d.to == mirror]
        compared = [d for e, d, _ in events if e.type == "reconciliation.completed" and d.to == mirror]
        minutes = [(d.available_at - d.changed_at).total_seconds() / 60 for d in synced]
        assert len(minutes) == expected["syncs"]
        near(statistics.mean(minutes), expected["latency_min"]["mean"])
        near(statistics.median(minutes), expected["latency_min"]["p50"])
        assert len(compared) == expected["rows"]
        near(100 * sum(d.matched for d in compared) / len(compared), expected["consistent_rows_pct"])
