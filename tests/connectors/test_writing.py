"""The connector that docs/writing-a-connector.md builds works as it stands there."""

from __future__ import annotations

import re

import yaml

from tests.connectors.pulling import on_bench
from tests.connectors.vendor import Says, serving
from tests.paths import ROOT

ISSUE = {
    "id": 48, "project": {"id": 1, "name": "Web shop"}, "tracker": {"id": 4, "name": "Incident"},
    "status": {"id": 3, "name": "Resolved"}, "priority": {"id": 4, "name": "Urgent"}, "subject": "Checkout is slow",
    "created_on": "2026-11-26T08:14:03Z", "updated_on": "2026-11-26T09:30:00Z", "closed_on": "2026-11-26T09:29:58Z",
}  # fmt: skip


def test_the_declaration_of_the_page_reads_redmine(tmp_path, monkeypatch):
    declaration, configuration = re.findall(
        r"```yaml\n(.*?)```", (ROOT / "docs/writing-a-connector.md").read_text(), re.S
    )[:2]
    (entry,) = yaml.safe_load(configuration)
    monkeypatch.setenv("REDMINE_KEY", "abc-key")

    def answer(asked):
        assert asked.headers["x-redmine-api-key"] == "abc-key"
        assert (asked.path, asked.query["tracker_id"], asked.query["limit"]) == ("/issues.json", "4", "100")
        assert re.fullmatch(r"><2026-\d\d-\d\dT\d\d:00:00Z\|2026-.*Z", asked.query["updated_on"])
        inside = asked.query["updated_on"][2:22] <= ISSUE["updated_on"] < asked.query["updated_on"][23:]
        return Says({"issues": [ISSUE] if inside else [], "total_count": int(inside), "offset": 0, "limit": 100})

    with serving(answer) as vendor:
        options = {**entry["options"], "address": vendor.address}
        bench = on_bench(
            tmp_path,
            yaml.safe_load(declaration),
            **{k: v for k, v in entry.items() if k not in {"name", "connector", "options"}},
            options=options,
        )
        (event,) = bench.poll()
    assert event["subject"] == "shop"
    assert event["data"] == {
        "number": "#48", "state": "resolved", "priority": 2, "original_state": "Resolved", "opened_at": "2026-11-26T08:14:03Z",
        "updated_at": "2026-11-26T09:30:00Z", "resolved_at": "2026-11-26T09:29:58Z", "closed_at": "2026-11-26T09:29:58Z",
    }  # fmt: skip
