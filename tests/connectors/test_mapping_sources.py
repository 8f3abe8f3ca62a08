"""What several files have to do with each other: one source, second files, spans; and tables as other vendors write them."""

import gzip
import json
import statistics
from collections import Counter

import pytest

from connectors.mapping import Summary, load_mapping, map_file
from pipeline.errors import MappingError
from tests.connectors.test_mapping_language import HEAD, PLAIN, ROW, mapping, run
from tests.connectors.test_mapping_truth import month, near, told, truth
from tests.paths import SHARED

KEV = SHARED / "data" / "kev"

NUMBERS = """
name: figures
format: csv
service: {const: shop}
time_format: ["%d.%m.%Y %H:%M", iso]
events:
  - type: decision.evaluated
    time: at
    data:
      metric: metric
      baseline: {column: before, as: float}
      outcome: {column: after, as: float}
"""


def test_two_snapshots_are_one_source_so_that_the_later_updates_the_same_vulnerabilities():
    first = told("kev-csv", "kev/known_exploited_vulnerabilities_2025-08-25.csv.gz")
    second = told("kev-json", "kev/known_exploited_vulnerabilities_2026-08-07.json.gz")
    held = {}
    for envelope, data, _ in [*first, *second]:
        held[envelope.source, data.number] = data
    expected = truth("kev")
    assert len(held) == expected["json_2026_08_07"]["unique_cve"]
    before = {d.number: d.due_at for _, d, _ in first}
    moved = sum(d.due_at != before[number] for (_, number), d in held.items() if number in before)
    assert moved == expected["diff"]["changed_by_field"]["dueDate"]
    assert len({(e.source, e.id) for e, _, _ in [*first, *second]}) == len(first) + len(second)


def test_releases_bring_the_commits_of_a_second_file():
    events = told("git-releases", "releases_airbyte_cdk/releases.csv")
    expected = truth("releases_airbyte_cdk")
    assert len(events) == expected["overall"]["deployments"]
    assert expected["base_release"] not in {d.number for _, d, _ in events}
    lead = [((d.deployed_at - c).total_seconds() / 3600, month(d.deployed_at)) for _, d, _ in events for c in d.commits]
    assert len(lead) == expected["overall"]["changes"]
    near(statistics.mean(h for h, _ in lead), expected["overall"]["lead_time_h"]["mean"])
    by_month = Counter(month(d.deployed_at) for _, d, _ in events)
    assert by_month == {m: f["deployments"] for m, f in expected["by_month"].items()}
    for name, figures in expected["by_month"].items():
        if figures["lead_time_h"]["n"]:
            near(statistics.median(h for h, m in lead if m == name), figures["lead_time_h"]["p50"])


def test_latencies_and_request_counts_of_a_monitor():
    name = "ec2_request_latency_system_failure"
    events = told("metric-latency", f"nab/{name}.csv.gz")
    expected = truth("nab")["files"]
    assert len(events) == expected[name + ".csv.gz"]["rows"]
    assert {e.subject for e, _, _ in events} == {name}
    assert statistics.mean(d.latency_ms for _, d, _ in events) == pytest.approx(expected[name + ".csv.gz"]["mean"])
    days = Counter(e.time.strftime("%Y-%m-%d") for e, _, _ in events)
    assert days == {day: f["n"] for day, f in expected[name + ".csv.gz"]["by_day"].items()}
    counts = told("metric-requests", "nab/elb_request_count_8c0756.csv.gz", {"service": "balancer"})
    elb = expected["elb_request_count_8c0756.csv.gz"]
    assert {e.subject for e, _, _ in counts} == {"balancer"}
    assert sum(d.count for _, d, _ in counts) / elb["rows"] == pytest.approx(elb["mean"])
    assert max(d.count for _, d, _ in counts) == elb["max"]
    assert {d.latency_ms for _, d, _ in counts} == {None}


def write(tmp_path, name, text, encoding="utf-8"):
    path = tmp_path / name
    path.write_bytes(text.encode(encoding))
    return path


LOOKUP = """
name: deliveries
source: pipeline
service: {const: shop}
lookups:
  commits: {file: "commits*", key: release, match: tag, format: jsonl, when: [{column: kind, matches: "^f"}]}
events:
  - type: change.updated
    time: at
    data:
      number: tag
      updated_at: {column: at, as: time}
      deployed_at: {column: at, as: time}
      commits: {lookup: commits, take: {column: [author.at, fallback], as: time}}
"""


