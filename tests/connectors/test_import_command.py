"""``csf import`` and ``csf connector`` as processes, on real Kafka without a worker."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime

import pytest

from connectors.cursors import read_cursors
from tests.cli import running
from tests.connectors.test_access_log import LINE
from tests.connectors.test_mapping_language import HEAD, PLAIN, ROW
from tests.connectors.test_producer import read
from tests.paths import ROOT, SHARED

CSF = [sys.executable, "-m", "cli"]


def csf(*arguments, **more):
    return subprocess.run(
        [*CSF, *map(str, arguments)], check=False, cwd=ROOT, capture_output=True, text=True, timeout=120, **more
    )


def letters(bootstrap, wanted):
    return [json.loads(r.value) for r in read(bootstrap, "csf.dead-letters", wanted)]


@pytest.mark.kafka
def test_rows_become_events_bad_ones_dead_letters_and_the_file_is_told_complete(bootstrap, tmp_path):
    file, own = tmp_path / f"desk-{time.monotonic_ns()}.csv", tmp_path / "own.yaml"
    own.write_text(PLAIN)
    marker = file.stem
    rows = [ROW.replace("I1", f"{marker}-{n}") for n in range(1, 301)]
    broken = ROW.replace("I1", f"{marker}-bad").replace("31.03.2024 03:30", "yesterday")
    file.write_text("\n".join([HEAD, *rows, broken, "too,short"]) + "\n")
    arguments = ["import", file, "--mapping", own, "--set", "origin=x", "--bootstrap", bootstrap]
    done = csf(*arguments, "--data-dir", tmp_path / "data")
    assert done.returncode == 0, done.stderr
    assert "300 events (300 incident.updated) of 1 service" in done.stdout
    assert "2 could not be read" in done.stdout
    events = [e for r in read(bootstrap, "csf.events.incident", marker) for e in json.loads(r.value)]
    assert {e["data"]["number"] for e in events} == {f"{marker}-{n}" for n in range(1, 301)}
    (bad,) = [x for x in letters(bootstrap, file.name) if x["column"] == "changed"]
    assert (bad["reason"], bad["file"], bad["row"], bad["value"]) == ("unmappable-row", file.name, 301, "yesterday")
    (polled,) = [json.loads(r.value) for r in read(bootstrap, "csf.events.control", events[0]["source"])]
    assert polled["type"] == "source.polled"
    assert "subject" not in polled
    assert polled["data"]["types"] == ["incident.updated"]
    assert polled["data"]["services"] == ["desk"]
    assert polled["data"]["from"] == "2024-03-31T01:30:00Z"
    again = csf(*arguments, "--data-dir", tmp_path / "data")
    assert again.returncode == 0
    assert "nothing to do" in again.stdout
    assert len([e for r in read(bootstrap, "csf.events.incident", marker) for e in json.loads(r.value)]) == 300


@pytest.mark.kafka
def test_nothing_is_sent_where_mapping_file_or_columns_are_wrong(bootstrap, tmp_path):
    own, file = tmp_path / "own.yaml", tmp_path / "file.csv"
    own.write_text(PLAIN)
    file.write_text(HEAD + "\n" + ROW + "\n")
    lacking = tmp_path / "lacking.csv"
    lacking.write_text("a,b\n1,2\n")
    hopeless = tmp_path / "hopeless.csv"
    hopeless.write_text(HEAD + "\n" + ROW.replace("31.03.2024", "spring") + "\n")
    before = len(read(bootstrap, "csf.events.incident", ""))
    dead = len(read(bootstrap, "csf.dead-letters", ""))
    for arguments, said in [
        ([file, "--mapping", own], "--set origin="),
        ([file, "--mapping", own, "--set", "origin"], "write NAME=VALUE"),
        ([file, "--mapping", "desk"], "there is no mapping 'desk'"),
        ([tmp_path / "none.csv", "--mapping", "kev-csv"], "there is no such file"),
        ([lacking, "--mapping", own, "--set", "origin=x"], "its columns are: a, b"),
        (
            [hopeless, "--mapping", own, "--set", "origin=x"],
            "none of the first 1 rows becomes an event: row 1: changed",
        ),
        ([file, "--mapping", "access-log"], "--service"),
    ]:
        done = csf("import", *arguments, "--bootstrap", bootstrap, "--data-dir", tmp_path / "data")
        assert done.returncode == 2, done.stderr
        assert said in done.stderr
        assert "Traceback" not in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
    assert len(read(bootstrap, "csf.events.incident", "")) == before
    assert len(read(bootstrap, "csf.dead-letters", "")) == dead


def test_a_dry_run_shows_events_and_needs_no_broker(tmp_path):
    log = SHARED / "data" / "uci_incidents" / "incident_event_log.csv.gz"
    done = running.csf("import", log, "--mapping", "servicenow-uci", "--dry-run", 3, "--bootstrap", "127.0.0.1:1")
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["type"] for line in done.stdout.splitlines()] == ["incident.updated"] * 3


def test_a_broker_that_is_away_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr("agents.topics._BOOTSTRAP_MS", 300)
    file, own = tmp_path / "file.csv", tmp_path / "own.yaml"
    own.write_text(PLAIN)
    file.write_text(HEAD + "\n" + ROW + "\n")
    done = running.csf("import", file, "--mapping", own, "--set", "origin=x", "--bootstrap", "127.0.0.1:1")
    assert done.returncode == 1
    assert "127.0.0.1:1" in done.stderr
    assert "Traceback" not in done.stderr


class Running:
    """A connector as a process; stopped as a service manager would."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen(
            [*CSF, "connector", "run", *map(str, arguments)], cwd=ROOT, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        output, _ = self.process.communicate(timeout=30)
        assert self.process.returncode == 0, output


