"""Day tables of Google Analytics 4, as BigQuery exports them."""

from __future__ import annotations

import json

from connectors.mapping import Summary, load_mapping, map_file
from connectors.mapping.fields import field_at


def param(key, **value):
    return {
        "key": key,
        "value": {"string_value": None, "int_value": None, "float_value": None, "double_value": None, **value},
    }


def row(name, at=1793611740123456, user="1234567890.1793611700", page="https://www.example.org/checkout?q=1", **more):
    params = [param("ga_session_number", int_value=3), param("ga_session_id", int_value=1793611700)]
    if page:
        params.append(param("page_location", string_value=page))
    return {
        "event_date": "20261102", "event_timestamp": at, "event_name": name, "user_pseudo_id": user, "event_params": params, **more,
    }  # fmt: skip


def imported(tmp_path, *rows):
    file = tmp_path / "events_20261102.jsonl"
    file.write_text("".join(json.dumps(r) + "\n" for r in rows))
    bad, summary = [], Summary()
    events = [json.loads(e.raw) for e in map_file(file, load_mapping("ga4-bigquery"), None, bad.append, summary)]
    return events, bad


def test_views_and_finished_tasks_of_visitors_who_consented(tmp_path):
    events, bad = imported(
        tmp_path, row("page_view"), row("page_view", page="https://www.example.org"), row("page_view", user=None),
        row("purchase", at="1793611752000001", ecommerce={"transaction_id": "T1"}), row("session_start"), row("page_view", page=None),
    )  # fmt: skip
    assert not bad
    assert [(e["type"], e["subject"], e["data"].get("path")) for e in events] == [
        ("page.viewed", "www.example.org", "/checkout"), ("page.viewed", "www.example.org", "/"),
        ("task.finished", "www.example.org", None),
    ]  # fmt: skip
    assert events[0]["time"] == "2026-11-02T09:29:00.123456Z"  # microseconds, though not even a double holds them all
    assert events[2]["time"] == "2026-11-02T09:29:12.000001Z"
    assert {e["data"]["session"] for e in events} == {"1234567890.1793611700.1793611700"}


def test_a_step_of_a_path_may_name_an_element_by_one_of_its_fields():
    record = {"conditions": [{"type": "Ready", "status": "False"}, {"type": "Scaled", "status": "True"}, "odd"], "n": 3}
    assert field_at(record, "conditions.type=Scaled.status") == "True"
    assert field_at(record, "conditions.type=Gone.status") is None
    assert field_at(record, "n.type=Gone") is None


def test_names_with_dots_are_found_within_objects_too():
    """Elasticsearch keeps fields of one path nested or under their whole name, as they were sent."""
    assert field_at({"_source": {"kibana.alert.uuid": "a1"}}, "_source.kibana.alert.uuid") == "a1"
    assert field_at({"_source": {"kibana": {"alert.uuid": "a2"}}}, "_source.kibana.alert.uuid") == "a2"
    assert field_at({"_source": {"kibana": {"alert": {"uuid": "a3"}}}}, "_source.kibana.alert.uuid") == "a3"
    assert field_at({"_source": {"host.name": ["h1"]}}, "_source.host.name.0") == "h1"
    assert field_at({"_source": {"host.name": "h1"}}, "_source.host.ip") is None


def test_an_element_of_a_list_is_found_by_a_value_with_dots():
    tags = [
        {"key": "mlflow", "value": {"runName": "x"}},
        {"key": "mlflow.runName", "value": "sly-bird"},
        {"key": "a.b", "value": "c"},
    ]
    record = {"data": {"tags": tags}}
    assert field_at(record, "data.tags.key=mlflow.runName.value") == "sly-bird"
    assert field_at(record, "data.tags.key=mlflow.value.runName") == "x"
    assert field_at(record, "data.tags.key=a.b.value") == "c"
    assert field_at(record, "data.tags.key=a.value") is None
    assert field_at(record, "data.tags.key=a.b") == {"key": "a.b", "value": "c"}
