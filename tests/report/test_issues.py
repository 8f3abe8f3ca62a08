"""Issued reports: numbered, written once, rendered from their file alone, compared with reasons."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipeline.errors import ConfigError, ReportRefused
from pipeline.report.differences import differences
from pipeline.report.model import Comment, Report
from pipeline.report.texts import report_texts
from pipeline.values import KpiRevision
from reports import issues as module
from reports.issues import Issues, decode, encode
from tests.report.test_build import CATALOGUE, OCTOBER, built, value

AT = "2026-11-03T08:00:00+00:00"
LATE = "events arrived after the month was closed"


def draft(mttr: float = 6.0, **more: Any) -> Report:
    return built(value("mttr", mttr), value("csat", 80.0), **more)


def restated() -> Report:
    revision = KpiRevision(csf="reliability", kpi="mttr", scope="org", period="month", start=OCTOBER, revision=1,
                           value=6.0, reason=LATE, replaced_by=30.0)  # fmt: skip
    return built(value("mttr", 30.0, state="restated", revision=2), value("csat", 80.0), revisions=[revision])


def test_issues_are_numbered_and_come_back_as_they_were(tmp_path: Path) -> None:
    issues = Issues(tmp_path / "reports")
    first, new = issues.issue(draft(), "Ann", AT)
    assert new
    assert first.issue is not None
    assert (first.issue.number, first.issue.by, first.issue.at, first.issue.differences) == (1, "Ann", AT, [])
    assert issues.load(1) == first
    other, _ = issues.issue(draft(scope="team:web"), "Ann", AT)
    assert other.issue is not None
    assert other.issue.number == 2
    assert [(e.issue.number, e.scope, e.month, e.revision) for e in issues.entries()] == [(1, "org", "2026-10", 1), (2, "team:web", "2026-10", 1)]  # fmt: skip
    assert issues.path(1).stat().st_mode & 0o222 == 0
    assert (tmp_path / "reports").stat().st_mode & 0o077 == 0
    assert [p.name for p in sorted(issues.folder.iterdir())] == ["issue-0001.json", "issue-0002.json"]


def test_an_issue_never_changes_and_without_a_difference_there_is_no_other(tmp_path: Path) -> None:
    issues = Issues(tmp_path)
    issues.issue(draft(), "Ann", AT)
    before = issues.path(1).read_bytes()
    same, new = issues.issue(draft(clock=OCTOBER + 50 * 86_400), "Bob", AT)  # a later cut-off alone is none
    assert not new
    assert same.issue is not None
    assert (same.issue.number, same.issue.by) == (1, "Ann")
    forced, new = issues.issue(draft(), "Bob", AT, force=True)
    assert new
    assert forced.issue is not None
    assert (forced.issue.number, forced.issue.differences) == (2, [])
    issues.issue(restated(), "Ann", AT)
    assert issues.path(1).read_bytes() == before


def test_what_changed_is_told_with_its_reason(tmp_path: Path) -> None:
    issues = Issues(tmp_path)
    issues.issue(draft(), "Ann", AT)
    second, _ = issues.issue(restated(), "Ann", AT)
    assert second.issue is not None
    told = {d.what: (d.old, d.new, d.reason) for d in second.issue.differences}
    assert told["State"] == ("closed, revision 1", "restated, revision 2", "")
    assert told["Mean time to resolve"] == ("6.00\u00a0h", "30.00\u00a0h", LATE)
    assert told["Mean time to resolve: target state"] == ("met", "not met", "")
    assert "Customer satisfaction" not in told


def test_verdicts_definitions_targets_and_comments_are_differences_too() -> None:
    old = draft()
    kpis = {**CATALOGUE.kpis, "mttr": msgspec.structs.replace(CATALOGUE.kpis["mttr"], version=2, definition="Other.")}
    catalogue = msgspec.structs.replace(CATALOGUE, kpis=kpis)
    comment = Comment(csf="reliability", author="Ann", at=AT, text="Known.")
    new = built(value("mttr", 7.0, definition_version=2, target=5.0), value("csat", 80.0), catalogue=catalogue,
                comments={"reliability": comment})  # fmt: skip
    told = {(d.what, d.old, d.new, d.reason) for d in differences(old, new)}
    assert ("Mean time to resolve", "6.00\u00a0h", "7.00\u00a0h", "its definition is version 2 instead of 1") in told
    assert ("Mean time to resolve: definition", "version 1", "version 2", "") in told
    assert ("Mean time to resolve: target", "8\u00a0h", "5\u00a0h", "") in told
    assert ("Reliability: comment", "none", "Known. (Ann)", "") in told
    changed = draft()
    changed.csfs[4].verdict, changed.csfs[4].verdict_reason = "concern", "For a reason."
    assert [(d.what, d.new, d.reason) for d in differences(old, changed)] == [("Reliability: verdict", "Concern", "For a reason.")]  # fmt: skip
    assert differences(old, draft()) == []


def test_a_month_that_was_running_is_told_to_have_been(tmp_path: Path) -> None:
    running = built(value("mttr", 4.0, state="to_date", revision=0), clock=OCTOBER + 20 * 86_400)
    told = {d.what: d.reason for d in differences(running, built(value("mttr", 6.0)))}
    assert told["Mean time to resolve"] == "the month was not closed yet"


def test_two_who_issue_at_once_get_two_numbers(tmp_path: Path) -> None:
    issues, numbers = Issues(tmp_path), list[int]()

    def one(scope: str) -> None:
        issued, _ = issues.issue(draft(scope=scope), "x", AT)
        assert issued.issue is not None
        numbers.append(issued.issue.number)

    threads = [threading.Thread(target=one, args=(f"service:{s}",)) for s in ("mail", "shop", "pay", "a", "b")]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(numbers) == [1, 2, 3, 4, 5]
    assert {issues.load(n).issue.number for n in numbers} == set(numbers)  # type: ignore[union-attr] # issued


def test_files_of_other_schemas_are_migrated_or_refused_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    document = json.loads(encode(draft()))

    def old(d: dict[str, Any]) -> dict[str, Any]:
        return {**d, "organisation": d.pop("name")}

    older = {**document, "schema_version": 0, "name": "Acme"}
    del older["organisation"]
    with pytest.raises(ReportRefused, match="x has schema 0, from which this csf-pulse knows no way"):
        decode(json.dumps(older).encode(), "x")
    monkeypatch.setitem(module.MIGRATIONS, 0, old)
    assert decode(json.dumps(older).encode(), "x").organisation == "Acme"
    for wrong, sentence in (
        ({**document, "schema_version": 99}, "written by a newer csf-pulse .schema 99"),
        ({**document, "csfs": 5}, "x is no issued report .*csfs"),
        ({"a": 1}, "x is no issued report"),
    ):
        with pytest.raises(ReportRefused, match=sentence):
            decode(json.dumps(wrong).encode(), "x")
    for raw in (b"", b"{", b"\xff\xfe", b"[]"):
        with pytest.raises(ReportRefused):
            decode(raw, "x")


def test_a_missing_issue_and_an_unwritable_folder_are_one_sentence_each(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no issue 3 in .*; none was issued yet"):
        Issues(tmp_path / "none").load(3)
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(ConfigError, match="cannot be"):
        Issues(file).issue(draft(), "x", AT)


def test_nothing_in_the_data_file_is_obeyed_by_a_terminal_and_it_reads_back() -> None:
    odd = msgspec.structs.replace(draft(), organisation="a\x1b[2Jb\u202ec\nd\x9b")
    raw = encode(odd)
    assert not [c for c in raw.decode() if (ord(c) < 32 and c != "\n") or c in "\x9b\u202e"]
    assert decode(raw, "x") == odd


def test_dashboards_get_the_texts_of_every_csf_and_of_the_summary(tmp_path: Path) -> None:
    issued, _ = Issues(tmp_path).issue(draft(), "Ann", AT)
    texts = report_texts(issued, OCTOBER)
    assert [t.csf for t in texts] == ["summary", *CATALOGUE.csfs]
    assert {(t.scope, t.period, t.start, t.issue) for t in texts} == {("org", "month", OCTOBER, 1)}
    assert [t.verdict for t in texts[1:]] == [c.verdict for c in issued.csfs]
    assert [t.insight for t in texts] == [issued.summary.headline, *(c.insight for c in issued.csfs)]