def until(condition, seconds=40):
    end, pause = time.monotonic() + seconds, threading.Event()
    while not (found := condition()):
        assert time.monotonic() < end, "not reached"
        pause.wait(0.1)
    return found


@pytest.mark.kafka
def test_a_log_is_followed_and_gone_on_with_after_a_restart(bootstrap, tmp_path):
    log, marker = tmp_path / "access.log", f"m{time.monotonic_ns()}"
    log.write_text(LINE.format(1, marker + "-1"))
    arguments = ["access-log", "--path", log, "--service", marker, "--team", "web"]
    arguments += ["--bootstrap", bootstrap, "--data-dir", tmp_path / "data"]

    def paths():
        records = read(bootstrap, "csf.events.usage", marker)
        return [e["data"]["path"] for r in records for e in json.loads(r.value)]

    with Running(*arguments):
        until(lambda: paths() == [f"/page/{marker}-1"])
        with log.open("a") as f:
            f.write(LINE.format(2, marker + "-2"))
        until(lambda: len(paths()) == 2)
        polled = until(lambda: read(bootstrap, "csf.events.control", marker))
    with log.open("a") as f:
        f.write(LINE.format(3, marker + "-3"))
    with Running(*arguments):
        until(lambda: f"/page/{marker}-3" in paths())
    assert sorted(paths()) == [f"/page/{marker}-{n}" for n in (1, 2, 3)]
    (cursor,) = [value for name, value in read_cursors(bootstrap).items() if marker in name]
    assert cursor["offset"] == log.stat().st_size
    assert json.loads(polled[0].value)["data"]["services"] == [marker]


@pytest.mark.kafka
def test_the_prober_tells_kafka_what_it_finds(bootstrap, tmp_path):
    config, marker = tmp_path / "prober.yaml", f"m{time.monotonic_ns()}"
    config.write_text(f"- {{url: 'tcp://{bootstrap}', service: {marker}, interval: 0.2}}\n")
    with Running("prober", "--config", config, "--bootstrap", bootstrap, "--data-dir", tmp_path / "data"):
        found = until(lambda: r if len(r := read(bootstrap, "csf.events.uptime", marker)) > 2 else None)
        polled = until(lambda: read(bootstrap, "csf.events.control", marker))
    events = [json.loads(r.value) for r in found]
    assert {e["data"]["up"] for e in events} == {True}
    assert len({r.partition for r in found}) == 1
    assert datetime.fromisoformat(json.loads(polled[0].value)["data"]["to"]) <= datetime.now(UTC)


def test_connectors_are_listed_and_wrong_use_is_one_sentence(tmp_path):
    done = running.csf("connector", "list", "--format", "json")
    assert {c["name"] for c in json.loads(done.stdout)} >= {"prober", "access-log", "servicenow"}
    for arguments, said in [
        (["prober"], "--config FILE"),
        (["prober", "--config", tmp_path / "none.yaml"], "cannot be read"),
        (["access-log"], "--path FILE"),
        (["nothing"], "there is no connector 'nothing'"),
    ]:
        done = running.csf("connector", "run", *arguments, "--bootstrap", "127.0.0.1:1")
        assert done.returncode == 2
        assert said in done.stderr
        assert "Traceback" not in done.stderr