def test_a_lookup_lists_what_belongs_to_the_row_and_refuses_its_bad_rows(tmp_path):
    releases = write(tmp_path, "releases.csv", "tag,at\nv1,2026-01-02T00:00:00Z\nv2,2026-01-03T00:00:00Z\n")
    lines = [
        {"release": "v1", "kind": "fix", "author": {"at": "2026-01-01T10:00:00+02:00"}},
        {"release": "v1", "kind": "docs", "author": {"at": "2026-01-01T11:00:00Z"}},
        {"release": "v1", "kind": "feat", "fallback": "2026-01-01T12:00:00Z"},
    ]
    commits = write(tmp_path, "commits.jsonl", "\n".join([*map(json.dumps, lines), "{broken"]))
    bad, rules = [], mapping(tmp_path, LOOKUP)
    events = [json.loads(e.raw) for e in map_file(releases, rules, on_bad=bad.append)]
    assert [e["data"]["commits"] for e in events] == [["2026-01-01T08:00:00Z", "2026-01-01T12:00:00Z"], []]
    assert [b.row for b in bad] == [4]
    assert {e["source"] for e in events} == {"import/pipeline"}
    ids = {e["id"] for e in events}
    commits.write_text(json.dumps(lines[0]) + "\n")
    assert not ids & {json.loads(e.raw)["id"] for e in map_file(releases, rules)}  # another second file: another word
    (tmp_path / "commits.old").touch()
    with pytest.raises(MappingError, match=r"needs one file commits\* beside .*, there is commits.jsonl, commits.old"):
        list(map_file(releases, rules))
    assert len(list(map_file(releases, rules, {"commits": str(commits)}))) == 2
    with pytest.raises(MappingError, match=r"--set commits=.*there is no such file"):
        list(map_file(releases, rules, {"commits": str(tmp_path / "none")}))


def test_another_mapping_or_option_is_another_word_and_a_service_has_its_own_incidents(tmp_path):
    write(tmp_path, "file.csv", f"{HEAD}\n{ROW}\n")

    def said(text=PLAIN, service=None, **variables):
        summary = Summary()
        found = map_file(
            tmp_path / "file.csv",
            mapping(tmp_path, text),
            {"origin": "x", **variables},
            summary=summary,
            service=service,
        )
        (event,) = [json.loads(e.raw) for e in found]
        return event["source"], event["id"], summary.rules

    plain = said()
    assert said() == plain
    assert said("description: other words\n" + PLAIN) == plain
    for other in (said(PLAIN.replace("default: 4", "default: 3")), said(origin="y")):
        assert other[0] == plain[0] == "import/desk"
        assert not {*other[1:]} & {*plain[1:]}
    assert said(service="Second Desk")[0] == "import/desk/second-desk"


def test_a_file_can_be_the_truth_of_more_than_its_events(tmp_path):
    polled = "polled: {types: [incident.updated], from: {const: 01.03.2024 00:00}, to: {var: origin}}\n"
    file = write(tmp_path, "file.csv", f"{HEAD}\n{ROW}\n")
    summary = Summary()
    list(map_file(file, mapping(tmp_path, polled + PLAIN), {"origin": "01.04.2024 00:00"}, summary=summary))
    assert summary.types == ["incident.updated"]
    assert summary.polled_from.isoformat() == "2024-02-29T23:00:00+00:00"
    assert summary.polled_to.isoformat() == "2024-03-31T22:00:00+00:00"
    with pytest.raises(MappingError, match="polled: origin is 'soon'; it must be a time"):
        list(map_file(file, mapping(tmp_path, polled + PLAIN), {"origin": "soon"}))


def figures(tmp_path, body, text="", name="file.csv", encoding="utf-8"):
    bad, summary = [], Summary()
    file = write(tmp_path, name, body, encoding)
    rules = mapping(tmp_path, NUMBERS.replace("name: figures", "name: figures\n" + text))
    events = [json.loads(e.raw) for e in map_file(file, rules, None, bad.append, summary)]
    return [(e["time"], e["data"]["baseline"], e["data"]["outcome"]) for e in events], [b.value for b in bad]


