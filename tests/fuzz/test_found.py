"""What fuzzing found, each as one small case that stays."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cli.deadletters import _letter, replayable
from cli.settings import load_settings
from connectors import cursors
from connectors.engine.config import since_of
from connectors.engine.load import shape_of
from connectors.following import place_from
from connectors.mapping.load import load_mapping
from connectors.mapping.run import map_file
from connectors.prober import load_probes
from pipeline.catalogue.expressions import compile_value
from pipeline.engine.ingest import IngestPartition
from pipeline.errors import CatalogueError, ConfigError, InvalidEvent, MappingError, StoreRejected
from pipeline.events.validate import decode_data, decode_envelope
from pipeline.stores import influx_rows
from pipeline.stores.influx import InfluxStore
from tests.fuzz.samples import ARRIVAL_MS, event, topic
from tests.properties.histories import plan


@pytest.mark.parametrize(
    ("kind", "changed"),
    [
        ("kpi.reported", {"count": 2**64}),  # state could not be written, and the worker ended at every start
        ("kpi.reported", {"count": -(2**63) - 1}),
        ("kpi.reported", {"month": "9999-12"}),  # no month follows: rollup could not evaluate
        ("kpi.reported", {"month": "0000-01"}),
        ("month.closed", {"month": "9999-12"}),
        ("source.polled", {"truncated": 10**30}),
        ("source.polled", {"from": "0001-01-01T00:00:00Z"}),  # year 0 in zones to the west, and 740,000 days to tell
        ("incident.updated", {"opened_at": "0001-01-01T00:00:00Z"}),
        ("change.updated", {"commits": ["1969-12-31T23:59:59Z"]}),
        ("survey.answered", {"scale": "-" + "9" * 400 + "-1"}),  # a scale without end made the score NaN
    ],
)
def test_what_has_no_end_is_a_dead_letter(kind: str, changed: dict[str, Any]) -> None:
    made = event(kind)
    made["data"] = {**made["data"], **changed}
    with pytest.raises(InvalidEvent) as caught:
        decode_data(decode_envelope(json.dumps(made).encode()), topic(kind), ARRIVAL_MS)
    assert caught.value.reason == "bad-data"


def test_a_poll_counts_from_the_horizon() -> None:
    made = event("source.polled")
    made["data"]["from"] = "1990-01-01T00:00:00Z"
    machine = IngestPartition(plan("UTC"), topic("source.polled"), 0)
    machine.fold([(0, ARRIVAL_MS, json.dumps(made).encode())])
    (_, intervals) = next(iter(machine._control._polled.values()))
    assert intervals[0][0] == plan("UTC").calendar.start_of(plan("UTC").catalogue.organisation.history_from)


MAPPING = """
name: m
format: jsonl
service: {const: shop}
vars: {who: "{secret}"}
events:
  - type: task.finished
    time: at
    key: [id]
    first_by: {key: [id], order: at}
    data:
      user: {template: "{a}/{b}/{var:who}"}
      completed: {const: true}
      task: secret
