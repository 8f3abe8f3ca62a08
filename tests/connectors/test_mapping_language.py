"""What a mapping can say, and what it says when a mapping, a file or a row is wrong."""

import gzip
import json

import pytest

from connectors.mapping import Summary, load_mapping, map_file, shipped
from pipeline.errors import MappingError

PLAIN = """
name: desk
missing: ["", "-"]
time_format: "%d.%m.%Y %H:%M"
zone: Europe/Zurich
service: {const: desk}
team: it
vars: {origin: null}
events:
  - type: incident.updated
    time: changed
    key: [id]
    sequence: version
    when: [{column: kind, not_in: [request]}]
    data:
      number: id
      state: {column: state, map: {open: new, done: closed}, else: in_progress}
      opened_at: {column: opened, as: time}
      updated_at: {column: changed, as: time}
      priority: {column: priority, pattern: "^P(\\\\d)", as: int, default: 4}
      made_sla: {column: [sla, sla_old], as: bool}
      original_state: {template: "{state} in {var:origin}"}
"""
HEAD = "id,kind,state,opened,changed,priority,sla,version"
ROW = "I1,incident,open,31.03.2024 01:30,31.03.2024 03:30,P2 high,yes,7"


def mapping(tmp_path, text=PLAIN):
    path = tmp_path / "own.yaml"
    path.write_text(text)
    return load_mapping(str(path))


def run(tmp_path, *lines, text=PLAIN, name="file.csv", **variables):
    file = tmp_path / name
    file.write_text("\n".join(lines) + "\n")
    bad, summary = [], Summary()
    found = map_file(
        file,
        mapping(tmp_path, text),
        {**({"origin": "test"} if "origin" in text else {}), **variables},
        bad.append,
        summary,
    )
    events = [json.loads(e.raw) for e in found]
    return events, bad, summary


def test_a_row_becomes_an_event(tmp_path):
    (event,), bad, _ = run(tmp_path, HEAD, ROW)
    assert not bad
    assert event["sequence"] == 7
    assert event["csfteam"] == "it"
    assert event["time"] == "2024-03-31T01:30:00Z"  # summer time began an hour before
    assert event["data"] == {
        "number": "I1", "state": "new", "opened_at": "2024-03-31T00:30:00Z", "updated_at": "2024-03-31T01:30:00Z",
        "priority": 2, "made_sla": True, "original_state": "open in test",
    }  # fmt: skip


def test_markers_of_missing_values_conditions_and_else(tmp_path):
    rows = [
        "I1,request,open,31.03.2024 01:30,31.03.2024 03:30,-,-,1",
        "I2,incident,what?,31.03.2024 01:30,31.03.2024 03:30,-,-,1",
    ]
    (event,), bad, summary = run(tmp_path, HEAD, *rows)
    assert not bad
    assert (summary.rows, summary.skipped, summary.events) == (2, 1, 1)
    assert event["data"]["state"] == "in_progress"
    assert event["data"]["priority"] == 4
    assert "made_sla" not in event["data"]


@pytest.mark.parametrize(
    ("row", "column", "value"),
    [
        (ROW.replace("31.03.2024 03:30", "2024-03-31"), "changed", "2024-03-31"),
        (ROW.replace("31.03.2024 01:30", "31.02.2024 01:30"), "opened", "31.02.2024 01:30"),
        (ROW.replace("yes", "perhaps"), "sla", "perhaps"),
        (ROW.replace(",7", ",seven"), "version", "seven"),
        (ROW.replace(",7", ",7.5"), "version", "7.5"),
        (ROW.replace(",7", ",nan"), "version", "nan"),
        (ROW.replace(",7", ",inf"), "version", "inf"),
    ],
)
def test_a_row_that_cannot_be_mapped_is_named_and_the_rest_goes_on(tmp_path, row, column, value):
    events, (bad,), summary = run(tmp_path, HEAD, row, ROW.replace("I1", "I2"))
    assert [e["data"]["number"] for e in events] == ["I2"]
    assert (bad.row, bad.value, summary.bad, summary.rows) == (1, value, 1, 2)
    assert bad.column.split(", ")[0] == column
    assert value in bad.detail
    assert json.loads(bad.raw)["id"] == "I1"


def test_rows_with_too_few_or_too_many_columns_are_refused(tmp_path):
    events, bad, summary = run(tmp_path, HEAD, "I1,incident", ROW + ",more", "", ROW)
    assert len(events) == 1
    assert [b.detail for b in bad] == ["row 1 has 2 columns, the header 8", "row 2 has 9 columns, the header 8"]
    assert summary.bad == 2


def test_ids_follow_from_content_and_row_whatever_the_file_is_called_and_however_it_is_packed(tmp_path):
    first, _, _ = run(tmp_path, HEAD, ROW)
    second, _, _ = run(tmp_path, HEAD, ROW, name="again.csv")
    packed = tmp_path / "packed.csv.gz"
    packed.write_bytes(gzip.compress((HEAD + "\n" + ROW + "\n").encode()))
    third = [json.loads(e.raw) for e in map_file(packed, mapping(tmp_path), {"origin": "test"})]
    assert first == second == third
    other, _, _ = run(tmp_path, HEAD, ROW.replace("P2", "P3"))
    assert other[0]["id"] != first[0]["id"]


