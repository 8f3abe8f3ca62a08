"""The entities behind a figure: the engine's own folding names them, so their number and mean are the figure's."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from pipeline.archive import ArchiveWriter
from pipeline.engine.plan import build_plan
from pipeline.report.build import build_report
from pipeline.report.evidence import EvidenceFold, has_evidence, topics
from pipeline.report.inputs import ReportInputs
from pipeline.time.calendar import to_ms
from reports.closing import closed_at
from reports.evidence import with_evidence
from tests.report.test_build import CATALOGUE, LATER, NOVEMBER, OCTOBER, value

PLAN = build_plan(CATALOGUE)
TOPIC = "csf.events.incident"


def incident(number: str, opened: str, resolved: str | None, service: str = "mail", **more: Any) -> bytes:
    at = resolved or opened
    data = {"number": number, "state": "resolved" if resolved else "in_progress", "opened_at": opened,
            "updated_at": at, **({"resolved_at": resolved} if resolved else {}), **more}  # fmt: skip
    return msgspec.json.encode({"specversion": "1.0", "id": f"{number}-{at}-{more}", "source": "desk", "type": "incident.updated",
                                "time": at, "subject": service, "data": data})  # fmt: skip


MESSAGES = [
    incident("I1", "2026-10-02T00:00:00Z", "2026-10-02T04:00:00Z", made_sla=True),
    incident("I2", "2026-10-03T00:00:00Z", "2026-10-03T10:00:00Z", made_sla=False),
    incident("I3", "2026-10-05T00:00:00Z", None),
    incident("I4", "2026-09-20T00:00:00Z", "2026-10-01T00:00:00Z", service="shop", made_sla=True),
    incident("I5", "2026-09-01T00:00:00Z", "2026-09-02T00:00:00Z"),
    incident("I6", "2026-10-07T00:00:00Z", "2026-10-07T02:00:00Z", state="cancelled"),
    # an older update that comes late changes nothing, a correction does
    incident("I1", "2026-10-02T00:00:00Z", "2026-10-02T01:00:00Z", made_sla=False),
    incident("I2", "2026-10-03T00:00:00Z", "2026-10-03T12:00:00Z", made_sla=False),
]


def folded(messages: list[bytes]) -> EvidenceFold:
    fold = EvidenceFold(PLAN)
    for offset, message in enumerate(messages):
        fold.add(TOPIC, 0, offset, LATER * 1000, message)
    return fold


def test_entities_are_those_the_figure_counts_the_worst_first() -> None:
    found = folded(MESSAGES).of_month(["mttr", "incidents", "sla_met", "backlog"], OCTOBER, NOVEMBER, None)
    assert [(e.number, e.service, e.value) for e in found["mttr"].found] == [("I4", "shop", 264.0), ("I2", "mail", 12.0), ("I1", "mail", 4.0)]  # fmt: skip
    assert {e.number for e in found["incidents"].found} == {"I1", "I2", "I3"}
    assert [(e.number, e.value) for e in found["sla_met"].found] == [("I2", 0.0), ("I4", 100.0), ("I1", 100.0)]
    # resolved is not closed; the oldest first
    assert [e.number for e in found["backlog"].found] == ["I5", "I4", "I1", "I2", "I3"]
    assert [found[k].total for k in ("mttr", "incidents", "sla_met", "backlog")] == [3, 3, 3, 5]


def test_a_list_is_bounded_and_tells_how_many_there_are_and_a_scope_has_its_own() -> None:
    fold = folded(MESSAGES)
    found = fold.of_month(["mttr"], OCTOBER, NOVEMBER, None, named=1)["mttr"]
    assert ([e.number for e in found.found], found.total) == (["I4"], 3)
    own = fold.of_month(["mttr"], OCTOBER, NOVEMBER, frozenset({"shop"}))["mttr"]
    assert ([e.number for e in own.found], own.total) == (["I4"], 1)


@pytest.mark.parametrize(("kpi", "wanted"), [("mttr", True), ("change_lead_time", True), ("outages", True), ("csat", False), ("active_users", False), ("availability", False)])  # fmt: skip
def test_kpis_made_of_numbered_entities_have_evidence_answers_of_people_have_none(kpi: str, wanted: bool) -> None:
    assert has_evidence(PLAN, kpi) is wanted
    assert bool(topics(PLAN, [kpi])) is wanted


def inputs(**more: Any) -> ReportInputs:
    return ReportInputs(**{"month": "2026-10", "scope": "org", "clock": LATER, "values": [value("mttr", 6.0)], **more})


def archived(folder: Any, topic: str, messages: list[tuple[int, bytes]]) -> None:
    writer = ArchiveWriter(folder, topic, 0)
    writer.append_many((offset, at, message) for offset, (at, message) in enumerate(messages))
    writer.close()


def test_the_archive_gives_the_numbers_and_where_it_does_not_the_reason_is_told(tmp_path: Any) -> None:
    archived(tmp_path / "a", TOPIC, [(LATER * 1000, m) for m in MESSAGES])
    found = with_evidence(inputs(), CATALOGUE, tmp_path / "a")
    assert found.evidence["mttr"].total == 3
    assert not found.evidence_note
    off = with_evidence(inputs(), CATALOGUE, None)
    assert not off.evidence
    assert "are not listed: the event archive is off" in off.evidence_note
    assert off.evidence_note in build_report(CATALOGUE, off).quality.notes
    # of what is not made of events nothing is missing
    reported = inputs(values=[value("mttr", 6.0, reported=True), value("csat", 80.0)])
    assert not with_evidence(reported, CATALOGUE, None).evidence_note
    assert "holds no events of these kinds" in with_evidence(inputs(), CATALOGUE, tmp_path / "b").evidence_note


def test_a_large_archive_is_looked_through_when_it_is_asked_for(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    archived(tmp_path, TOPIC, [(LATER * 1000, m) for m in MESSAGES])
    monkeypatch.setattr("reports.evidence.UNASKED_BYTES", 10)
    left_out = with_evidence(inputs(), CATALOGUE, tmp_path)
    assert "the event archive is large" in left_out.evidence_note
    assert with_evidence(inputs(), CATALOGUE, tmp_path, ["mttr"]).evidence["mttr"].total == 3
    assert with_evidence(inputs(), CATALOGUE, tmp_path, whole=True).evidence["incidents"].total == 3


def test_the_archive_tells_when_a_month_was_closed(tmp_path: Any) -> None:
    def closed(month: str, offsets: Any = None) -> bytes:
        data = {"month": month, "zone": "UTC", "id": "x", "barriers": 2, "offsets": offsets}
        return msgspec.json.encode({"specversion": "1.0", "id": f"{month}{offsets}", "source": "s", "type": "month.closed",
                                    "time": "2026-11-03T06:00:00Z", "subject": "", "data": data})  # fmt: skip

    at = to_ms(datetime(2026, 11, 3, 6, tzinfo=UTC))
    told = [(at - 5_000, b"month.closed is no JSON"), (at - 1_000, closed("2026-09")), (at, closed("2026-10")), (at + 9_000, closed("2026-10", {"t/0": 5}))]  # fmt: skip
    archived(tmp_path, "csf.events.control", told)
    assert closed_at(tmp_path, "2026-10", NOVEMBER) == at / 1000
    assert closed_at(tmp_path, "2026-08", OCTOBER) is None
    assert closed_at(tmp_path / "none", "2026-10", NOVEMBER) is None
    assert closed_at(None, "2026-10", NOVEMBER) is None