"""


def mapped(tmp_path: Path, rows: list[dict[str, Any]], mapping: str = MAPPING) -> list[dict[str, Any]]:
    (tmp_path / "m.yaml").write_text(mapping)
    (tmp_path / "r.jsonl").write_text("\n".join(map(json.dumps, rows)))
    found = map_file(tmp_path / "r.jsonl", load_mapping(str(tmp_path / "m.yaml")), {})
    return [json.loads(e.raw)["data"] for e in found]


def test_what_fills_a_template_is_text_whatever_braces_it_has(tmp_path: Path) -> None:
    row = {"at": "2026-10-01T00:00:00Z", "id": 1, "a": "{b}", "b": "{secret}", "secret": "s3cret"}
    assert mapped(tmp_path, [row])[0]["user"] == "{b}/{secret}/{secret}"


def test_a_key_may_be_an_object_of_json(tmp_path: Path) -> None:
    row = {"at": "2026-10-01T00:00:00Z", "id": {"n": 1}, "a": "a", "b": "b", "secret": "s"}
    assert len(mapped(tmp_path, [row, row, {**row, "id": {"n": 2}}])) == 2


@pytest.mark.parametrize("changed", ["add_seconds: 1.0e+20", "add_seconds: .nan", "scale: .inf", "scale: 0"])
def test_numbers_of_a_mapping_have_an_end(tmp_path: Path, changed: str) -> None:
    with pytest.raises(MappingError, match="it must be"):
        mapped(tmp_path, [], MAPPING.replace("task: secret", f"task: {{column: secret, {changed}}}"))


@pytest.mark.parametrize("name", ["9" * 400, "", "/etc/passwd", "a**b"])
def test_a_second_file_has_a_name(tmp_path: Path, name: str) -> None:
    lookup = json.dumps({"l": {"file": name, "key": "id", "match": "id"}})
    with pytest.raises(MappingError, match=r"lookups\.l\.file|needs one file"):
        mapped(tmp_path, [], MAPPING + f"lookups: {lookup}\n")


def test_places_and_cursors_that_nobody_can_read() -> None:
    with pytest.raises(ConfigError, match="is no place"):
        place_from({"inode": 1, "offset": -1})
    found: dict[str, dict[str, Any]] = {}
    for key, value in ((b"\xff", b"{}"), (b"a", b"{"), (b"b", b"[]"), (b"c", b'"\xff"'), (b"d", b'{"x": 1}')):
        cursors._take(found, key, value)
    assert found == {"d": {"x": 1}}


def test_dead_letters_that_nobody_can_read() -> None:
    for value in (b'{"detail": "\xff"}', b"[" * 100_000, b"no", b'{"event_base64": "x", "topic": "csf.events.usage"}'):
        letter = _letter(SimpleNamespace(value=value, key=None, partition=0, offset=1))
        assert replayable(letter) is None
    good = {"topic": "csf.events.usage", "event_base64": "e30=", "size": 2, "partition": 1}
    assert replayable(good) == ("csf.events.usage", 1, b"{}")
    for changed in (
        {"partition": "1"},
        {"partition": True},
        {"partition": -1},
        {"topic": ["csf.events.usage"]},
        {"event_base64": 7},
    ):
        assert replayable({**good, **changed}) is None


def test_files_that_are_deep_or_hold_half_a_character(tmp_path: Path) -> None:
    for text, says in (
        ("[" * 2000, "nested too deeply"),
        ("- " * 20_000, "nested too deeply"),
        ("{a: " * 20_000, "nested too deeply"),
        ("\n".join(" " * depth + "a:" for depth in range(2000)), "nested too deeply"),
        ('- {url: "http://a/\\ud800", service: s}', "half of a surrogate pair"),
        ("- {url: 'http://a/', service: s, interval: .nan}", "greater than 0"),
        ("- {url: 'http://a/', service: s, timeout: .inf}", "at most a day"),
    ):
        (tmp_path / "p.yaml").write_text(text)
        with pytest.raises(ConfigError, match=says):
            load_probes(tmp_path / "p.yaml")


def test_a_secret_file_that_is_none() -> None:
    with pytest.raises(ConfigError, match="CSF_HTTP_TOKEN_FILE"):
        load_settings(None, {"CSF_HTTP_TOKEN_FILE": "a\0b"})


def test_a_number_of_five_thousand_digits_in_an_expression() -> None:
    with pytest.raises(CatalogueError, match="beyond 1e15"):
        compile_value("a > " + "9" * 400)


def test_a_since_before_the_calendar() -> None:
    with pytest.raises(ConfigError, match="is no time"):
        since_of("0001-01-01T00:00:00+14:00", "connectors.yaml")


@pytest.mark.parametrize("shape", ["a" * 300, "__init__", "../kubernetes/rescales"])
def test_code_of_a_connector_that_no_file_can_be(shape: str) -> None:
    with pytest.raises(ConfigError, match="there is no connectors/kubernetes/"):
        shape_of("kubernetes", shape, "connector.yaml")


def test_a_row_with_an_infinite_count() -> None:
    store = InfluxStore("http://127.0.0.1:1", "t", "o")
    row = {
        "topic": "t",
        "partition": "0",
        "clock": "1",
        "reasons": "{",
        **dict.fromkeys(("received", "kpi", "dead_letter", "duplicate", "unmapped", "ignored", "truncated"), "0"),
    }
    for changed in ({}, {"received": "inf", "reasons": "{}"}):
        with pytest.raises(StoreRejected, match="did not write so"):
            store._decode("b", influx_rows.row_exits, [{**row, **changed}])
    store.close()
