"""The mapping language on what other vendors' interfaces answer (samples beside the project)."""

import json
from datetime import UTC, datetime

from connectors.mapping import map_file
from pipeline.events.validate import decode_data, decode_envelope
from tests.connectors.test_mapping_language import mapping
from tests.paths import SHARED

NOW_MS = int(datetime(2026, 11, 24, tzinfo=UTC).timestamp() * 1000)

JIRA = """
name: jira
format: json
records: body.issues
service: {column: fields.project.key, map: {OPS: operations}}
team: it
events:
  - type: incident.updated
    time: fields.updated
    key: [key]
    data:
      number: key
      state: {column: fields.status.statusCategory.key, map: {new: new, indeterminate: in_progress, done: closed}}
      original_state: fields.status.name
      opened_at: {column: fields.created, as: time}
      updated_at: {column: fields.updated, as: time}
      resolved_at: {column: fields.resolutiondate, as: time}
      priority: {column: fields.priority.id, as: int}
"""

SERVICENOW = """
name: servicenow
format: json
records: body.result
time_format: "%Y-%m-%d %H:%M:%S"
service: {const: service-desk}
team: it
events:
  - type: incident.updated
    time: sys_updated_on
    key: [number]
    sequence: sys_mod_count
    data:
      number: number
      state: {column: state, map: {"1": new, "2": in_progress, "3": on_hold, "6": resolved, "7": closed, "8": cancelled}}
      opened_at: {column: opened_at, as: time}
      updated_at: {column: sys_updated_on, as: time}
      resolved_at: {column: resolved_at, as: time}
      priority: {column: priority, as: int}
      reopen_count: {column: reopen_count, as: int}
      made_sla: {column: made_sla, as: bool}
"""

ZENDESK = """
name: zendesk
format: json
records: body.tickets
service: custom_fields.0.value
team: support
events:
  - type: incident.updated
    time: updated_at
    key: [id]
    when: [{column: has_incidents, in: ["false"]}]
    data:
      number: id
      state: {column: status, map: {new: new, open: in_progress, pending: on_hold, hold: on_hold, solved: resolved, closed: closed}}
      opened_at: {column: created_at, as: time}
      updated_at: {column: updated_at, as: time}
      major: {column: has_incidents, map: {"true": true, "false": false}}
"""


def told(tmp_path, text, sample):
    bad, events = [], []
    for event in map_file(SHARED / "samples" / f"{sample}.json", mapping(tmp_path, text), on_bad=bad.append):
        envelope = decode_envelope(event.raw)
        events.append((envelope, decode_data(envelope, event.topic, NOW_MS)[0]))
    return events, bad


def records(sample, key):
    return json.loads((SHARED / "samples" / f"{sample}.json").read_text())["body"][key]


def test_jira_issues(tmp_path):
    events, bad = told(tmp_path, JIRA, "jira_service_management")
    issues = records("jira_service_management", "issues")
    assert not bad
    assert [d.number for _, d in events] == [i["key"] for i in issues]
    assert {e.subject for e, _ in events} == {"operations"}
    for (_, data), issue in zip(events, issues, strict=True):
        assert data.opened_at == datetime.strptime(issue["fields"]["created"], "%Y-%m-%dT%H:%M:%S.%f%z")
        assert data.original_state == issue["fields"]["status"]["name"]


def test_servicenow_incidents(tmp_path):
    events, bad = told(tmp_path, SERVICENOW, "servicenow_incident")
    rows = records("servicenow_incident", "result")
    assert not bad
    assert [(d.number, e.sequence) for e, d in events] == [(r["number"], int(r["sys_mod_count"])) for r in rows]
    assert [d.resolved_at is None for _, d in events] == [r["resolved_at"] == "" for r in rows]


def test_zendesk_tickets(tmp_path):
    events, bad = told(tmp_path, ZENDESK, "zendesk_tickets")
    tickets = [t for t in records("zendesk_tickets", "tickets") if not t["has_incidents"]]
    assert len(events) + len(bad) == len(tickets)
    assert events
    assert {d.number for _, d in events} <= {str(t["id"]) for t in tickets}
    assert {e.subject for e, _ in events} <= {f["value"] for t in tickets for f in t["custom_fields"]}
    assert not any(d.major for _, d in events)
