"""``csf sip`` and ``csf comment`` as people meet them: what is printed, exported, refused; several processes at once."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cli.comment import comment
from cli.sip import _months, sip
from pipeline.errors import CsfError
from pipeline.stores.register_sqlite import SqliteRegister
from pipeline.stores.sqlite import SqliteStore
from tests.paths import ROOT
from tests.report.histories import values
from tests.report.test_desk import month_value

MONTHS = [12.0, 11.5, 12.2, 11.8, 12.1, 11.9, 12.3, 11.7, 12.0, 6.1, 5.8]


class Csf:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        store = SqliteStore(folder / "kpis.db")
        named = [f"2025-{m:02}" for m in range(2, 13)]
        store.write_values([month_value(m, v, count=500) for m, v in zip(named, MONTHS, strict=True)])
        store.close()

    def __call__(self, command: Any, *arguments: str, given: str | None = None) -> str:
        done = CliRunner().invoke(
            command, [*arguments, "--data-dir", str(self.folder)], input=given, catch_exceptions=False
        )
        assert done.exit_code == 0, done.output
        return done.output

    def opened(self, *more: str) -> str:
        said = self(
            sip, "open", "mttr", "--title", "Resolve sooner", "--goal", "6", "--owner", "Service desk",
            "--start", "2025-11-01", "--by", "Ada", *more,
        )  # fmt: skip
        return said.split()[0]


@pytest.fixture
def csf(tmp_path: Path) -> Csf:
    return Csf(tmp_path)


def test_opening_prints_the_plan_the_baseline_and_the_result(csf: Csf) -> None:
    said = csf(
        sip, "open", "mttr", "--title", "Resolve sooner", "--goal", "6", "--owner", "Service desk", "--start",
        "2025-11-01", "--due", "2199-12-31", "--action", "Rota", "--by", "Ada",
    )  # fmt: skip
    assert "Mean time to resolve of org: from 12.00\u00a0h (in 2025-10) to 6.00\u00a0h, now 5.80\u00a0h" in said
    assert "open, since 2025-11-01, due 2199-12-31; owner: Service desk" in said
    assert "result: met: December 2025 has 5.80\u00a0h, the goal of 6.00\u00a0h is reached" in said
    assert "[ ] 1. Rota" in said


def test_the_list_shows_results_and_hides_closed_ones(csf: Csf) -> None:
    assert csf(sip, "list") == "there is no programme\n"
    ident = csf.opened("--due", "2025-12-31")
    (row,) = json.loads(csf(sip, "list", "--format", "json"))
    assert (row["id"], row["result"], row["kpi"], row["overdue"]) == (ident, "met", "mttr", False)
    assert "Service desk" in csf(sip, "list")
    csf(sip, "close", ident, "--why", "Reached", "--by", "Ada")
    assert csf(sip, "list") == "there is no programme but 1 closed: --all shows them\n"
    assert ident in csf(sip, "list", "--all")
    assert csf(sip, "list", "--all", "--scope", "team:nobody", "--format", "json") == "[]\n"


def test_showing_tells_who_changed_what_and_why(csf: Csf) -> None:
    ident = csf.opened("--action", "Rota", "--why", "Users wait")
    csf(sip, "update", ident.lower(), "--done", "1", "--status", "in_progress", "--add", "Runbooks", "--by", "Grace", "--why", "Begun")  # fmt: skip
    said = csf(sip, "show", ident.removeprefix("SIP-"))
    assert "[x] 1. Rota" in said
    assert "Ada (csf) opened (Users wait)" in said
    assert "Grace (csf) changed (Begun)\n      status: in progress\n      done: Rota\n      action: Runbooks\n" in said
    document = json.loads(csf(sip, "show", ident, "--format", "json"))
    assert [e["who"] for e in document["entries"]] == ["Ada", "Grace"]


def test_months_after_the_last_known_one_are_one_word() -> None:
    history = values([4.0, None, 3.0, None, None], last="2026-10")
    assert _months(history, str) == "2026-06 4.0, 2026-07 None, 2026-08 3.0; unknown since 2026-09"
    assert _months(history[:3], str) == "2026-06 4.0, 2026-07 None, 2026-08 3.0"
    assert _months(history[3:], str) == "unknown since 2026-09"


def test_without_a_name_the_login_name_signs(csf: Csf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "grace.lind")
    ident = csf.opened()
    csf(sip, "update", ident, "--goal", "5")
    assert json.loads(csf(sip, "show", ident, "--format", "json"))["entries"][1]["who"] == "grace.lind"


def test_exports_hold_every_entry_and_no_formula(csf: Csf, tmp_path: Path) -> None:
    ident = csf.opened("--action", "=HYPERLINK(1)", "--why", "+1")
    csf(sip, "close", ident, "--why", "@done", "--by", "Ada")
    (document,) = json.loads(csf(sip, "export"))
    assert [e["kind"] for e in document["entries"]] == ["sip.opened", "sip.closed"]
    assert document["entries"][1]["why"] == "@done"
    out = tmp_path / "sips.csv"
    csf(sip, "export", "--format", "csv", "--out", str(out))
    rows = list(csv.DictReader(io.StringIO(out.read_text())))
    assert {"'+1", "'@done"} == {r["why"] for r in rows}
    assert "'=HYPERLINK(1)" in {r["value"] for r in rows}
    assert {r["sip"] for r in rows} == {ident}
    assert len(rows) == sum(len(e["changes"]) for e in document["entries"])


def test_an_export_that_cannot_be_written_is_told(csf: Csf, tmp_path: Path) -> None:
    with pytest.raises(CsfError, match=r"cannot be written: .*; name another with --out"):
        csf(sip, "export", "--out", str(tmp_path / "no" / "such.json"))


def test_looking_makes_no_register(csf: Csf) -> None:
    csf(sip, "list")
    csf(comment, "list")
    assert not (csf.folder / "register.db").exists()


def test_comments_are_set_listed_replaced_and_withdrawn(csf: Csf) -> None:
    assert csf(comment, "list") == "there is no comment\n"
    csf(comment, "set", "reliability", "--month", "2025-12", "--text", "First", "--by", "Ada")
    csf(comment, "set", "reliability", "--month", "2025-12", "--text", "-", "--by", "Grace", given="Second\nline\n")
    (found,) = json.loads(csf(comment, "list", "--format", "json"))
    assert (found["author"], found["text"], found["scope"]) == ("Grace", "Second\nline", "org")
    assert csf(comment, "list", "--month", "2025-11") == "there is no comment\n"
    csf(comment, "withdraw", "reliability", "--month", "2025-12", "--by", "Ada", "--why", "Wrong month")
    assert csf(comment, "list") == "there is no comment\n"
    log = json.loads(csf(comment, "list", "--log", "--format", "json"))
    assert [(e["who"], e["text"]) for e in log] == [("Ada", "First"), ("Grace", "Second\nline"), ("Ada", None)]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["open", "mtr", "--title", "t", "--goal", "6", "--owner", "o"], "did you mean 'mttr'?"),
        (["open", "mttr", "--title", "t", "--goal", "60", "--owner", "o"], "is not below the baseline"),
        (["open", "mttr", "--title", "t", "--goal", "5", "--owner", "o", "--due", "2020-01-01"], "is before the start"),
        (["open", "mttr", "--title", "t", "--goal", "6", "--owner", "o", "--scope", "all"], "scope 'all' is unknown"),
        (["show", "SIP-XXXXX"], "there is no programme SIP-XXXXX"),
        (["close", "SIP-XXXXX", "--why", "x"], "there is no SIP SIP-XXXXX"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(csf: Csf, arguments: list[str], sentence: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cli", "sip", *arguments, "--data-dir", str(csf.folder)],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1


def test_commands_at_the_same_time_lose_nothing(csf: Csf) -> None:
    ident = csf.opened()
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "cli", "comment", "set", "reliability", "--month", f"2025-{m:02}", "--text", "x", "--by",
             f"writer {m}", "--data-dir", str(csf.folder)],
            cwd=ROOT, stdout=subprocess.PIPE,
        )
        for m in range(1, 5)
    ]  # fmt: skip
    for each in running:
        each.communicate(timeout=60)
        assert each.returncode == 0
    register = SqliteRegister(csf.folder / "register.db")
    assert {e.who for e in register.entries()} == {"Ada", *(f"writer {m}" for m in range(1, 5))}
    assert [e.subject for e in register.entries()].count(ident) == 1
    register.close()