def test_numbers_as_they_are_written_elsewhere(tmp_path):
    body = "at;metric;before;after\n01.02.2026 10:00;m;1.234,5;-2.000\n2026-02-01T11:00Z;m;7;0,25\n2026-02-01;m;1.5;1\n"
    good, bad = figures(tmp_path, body, "delimiter: ';'\ndecimal: ','\nthousands: '.'")
    assert good == [("2026-02-01T10:00:00Z", 1234.5, -2000.0), ("2026-02-01T11:00:00Z", 7.0, 0.25)]
    assert bad == ["1x5"]  # neither a group of three nor a fraction
    good, bad = figures(tmp_path, 'at,metric,before,after\n2026-02-01,m,"1,234.5","12,34"\n', "thousands: ','")
    assert (good, bad) == ([], ["12,34"])


def test_tables_without_names_with_lines_before_them_tabs_and_other_encodings(tmp_path):
    wanted = [("2026-02-01T00:00:00Z", 1.0, 2.0)]
    row = "2026-02-01\tKäse\t1\t2\r\n"
    columns = "delimiter: tab\ncolumns: [at, metric, before, after]"
    assert figures(tmp_path, row, columns) == (wanted, [])
    assert figures(tmp_path, row, columns + "\nencoding: cp1252", encoding="cp1252") == (wanted, [])
    assert figures(tmp_path, row, columns + "\nencoding: utf-16", encoding="utf-16") == (wanted, [])
    body = "Export of 1 row\n\nat,metric,before,after\n" + row.replace("\t", ",")
    assert figures(tmp_path, body, "skip_lines: 2") == (wanted, [])
    assert figures(tmp_path, body.replace("\n2026", "\nx,m,9,9\n2026"), "skip_lines: 2\nskip_rows: 1") == (wanted, [])


def test_conditions_on_texts_and_on_booleans_of_json(tmp_path):
    text = NUMBERS.replace("csv", "jsonl").replace(
        "    data:", '    when: [{column: metric, matches: "^c"}, {column: final, in: ["true"]}]\n    data:'
    )
    records = [
        {"at": "2026-02-01", "metric": m, "before": 1, "after": 2, "final": f} for m in "cd" for f in (True, False)
    ]
    events, bad, summary = run(tmp_path, *map(json.dumps, records), text=text)
    assert (len(events), bad, summary.skipped) == (1, [], 3)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("thousands", "decimal: ',', thousands: ','"), "thousands and decimal are the same mark"),
        (("when", "lookup: other, take: x"), "there is no lookup 'other'; lookups: none"),
        (("format", "format: iso"), "format is of times"),
    ],
)
def test_wrong_values_are_told(tmp_path, change, said):
    text = NUMBERS.replace("{column: after, as: float}", f"{{column: after, as: float, {change[1]}}}")
    if "lookup" in change[1]:
        text = text.replace("column: after, as: float, ", "")
    with pytest.raises(MappingError) as caught:
        mapping(tmp_path, text)
    assert said in str(caught.value)
    assert "outcome" in str(caught.value)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("polled: {types: [incident.update]}", "polled.types: there is no event type 'incident.update'"),
        ("polled: {from: at}", "polled.from: is of the whole file"),
        ("polled: {since: x}", "polled: unknown key 'since'; allowed: types, from, to"),
        ("lookups: {a: {file: x, key: y}}", "the key 'match' is missing"),
        ("lookups: {a: {file: x, key: y, match: z, wen: []}}", "did you mean 'when'"),
        ("lookups: {a: {file: x, key: y, match: z, delimiter: ab}}", "lookups.a.delimiter: 'ab' must be one character"),
        ("skip_rows: -1", "skip_lines and skip_rows must be 0 or more"),
        ("decimal: ';'", "decimal: ';' is not allowed"),
    ],
)
def test_wrong_keys_of_the_whole_mapping_are_told(tmp_path, line, said):
    with pytest.raises(MappingError) as caught:
        mapping(tmp_path, NUMBERS.replace("format: csv", "format: csv\n" + line))
    assert said in str(caught.value)


def test_a_packed_file_of_several_members_is_read_whole(tmp_path):
    file = tmp_path / "file.csv.gz"
    file.write_bytes(gzip.compress(f"{HEAD}\n".encode()) + gzip.compress(f"{ROW}\n".encode()))
    assert len(list(map_file(file, mapping(tmp_path), {"origin": "x"}))) == 1


def test_every_shipped_mapping_says_of_what_types_it_is_the_truth():
    summary = Summary()
    file = KEV / "known_exploited_vulnerabilities_2025-08-25.csv.gz"
    list(map_file(file, load_mapping("kev-csv"), summary=summary))
    assert (summary.source, summary.types) == ("import/kev", ["vulnerability.updated"])
