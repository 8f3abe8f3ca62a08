"""The csf command as people meet it: help, sentences, exit codes, formats."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from cli.main import COMMANDS
from pipeline.stores.sqlite import SqliteStore
from pipeline.values import KpiValue
from tests.cli.running import csf
from tests.paths import ROOT


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_has_help(command: str) -> None:
    done = csf(command, "--help")
    assert done.returncode == 0, done.stderr
    assert "Usage: " in done.stdout


def test_help_lists_every_command() -> None:
    text = csf("--help").stdout
    assert all(name in text for name in COMMANDS)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["worker"], "csf worker needs brokers: set CSF_BOOTSTRAP or --bootstrap"),
        (["kpis", "--kpi", "mtr"], "--kpi mtr: is not in the catalogue"),
        (["kpis", "--scope", "everything"], "--scope everything: is none of org, team:ID, service:ID"),
        (["kpis", "--from", "March"], "--from March: is no month"),
        (["month", "close", "2026-13"], "'2026-13' is no month"),
        (["month", "close", "2999-01"], "a running month cannot be closed"),
        (["month", "close", "2026-09"], "there are no events in {here} yet: import something, or run `csf up`"),
        (["dead-letters", "list"], "there are no events in {here} yet"),
        (["dead-letters", "replay", "--all"], "there are no events in {here} yet"),
        (["alerts", "replay"], "there are no values in {here} yet"),
        (["dead-letters", "replay"], "name what to replay"),
        (["replay"], "there is no archive at"),
        (["import", "nofile.csv", "--mapping", "servicenow-uci"], "nofile.csv"),
        (["import", "x.csv", "--mapping", "servicenow-uc"], "servicenow-uci"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(tmp_path: Path, arguments: list[str], sentence: str) -> None:
    done = csf(*arguments, CSF_DATA_DIR=str(tmp_path))
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert sentence.format(here=tmp_path) in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not any(tmp_path.iterdir()), "a mistake leaves nothing behind"


@pytest.mark.parametrize(("arguments", "code", "said"), [(["--help"], 0, "Usage: "), (["kpis", "--kpi", "mtr"], 2, "")])
def test_as_a_process_it_ends_the_same(tmp_path: Path, arguments: list[str], code: int, said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cli", *arguments], cwd=ROOT, env={**os.environ, "CSF_DATA_DIR": str(tmp_path)},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == code
    assert said in done.stdout
    assert (done.stderr == "") == (code == 0)
    assert "Traceback" not in done.stderr


def test_a_broker_that_does_not_answer_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.topics._BOOTSTRAP_MS", 300)
    done = csf("dead-letters", "list", "--bootstrap", "127.0.0.1:1", CSF_DATA_DIR=str(tmp_path))
    assert done.returncode == 1
    assert "127.0.0.1:1" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "command",
    [["month", "close", "2026-09"], ["import", "{log}", "--mapping", "access-log", "--service", "site", "--wait"]],
)
def test_a_worker_that_is_to_be_waited_for_must_be_there_before_anything_is_sent(
    tmp_path: Path, command: list[str]
) -> None:
    log = tmp_path / "access.log"
    log.write_text('192.0.2.1 - - [10/Oct/2026:13:55:36 +0000] "GET /a HTTP/1.0" 200 23\n')
    begun = time.monotonic()
    done = csf(
        *[part.format(log=log) for part in command], "--bootstrap", "127.0.0.1:1", CSF_DATA_DIR=str(tmp_path), CSF_HTTP_PORT="1",
    )  # fmt: skip
    assert time.monotonic() - begun < 5
    assert done.returncode == 1
    assert done.stderr == (
        "csf: no worker answers at http://127.0.0.1:1: start one (csf worker), or do not wait for it (--no-wait)\n"
    )


def test_what_answers_in_place_of_a_worker_and_speaks_no_http_is_no_worker(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])

        def answer() -> None:
            with other.accept()[0] as peer:
                peer.recv(65_536)
                peer.sendall(b"+PONG\r\n")

        threading.Thread(target=answer, daemon=True).start()
        done = csf(
            "month", "close", "2026-09", "--bootstrap", "127.0.0.1:1", CSF_DATA_DIR=str(tmp_path), CSF_HTTP_PORT=port
        )
    assert done.returncode == 1
    assert done.stderr.startswith(f"csf: no worker answers at http://127.0.0.1:{port}: ")


def test_values_are_printed_as_json_csv_and_table(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "kpis.db")
    start = 1456790400  # 2016-03-01
    store.write_values(
        [
            KpiValue(csf="reliability", kpi="mttr", scope="org", period="month", start=start, end=start + 31 * 86400,
                     value=101.385744, unit="h", count=6878, coverage=1.0, target=8.0, status="red"),
            KpiValue(csf="reliability", kpi="mttr", scope="org", period="month", start=start - 29 * 86400, end=start,
                     value=3.59, unit="h", count=36),
        ]
    )  # fmt: skip
    store.close()
    chosen = [
        "kpis",
        "--data-dir",
        str(tmp_path),
        "--kpi",
        "mttr",
        "--period",
        "month",
        "--from",
        "2016-03",
        "--to",
        "2016-05",
    ]
    rows = json.loads(csf(*chosen, "--format", "json").stdout)
    assert len(rows) == 1
    assert list(rows[0]) == [
        "csf", "kpi", "scope", "period", "start", "value", "unit", "numerator", "denominator", "count", "coverage",
        "target", "status", "state", "revision", "definition_version",
    ]  # fmt: skip
    assert rows[0]["start"] == "2016-03-01T00:00:00+00:00"
    assert rows[0]["value"] == 101.385744
    assert rows[0]["numerator"] is None
    lines = csf(*chosen, "--format", "csv").stdout.splitlines()
    assert lines[0].startswith("csf,kpi,scope,period,start,value")
    assert "101.385744" in lines[1]
    assert "101.385744" in csf(*chosen).stdout


def test_doctor_names_the_cure(tmp_path: Path) -> None:
    done = csf("doctor", "--data-dir", str(tmp_path), "--format", "json")
    findings = {f["check"]: f for f in json.loads(done.stdout)}
    assert findings["java"]["state"] == "ok"
    assert findings["broker"]["cure"] == f"csf up --data-dir {tmp_path}"
    (tmp_path / "catalogue").mkdir()
    (tmp_path / "catalogue" / "services.yaml").write_text("- id: Not An Id\n  name: x\n")
    done = csf("doctor", "--data-dir", str(tmp_path), "--format", "json")
    findings = {f["check"]: f for f in json.loads(done.stdout)}
    assert done.returncode == 1
    assert findings["catalogue"]["state"] == "wrong"
    assert "services.yaml" in findings["catalogue"]["found"]