def test_json_lines_and_json_say_the_same_as_csv(tmp_path):
    (csv_event,), _, _ = run(tmp_path, HEAD, ROW)
    record = dict(zip(HEAD.split(","), ROW.split(","), strict=True))
    lines = PLAIN.replace("name: desk", "name: desk\nformat: jsonl")
    (event,), bad, _ = run(tmp_path, json.dumps(record), "{broken", "[1]", "", text=lines, name="file.jsonl")
    assert event["data"] == csv_event["data"]
    assert [b.row for b in bad] == [2, 3]
    array = PLAIN.replace("name: desk", "name: desk\nformat: json\nrecords: result.items")
    (event,), bad, _ = run(tmp_path, json.dumps({"result": {"items": [record, 5]}}), text=array, name="file.json")
    assert event["data"] == csv_event["data"]
    assert [b.row for b in bad] == [2]


def test_a_nested_field_is_named_with_dots(tmp_path):
    text = """
name: own
format: jsonl
service: meta.service
events:
  - type: decision.evaluated
    time: {column: at, as: time, format: epoch_ms}
    data:
      metric: meta.metric
      baseline: {column: before, as: float}
      outcome: {column: after, as: float, scale: 100}
"""
    record = {"meta": {"service": "shop", "metric": "cost"}, "at": 1_700_000_000_123, "before": 2, "after": "0.5"}
    (event,), bad, _ = run(tmp_path, json.dumps(record), text=text)
    assert not bad
    assert event["subject"] == "shop"
    assert event["time"] == "2023-11-14T22:13:20.123000Z"
    assert event["data"] == {"metric": "cost", "baseline": 2.0, "outcome": 50.0}


def test_sorting_by_time_leaves_unreadable_times_to_the_dead_letters(tmp_path):
    text = PLAIN.replace("zone: ", "order_by: [changed]\nzone: ")
    rows = [ROW.replace("03:30", "05:30"), ROW.replace("I1", "I2"), ROW.replace("31.03.2024 03:30", "x")]
    events, bad, _ = run(tmp_path, HEAD, *rows, text=text)
    assert [e["data"]["number"] for e in events] == ["I2", "I1"]
    assert [b.row for b in bad] == [3]


def test_every_shipped_mapping_is_valid_and_described():
    assert "servicenow-uci" in shipped()
    for name in shipped():
        found = load_mapping(name)
        assert found.name == name
        assert found.description


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("service:", "servce:"), ["unknown key 'servce'", "did you mean 'service'", "allowed: name"]),
        (("    key: [id]", "    keys: [id]"), ["events[0]", "unknown key 'keys'", "did you mean 'key'"]),
        (("default: 4", "defaullt: 4"), ["events[0].data.priority: unknown key", "did you mean 'default'"]),
        (("incident.updated", "incident.update"), ["events[0].type", "did you mean 'incident.updated'"]),
        (("      number: id", "      nummer: id"), ["no field 'nummer'", "did you mean 'number'", "allowed: number"]),
        (("      number: id\n", ""), ["incident.updated needs number"]),
        (("as: bool", "as: boolean"), ["data", "'boolean' is not allowed; allowed: text, int"]),
        (("Europe/Zurich", "Europe/Zuerich"), ["zone", "Europe/Zuerich", "is no time zone"]),
        (('"^P(\\\\d)"', '"^P(\\\\d"'), ["priority.pattern", "is no regular expression"]),
        (('"^P(\\\\d)"', '"^P(\\\\d){4294967296}"'), ["priority.pattern", "the repetition number is too large"]),
        (('"^P(\\\\d)"', '"[[P](\\\\d)"'), ["priority.pattern", "possible nested set at position 1", "put a \\ before"]),
        (('"^P(\\\\d)"', '"[P--Q](\\\\d)"'), ["priority.pattern", "possible set difference at position 2", "put a \\ before"]),
        (("{var:origin}", "{var:orign}"), ["there is no variable 'orign'", "allowed: stem, file, origin"]),
        (("column: state,", "const: x, column: state,"), ["exactly one of column, const", "column, const"]),
        (("zone:", "encoding: utf-9\nzone:"), ["encoding", "utf-9"]),
        (("zone:", "delimiter: ';;'\nzone:"), ["delimiter", ";;"]),
        (("zone:", "missing: ['?']\nzone:"), ["line", "the key 'missing' is given twice"]),
        (("zone:", "zone: [\nzone:"), ["own.yaml"]),
        (("events:", "event:"), ["unknown key 'event'"]),
        (("{open: new", "{yes: new"), ["data", "expected text, got true or false", "put it in quotes"]),
    ],
)  # fmt: skip
def test_a_wrong_mapping_is_told_in_one_sentence(tmp_path, change, said):
    assert change[0] in PLAIN
    with pytest.raises(MappingError) as caught:
        mapping(tmp_path, PLAIN.replace(*change, 1))
    for part in ["own.yaml", *said]:
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unknown_mappings_files_columns_and_variables_are_told(tmp_path):
    with pytest.raises(MappingError, match="did you mean 'servicenow-uci'"):
        load_mapping("servicenow-uc")
    with pytest.raises(MappingError, match="there is no such file"):
        list(map_file(tmp_path / "none.csv", mapping(tmp_path)))
    with pytest.raises(MappingError, match=r"lacks version, .* its columns are: id, kind"):
        run(tmp_path, HEAD.removesuffix(",version"), ROW)
    with pytest.raises(MappingError, match=r"desk has no such variable; it has: .*origin"):
        run(tmp_path, HEAD, ROW, colour="red")
    with pytest.raises(MappingError, match="needs 'origin'; say --set origin="):
        list(map_file(tmp_path / "file.csv", mapping(tmp_path)))
    empty = tmp_path / "empty.csv"
    empty.touch()
    with pytest.raises(MappingError, match="its columns are: none"):
        list(map_file(empty, mapping(tmp_path), {"origin": "x"}))


