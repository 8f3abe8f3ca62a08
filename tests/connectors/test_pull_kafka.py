"""Pull connectors on real Kafka: the command, cursors that stay, instances that share, processes that are killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
import yaml
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from connectors.cursors import read_cursors
from connectors.engine.share import Share
from connectors.producer import EventProducer
from tests.connectors.desk import Desk, declared
from tests.connectors.test_producer import read
from tests.connectors.vendor import Says, serving

pytestmark = pytest.mark.kafka
INCIDENTS = "csf.events.incident"
NO_LAG = {"kind": "window", "lag_s": 0, "overlap_s": 2}


@pytest.fixture
def configured(tmp_path):
    """Return what writes a configuration of the desk, under a name that no other test has."""

    def write(vendor, declaration=None, **entry):
        name = f"d{uuid4().hex[:8]}"
        (tmp_path / "desk.yaml").write_text(yaml.safe_dump(declaration or declared()))
        entry = {
            "name": name, "connector": "desk.yaml", "options": {"address": vendor.address}, "since": "2026-11-26",
            "auth": {"token": {"env": "DESK_TOKEN"}}, **entry,
        }  # fmt: skip
        (tmp_path / "connectors.yaml").write_text(yaml.safe_dump([entry]))
        return name

    return write


def csf(tmp_path, bootstrap, *arguments):
    command = [sys.executable, "-m", "cli", "connector", *arguments, "--config", str(tmp_path / "connectors.yaml")]
    return subprocess.Popen(
        [*command, "--bootstrap", bootstrap, "--data-dir", str(tmp_path / "data")], text=True,
        env={**os.environ, "DESK_TOKEN": "s3cret-token"}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def ended(process):
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def events_of(bootstrap, name):
    found = []
    for record in read(bootstrap, INCIDENTS, f"desk/{name}"):
        found += json.loads(record.value)
    return found


def test_the_command_reads_once_and_then_goes_on_from_its_cursor(tmp_path, bootstrap, configured):
    desk = Desk(7)
    with serving(desk) as vendor:
        name = configured(vendor)
        assert ended(csf(tmp_path, bootstrap, "run", name, "--once"))[0] == 0
        assert [e["data"]["number"] for e in sorted(events_of(bootstrap, name), key=lambda e: e["time"])] == [
            f"T{n:04}" for n in range(7)
        ]
        kept = read_cursors(bootstrap)[f"desk/{name}/tickets"]
        vendor.asked.clear()
        assert ended(csf(tmp_path, bootstrap, "run", name, "--once"))[0] == 0
        assert vendor.asked[0].query["from"] > "2026-11-26T01"
    assert kept["until"] > "2026-11-26T01"
    (polled, *_) = [json.loads(r.value) for r in read(bootstrap, "csf.events.control", f"desk/{name}/tickets")]
    assert polled["data"]["complete"]
    assert len({e["id"] for e in events_of(bootstrap, name)}) == 7


def test_a_folder_with_a_declaration_and_its_configuration_is_a_connector(tmp_path, bootstrap, configured):
    with serving(Desk(3)) as vendor:
        name = configured(vendor)
        (tmp_path / "desk.yaml").rename(tmp_path / "connector.yaml")
        (tmp_path / "connectors.yaml").write_text(
            (tmp_path / "connectors.yaml").read_text().replace("desk.yaml", "connector.yaml")
        )
        command = [
            sys.executable,
            "-m",
            "cli",
            "connector",
            "run",
            f"{tmp_path}/",
            "--once",
            "--bootstrap",
            bootstrap,
            "--data-dir",
            str(tmp_path / "data"),
        ]
        done = subprocess.run(
            command,
            check=False,
            text=True,
            capture_output=True,
            env={**os.environ, "DESK_TOKEN": "s3cret-token"},
            timeout=60,
        )
    assert done.returncode == 0, done.stderr
    assert len(events_of(bootstrap, name)) == 3


def test_files_of_a_folder_are_read_by_the_command_and_a_killed_one_goes_on(tmp_path, bootstrap):
    name = f"d{uuid4().hex[:8]}"
    (tmp_path / "drop").mkdir()
    rows = [{"service": "shop", "number": f"N{n}", "at": "2026-11-26T11:00:00Z"} for n in range(30_000)]
    (tmp_path / "drop" / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = {
        "number": "number",
        "state": {"const": "new"},
        "opened_at": {"column": "at", "as": "time"},
        "updated_at": {"column": "at", "as": "time"},
    }
    event = {"type": "incident.updated", "time": "at", "key": ["number"], "data": data}
    (tmp_path / "incidents.yaml").write_text(
        yaml.safe_dump({"name": "incidents", "format": "jsonl", "service": "service", "events": [event]})
    )
    entry = {"name": name, "connector": "files", "options": {"place": "drop", "mapping": "incidents.yaml"}}
    (tmp_path / "connectors.yaml").write_text(yaml.safe_dump([entry]))
    code, out, err = ended(csf(tmp_path, bootstrap, "test", name))
    assert (code, out) == (0, f"{name}: can be read; holds a.jsonl; brings incident.updated\n"), err
    process = csf(tmp_path, bootstrap, "run", name)
    while not (kept := read_cursors(bootstrap).get(f"files/{name}|a.jsonl")):
        assert process.poll() is None, process.communicate()
    process.kill()
    process.communicate()
    code, _, err = ended(csf(tmp_path, bootstrap, "run", name, "--once"))
    assert code == 0, err
    found = []
    for record in read(bootstrap, INCIDENTS, f"files/{name}"):
        found += json.loads(record.value)
    assert kept["rows"] > 0
    assert {e["data"]["number"] for e in found} == {row["number"] for row in rows}
    assert len({e["id"] for e in found}) == len(rows)
    assert read_cursors(bootstrap)[f"files/{name}|a.jsonl"]["done"]


def test_a_backfill_begins_again_at_since(tmp_path, bootstrap, configured):
    with serving(Desk(7)) as vendor:
        name = configured(vendor)
        ended(csf(tmp_path, bootstrap, "run", name, "--once"))
        assert ended(csf(tmp_path, bootstrap, "run", name, "--once", "--since", "2026-11-25"))[0] == 0
    found = events_of(bootstrap, name)
    assert (len(found), len({e["id"] for e in found})) == (14, 7)  # sent again, with the same ids


def test_a_trial_shows_an_event_and_sends_nothing(tmp_path, bootstrap, configured):
    desk = Desk()
    desk.put("T1", (datetime.now(UTC) - timedelta(minutes=1)).isoformat(timespec="seconds").replace("+00:00", "Z"))
    with serving(desk) as vendor:
        name = configured(vendor, declared(cursor=NO_LAG), services={"svc-9": "x"})
        code, out, err = ended(csf(tmp_path, bootstrap, "test", name))
        assert (code, out.startswith("tickets: can be read; an event: {")) == (0, True)
        assert "services does not name: svc-1" in err
        desk.tickets.clear()
        code, out, _ = ended(csf(tmp_path, bootstrap, "test", name))
        assert (code, out) == (0, "tickets: can be read; the last seven days hold nothing\n")
    assert events_of(bootstrap, name) == []
    assert not [key for key in read_cursors(bootstrap) if name in key]


def test_a_trial_names_the_right_that_is_missing(tmp_path, bootstrap, configured):
    with serving(Desk()) as vendor:
        vendor.always = Says({"error": "no"}, 403)
        code, out, err = ended(csf(tmp_path, bootstrap, "test", configured(vendor)))
    assert (code, out) == (1, "")
    assert "tickets: cannot be read: " in err
    assert "the credentials lack a right" in err
    assert "tickets: needs: the scope tickets.read" in err


@pytest.mark.parametrize(("startup", "code"), [("fail", 1), ("ignore", 0)])
def test_a_start_that_fails_ends_as_the_configuration_says(tmp_path, bootstrap, configured, startup, code):
    with serving(Desk()) as vendor:
        vendor.always = Says({"error": "no"}, 403)
        process = csf(tmp_path, bootstrap, "run", configured(vendor, startup=startup, poll_s=0.2))
        if startup == "ignore":
            assert "is left out (startup: ignore)" in process.stderr.readline()
            process.terminate()
        assert process.wait(60) == code
        process.communicate()


def test_instances_share_the_streams_and_one_that_leaves_is_followed_at_once(bootstrap):
    source = f"desk/{uuid4().hex}"
    first, second = Share(bootstrap, source), Share(bootstrap, source)
    end = time.monotonic() + 60
    while time.monotonic() < end:
        first.beat(0.1)
        second.beat(0.1)
        held = [[n for n in range(4) if s.ours(n)] for s in (first, second)]
        if held[0] and held[1] and not set(held[0]) & set(held[1]):
            break
    assert sorted(held[0] + held[1]) == [0, 1, 2, 3]
    second.close()
    end = time.monotonic() + 60
    while time.monotonic() < end and not all(first.ours(n) for n in range(4)):
        first.beat(0.1)
    assert all(first.ours(n) for n in range(4))
    first.close()


def test_a_killed_instance_keeps_its_streams_for_who_bears_its_name_next(bootstrap):
    """Nobody waits for the session of the dead one: its name is known already, so nothing is shared anew."""
    source = f"desk/{uuid4().hex}"
    killed = Share(bootstrap, source, name="seat-of-the-first")
    end = time.monotonic() + 60
    while time.monotonic() < end and not killed.ours(0):
        killed.beat(0.1)
    following = Share(bootstrap, source, name="seat-of-the-first")  # the first one says nothing more
    begun = time.monotonic()
    while time.monotonic() < end and not following.ours(0):
        following.beat(0.1)
    assert all(following.ours(n) for n in range(4))
    assert time.monotonic() - begun < 10  # a session is 15 s
    following.close()
    after = Share(bootstrap, source)  # one that left in order is not waited for either
    begun = time.monotonic()
    while time.monotonic() < begun + 60 and not after.ours(0):
        after.beat(0.1)
    assert time.monotonic() - begun < 10
    after.close()
    killed.close()


def test_two_processes_share_the_files_of_one_connector_and_what_one_leaves_the_other_reads(tmp_path, bootstrap):
    name = f"d{uuid4().hex[:8]}"
    (tmp_path / "drop").mkdir()
    data = {
        "number": "number", "state": {"const": "new"}, "opened_at": {"column": "at", "as": "time"},
        "updated_at": {"column": "at", "as": "time"},
    }  # fmt: skip
    event = {"type": "incident.updated", "time": "at", "key": ["number"], "data": data}
    mapping = {"name": "incidents", "format": "jsonl", "service": "service", "events": [event]}
    (tmp_path / "incidents.yaml").write_text(yaml.safe_dump(mapping))
    entry = {
        "name": name,
        "connector": "files",
        "poll_s": 0.3,
        "options": {"place": "drop", "mapping": "incidents.yaml"},
    }
    (tmp_path / "connectors.yaml").write_text(yaml.safe_dump([entry]))

    def drop(first, last):
        for n in range(first, last):
            text = json.dumps({"service": "shop", "number": f"N{n}", "at": "2026-11-26T11:00:00Z"})
            (tmp_path / "drop" / f"{n}.jsonl").write_text(text + "\n")

    def told():
        return [e["data"]["number"] for r in read(bootstrap, INCIDENTS, f"files/{name}") for e in json.loads(r.value)]

    def wait_for(number):
        end = time.monotonic() + 90
        while len(set(told())) < number:
            assert time.monotonic() < end
            assert all(p.poll() is None for p in alive)
            time.sleep(0.3)

    def shared_by_two():
        try:
            said = admin.describe_groups([group])[group]
        except KafkaError:
            return False  # nobody is a member yet
        return said["group_state"] == "Stable" and len(said["members"]) == 2

    alive = [csf(tmp_path, bootstrap, "run", name) for _ in range(2)]
    group, admin = f"csf-connector-files/{name}", KafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        while not shared_by_two():
            assert all(p.poll() is None for p in alive)
            time.sleep(0.2)
        drop(0, 30)
        wait_for(30)
        assert len(told()) == 30  # nobody else told it too
        leaving = alive.pop()
        leaving.terminate()
        drop(30, 40)
        wait_for(40)
        assert len(told()) == 40
        assert ended(leaving)[0] == 0
    finally:
        admin.close()
        for process in alive:
            process.kill()
            process.communicate()


def test_a_cursor_can_be_ended(bootstrap):
    name = uuid4().hex
    producer = EventProducer(bootstrap)
    producer.keep(name, {"a": 1})
    producer.flush()
    assert name in read_cursors(bootstrap)
    producer.keep(name, None)
    producer.flush()
    producer.close()
    assert name not in read_cursors(bootstrap)


def test_killed_again_and_again_it_loses_and_doubles_nothing(tmp_path, bootstrap, configured):
    desk, told, stop = Desk(), set(), threading.Event()
    lock = threading.Lock()

    def change():
        n = 0
        while not stop.wait(0.02):
            now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
            with lock:
                desk.put(f"T{n % 40}", now, state=("open", "working")[n // 40 % 2])
            n += 1

    def answer(asked):
        with lock:
            return desk(asked)

    with serving(answer) as vendor:
        name = configured(vendor, declared(cursor=NO_LAG, paginator={"kind": "offset", "size": 50}), poll_s=0.1)
        changing = threading.Thread(target=change)
        changing.start()
        try:
            for _ in range(3):
                seen = len(vendor.asked)
                process = csf(tmp_path, bootstrap, "run", name)
                while len(vendor.asked) < seen + 8:
                    assert process.poll() is None, process.communicate()
                    time.sleep(0.02)
                process.kill()
                process.communicate()
        finally:
            stop.set()
            changing.join()
        last = max(datetime.fromisoformat(t["updated"]) for t in desk.tickets.values())
        while datetime.now(UTC).replace(microsecond=0) <= last:  # a window ends at a whole second that is over
            time.sleep(0.02)
        code, _, err = ended(csf(tmp_path, bootstrap, "run", name, "--once"))
        assert code == 0, err
    found = events_of(bootstrap, name)
    versions = {(e["data"]["number"], e["data"]["updated_at"]) for e in found}
    assert len({e["id"] for e in found}) == len(versions)
    told = {number: max(at for n, at in versions if n == number) for number, _ in versions}
    assert {n: datetime.fromisoformat(at) for n, at in told.items()} == {
        n: datetime.fromisoformat(t["updated"]) for n, t in desk.tickets.items()
    }