@pytest.mark.parametrize(
    "content",
    [b"\x1f\x8b\x08\x00broken", gzip.compress(b"a,b\n1,2\n" * 999)[:-20]],
    ids=["no stream", "cut short"],
)
def test_a_damaged_gzip_file_is_told_before_anything_is_made_of_it(tmp_path, content):
    path = tmp_path / "broken.csv.gz"
    path.write_bytes(content)
    with pytest.raises(MappingError, match=r"broken\.csv\.gz: (is a damaged gzip file|cannot be read)"):
        list(map_file(path, mapping(tmp_path), {"origin": "x"}))


def test_any_bytes_are_refused_or_mapped_never_a_crash(tmp_path):
    from hypothesis import HealthCheck, given, settings
    from hypothesis import strategies as st

    rules = {
        f: mapping(tmp_path, PLAIN.replace("name: desk", f"name: desk\nformat: {f}")) for f in ("csv", "jsonl", "json")
    }
    file, told = tmp_path / "fuzz", []

    @settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.sampled_from(sorted(rules)), st.booleans(), st.binary(max_size=300), st.text(max_size=60))
    def check(form, headed, noise, cell):
        row = ROW.replace("P2 high", cell).encode(errors="surrogatepass")
        file.write_bytes((HEAD.encode() + b"\n" + row + b"\n" if headed else b"") + noise)
        bad, summary = [], Summary()
        try:
            events = list(map_file(file, rules[form], {"origin": "x"}, bad.append, summary))
        except MappingError as e:
            told.append(str(e))
            return
        assert summary.bad == len(bad)
        assert summary.events == len(events)
        assert all(json.loads(e.raw)["data"]["number"] for e in events)

    check()
    assert all(str(file) in sentence for sentence in told)


def test_a_time_may_lie_so_many_seconds_of_the_row_after_another(tmp_path):
    text = PLAIN + "      acknowledged_at: {column: opened, as: time, plus: {column: [reply_min], scale: 60}}\n"
    head = HEAD + ",reply_min"
    events, bad, _ = run(
        tmp_path, head, ROW + ",6.5", ROW.replace("I1", "I2") + ",", ROW.replace("I1", "I3") + ",soon", text=text
    )
    assert [e["data"].get("acknowledged_at") for e in events] == ["2024-03-31T00:36:30Z", None]
    assert [why.detail for why in bad] == ["row 3: reply_min is 'soon'; it must be a number, like 12.5"]


def test_seconds_are_added_to_times_only(tmp_path):
    text = PLAIN.replace("as: bool}", "as: bool, plus: version}")
    with pytest.raises(MappingError, match=r"data.made_sla: plus is of times; say as: time"):
        mapping(tmp_path, text)


@pytest.mark.parametrize("keyed", ["    key: [id]\n", ""], ids=["by its mapping", "by itself"])
def test_an_incident_that_changes_hands_stays_in_its_partition(tmp_path, keyed):
    text = PLAIN.replace("service: {const: desk}", "service: team").replace("    key: [id]\n", keyed)
    file = tmp_path / "moved.csv"
    rows = [
        f"I1,incident,open,31.03.2024 01:30,31.03.2024 0{n}:30,P2 high,yes,{n},{team}" for n, team in enumerate("ab", 3)
    ]
    file.write_text("\n".join([f"{HEAD},team", *rows, rows[0].replace("I1", "I2")]) + "\n")
    found = list(map_file(file, mapping(tmp_path, text), {"origin": "test"}, [].append, Summary()))
    assert [e.service for e in found] == ["a", "b", "a"]
    assert found[0].key == found[1].key != found[2].key
