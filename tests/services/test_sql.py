"""Generic SQL on a real PostgreSQL: ties, transactions that end out of order, rights, time-outs, and processes that are killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import psycopg
import pytest
import yaml

from pipeline.errors import ServiceUnavailable, SourceRefused
from tests.connectors.pulling import on_bench
from tests.connectors.test_producer import read
from tests.services.postgres import PASSWORD, Postgres

pytestmark = pytest.mark.services
TICKETS = {
    "kind": "sql", "name": "desk", "title": "Desk", "what": "tickets of a table", "poll_s": 0.1,
    "streams": [
        {
            "name": "tickets", "what": "tickets", "table": "tickets", "time": "updated_at", "id": "id", "page": 50, "lag_s": 0, "overlap_s": 5,
            "mapping": {
                "service": "service",
                "events": [
                    {
                        "type": "incident.updated", "time": "updated_at", "sequence": "version",
                        "data": {
                            "number": {"template": "T{id}"}, "state": {"column": "state", "map": {"open": "new"}, "else": "in_progress"},
                            "opened_at": {"column": "updated_at", "as": "time"}, "updated_at": {"column": "updated_at", "as": "time"},
                        },
                    }
                ],
            },
        }
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def server():
    made = Postgres()
    made.start()
    yield made
    made.stop()


@pytest.fixture
def database(server, monkeypatch):
    """Return a connection to a database with an empty table of tickets."""
    monkeypatch.setenv("PG_PASSWORD", PASSWORD)
    with psycopg.connect(server.address.replace("+psycopg", ""), password=PASSWORD, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS tickets")
        connection.execute(
            "CREATE TABLE tickets (id bigint PRIMARY KEY, service text DEFAULT 'shop', state text DEFAULT 'open', version int DEFAULT 0, "
            "updated_at timestamptz NOT NULL DEFAULT now())"
        )
        connection.execute("CREATE INDEX ON tickets (updated_at, id)")
        yield connection


def tickets(**stream):
    return {**TICKETS, "streams": [{**TICKETS["streams"][0], **stream}]}


def bench_of(tmp_path, server, declaration=TICKETS, **entry):
    made = on_bench(
        tmp_path, declaration, options={"address": entry.pop("address", server.address)},
        **{"auth": {"password": {"env": "PG_PASSWORD"}}, "since": (datetime.now(UTC) - timedelta(minutes=5)).isoformat(), **entry},
    )  # fmt: skip
    made.now = datetime.now(UTC) + timedelta(seconds=2)
    return made


def latest(events):
    """Return number → version of the last event of each."""
    found = {}
    for event in events:
        found[event["data"]["number"]] = max(found.get(event["data"]["number"], -1), event["sequence"])
    return found


def test_rows_that_one_transaction_changed_share_a_time_and_are_all_read(tmp_path, server, database):
    database.execute("INSERT INTO tickets (id) SELECT generate_series(1, 1234)")
    bench = bench_of(tmp_path, server)
    events = bench.poll()
    assert len({e["time"] for e in events}) == 1
    assert len(events) == len({e["data"]["number"] for e in events}) == 1234
    assert bench.counted("requests_total") == 25


def test_while_others_write_every_row_ends_as_it_is_in_the_table(tmp_path, server, database):
    database.execute("INSERT INTO tickets (id) SELECT generate_series(1, 300)")
    stop = threading.Event()

    def write():
        with psycopg.connect(server.address.replace("+psycopg", ""), password=PASSWORD) as own:
            turn = 0
            while not stop.is_set():
                turn += 1
                own.execute(
                    "UPDATE tickets SET version = version + 1, updated_at = now() WHERE id %% 7 = %s", [turn % 7]
                )
                own.commit()

    writer = threading.Thread(target=write)
    bench = bench_of(tmp_path, server)
    writer.start()
    events = []
    try:
        for _ in range(5):
            bench.now = datetime.now(UTC) + timedelta(seconds=1)
            events += bench.poll(anew=bool(_ % 2))
    finally:
        stop.set()
        writer.join()
    bench.now += timedelta(seconds=5)
    events += bench.poll()
    wanted = {f"T{number}": version for number, version in database.execute("SELECT id, version FROM tickets")}
    assert latest(events) == wanted
    versions = {(e["data"]["number"], e["sequence"]) for e in events}
    assert len({e["id"] for e in events}) == len(versions)


@pytest.mark.parametrize(("overlap_s", "found"), [(5, {"T1", "T2"}), (0, {"T2"})])
def test_a_transaction_that_ends_later_than_a_younger_one_is_read_by_the_overlap(
    tmp_path, server, database, overlap_s, found
):
    bench = bench_of(tmp_path, server, tickets(overlap_s=overlap_s))
    with psycopg.connect(server.address.replace("+psycopg", ""), password=PASSWORD) as slow:
        slow.execute("INSERT INTO tickets (id) VALUES (1)")  # its time is that of the transaction's begin
        database.execute("INSERT INTO tickets (id) VALUES (2)")
        events = bench.poll()
        assert {e["data"]["number"] for e in events} == {"T2"}
        slow.commit()
    bench.later(seconds=2)
    events += bench.poll()
    assert {e["data"]["number"] for e in events} == found


def test_times_without_a_zone_are_read_in_the_declared_one(tmp_path, server, database):
    database.execute("ALTER TABLE tickets ALTER updated_at TYPE timestamp, ALTER updated_at DROP DEFAULT")
    database.execute(
        "INSERT INTO tickets (id, updated_at) VALUES (1, '2026-11-26 13:00:00.25'), (2, '2026-06-26 13:00:00')"
    )
    bench = bench_of(tmp_path, server, tickets(zone="Europe/Zurich", step_s=1e8), since="2026-06-01")
    bench.now = datetime(2026, 11, 26, 12, 30, tzinfo=UTC)
    assert [e["time"] for e in bench.poll()] == ["2026-06-26T11:00:00Z", "2026-11-26T12:00:00.250000Z"]
    with pytest.raises(SourceRefused, match="updated_at has no time zone: declare zone"):
        bench_of(tmp_path, server, since="2026-06-01").poll()


def test_a_zone_that_is_declared_besides_the_columns_own_is_refused(tmp_path, server, database):
    database.execute("INSERT INTO tickets (id) VALUES (1)")
    with pytest.raises(SourceRefused, match="has a time zone of its own: leave zone out"):
        bench_of(tmp_path, server, tickets(zone="UTC")).poll()


def test_what_is_no_time_is_refused(tmp_path, server, database):
    database.execute("INSERT INTO tickets (id) VALUES (1)")
    with pytest.raises(SourceRefused, match=r"tickets: state holds|operator does not exist"):
        bench_of(tmp_path, server, tickets(time="state")).poll()


def test_a_query_with_colons_and_percents_is_read_and_values_become_json(tmp_path, server, database):
    database.execute("INSERT INTO tickets (id) VALUES (1)")
    query = """SELECT id::numeric(10, 1) AS id, '{"team": {"name": "web"}}'::jsonb AS owner, version, updated_at, '12:30:01' AS at,
        state FROM tickets WHERE state NOT LIKE '%closed%' -- not those"""
    mapping = {**TICKETS["streams"][0]["mapping"], "service": "owner.team.name"}
    (event,) = bench_of(tmp_path, server, tickets(table=None, query=query, mapping=mapping)).poll()
    assert (event["subject"], event["data"]["number"]) == ("web", "T1.0")


def test_ids_of_other_types_go_on_page_after_page(tmp_path, server, database):
    for kind, made in {"uuid": "gen_random_uuid()", "numeric(8, 3)": "g / 7.0", "text": "'o''' || g"}.items():
        database.execute(f"CREATE OR REPLACE TEMP VIEW nothing AS SELECT 1; DROP TABLE IF EXISTS named; CREATE TABLE named AS SELECT ({made})::{kind} AS id, 'shop' AS service, "
                         "'open' AS state, 0 AS version, now() AS updated_at FROM generate_series(1, 130) g")  # fmt: skip
        assert len(bench_of(tmp_path, server, tickets(table="public.named")).poll()) == 130, kind


def test_the_shipped_predictions_become_events_once_their_outcome_is_known(tmp_path, server, database):
    database.execute("DROP TABLE IF EXISTS predictions")
    database.execute(
        "CREATE TABLE predictions (prediction_id bigint, model_name text, scored_at timestamptz, predicted numeric, actual numeric, updated_at timestamptz)"
    )
    database.execute(
        "INSERT INTO predictions VALUES (1, 'demand', '2026-11-26T09:00Z', 90.5, 100, now()), (2, 'demand', '2026-11-26T09:00Z', 80, NULL, now())"
    )
    bench = on_bench(
        tmp_path, "predictions", options={"address": server.address, "service": "forecasting"}, auth={"password": {"env": "PG_PASSWORD"}},
    )  # fmt: skip
    bench.now = datetime.now(UTC) + timedelta(seconds=10)
    (event,) = bench.poll()
    assert (event["type"], event["subject"], event["time"]) == (
        "prediction.scored",
        "forecasting",
        "2026-11-26T09:00:00Z",
    )
    assert event["data"] == {"model": "demand", "predicted": 90.5, "actual": 100.0, "unit": "items"}


# -- refusals and faults -------------------------------------------------------------------------------------------------


def test_a_wrong_password_is_told_without_it(tmp_path, server, database, monkeypatch):
    monkeypatch.setenv("PG_PASSWORD", "wr0ng-secret-marker")
    bench = bench_of(tmp_path, server)
    with pytest.raises(SourceRefused, match="password authentication failed") as caught:
        bench.poll()
    assert "wr0ng-secret-marker" not in f"{caught.value}{bench.said}{bench.connector.base}"
    assert not bench.sink.cursors


def test_a_right_that_is_missing_is_told(tmp_path, server, database, monkeypatch):
    database.execute("DROP ROLE IF EXISTS stranger")
    database.execute("CREATE ROLE stranger LOGIN PASSWORD 's3cret-of-a-stranger'")
    monkeypatch.setenv("PG_PASSWORD", "s3cret-of-a-stranger")
    bench = bench_of(tmp_path, server, address=server.address.replace("owner@", "stranger@"))
    with pytest.raises(SourceRefused, match="permission denied for table tickets"):
        bench.poll()
    database.execute("DROP ROLE stranger")


def test_it_cannot_write_even_by_a_query(tmp_path, server, database):
    database.execute(
        "CREATE OR REPLACE FUNCTION grow() RETURNS int LANGUAGE sql AS 'INSERT INTO tickets (id) VALUES (99) RETURNING 1'"
    )
    query = "SELECT id, service, state, version, updated_at, grow() AS g FROM (VALUES (1, 's', 'open', 0, now())) t (id, service, state, version, updated_at)"
    with pytest.raises(SourceRefused, match="read-only transaction"):
        bench_of(tmp_path, server, tickets(table=None, query=query)).poll()
    assert database.execute("SELECT count(*) FROM tickets").fetchone() == (0,)


def test_a_statement_that_takes_too_long_is_ended(tmp_path, server, database):
    with psycopg.connect(server.address.replace("+psycopg", ""), password=PASSWORD) as holder:
        holder.execute("LOCK TABLE tickets")
        bench = bench_of(tmp_path, server, timeout_s=0.3)
        with pytest.raises(ServiceUnavailable, match=r"a page took longer than 0.3 s \(timeout_s\)"):
            bench.poll()
    assert bench.poll() == []


def test_a_server_that_hangs_is_given_up_and_goes_on_later(tmp_path, server, database):
    bench = bench_of(tmp_path, server, timeout_s=0.5)
    os.kill(server.pid, signal.SIGSTOP)  # nobody takes a connection
    try:
        with pytest.raises(ServiceUnavailable, match="does not answer"):
            bench.poll()
    finally:
        os.kill(server.pid, signal.SIGCONT)
    database.execute("INSERT INTO tickets (id) VALUES (1)")
    bench.now = datetime.now(UTC) + timedelta(seconds=2)
    assert len(bench.poll()) == 1


def test_a_server_that_hangs_within_a_page_is_cut_off(tmp_path, server, database):
    bench = bench_of(tmp_path, server, timeout_s=1)
    caught = []

    def poll():
        try:
            bench.poll()
        except ServiceUnavailable as e:
            caught.append(str(e))

    with psycopg.connect(server.address.replace("+psycopg", ""), password=PASSWORD) as holder:
        holder.execute("LOCK TABLE tickets")
        polling = threading.Thread(target=poll)
        polling.start()
        waiting = None
        while waiting is None:
            waiting = database.execute("SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock'").fetchone()
        os.kill(waiting[0], signal.SIGSTOP)
        try:
            polling.join(20)
        finally:
            os.kill(waiting[0], signal.SIGCONT)
    assert "does not answer" in caught[0]


def test_it_goes_by_the_databases_clock(tmp_path, server, database):
    clock = bench_of(tmp_path, server).connector.clock
    assert abs((clock() - datetime.now(UTC)).total_seconds()) < 5


def test_many_rows_take_the_memory_of_a_page(tmp_path, server, database):
    """Six thousand rows of 200 characters are a multiple of the peak, in pages of 200."""
    import tracemalloc

    database.execute("INSERT INTO tickets (id, service) SELECT g, repeat('x', 200) FROM generate_series(1, 6000) g")
    bench = bench_of(tmp_path, server, tickets(page=200))
    client, url = bench.client, "tickets"
    from connectors.engine.client import Call

    query = {"since": "2020-01-01T00:00:00Z", "until": "2100-01-01T00:00:00Z"}
    rows = 0
    tracemalloc.start()
    while True:
        answer = client.ask(Call(url, query=query))
        rows += len(answer.body["rows"])
        if answer.body["next"] is None:
            break
        query["after"] = answer.body["next"]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert rows == 6000
    assert peak < 2 * 2**20


# -- killed --------------------------------------------------------------------------------------------------------------


def test_killed_while_others_write_it_loses_and_doubles_nothing(tmp_path, server, database, bootstrap):
    database.execute("INSERT INTO tickets (id) SELECT generate_series(1, 200)")
    name = f"d{uuid4().hex[:8]}"
    (tmp_path / "desk.yaml").write_text(yaml.safe_dump(TICKETS))
    entry = {
        "name": name, "connector": "desk.yaml", "options": {"address": server.address}, "auth": {"password": {"env": "PG_PASSWORD"}},
        "since": (datetime.now(UTC) - timedelta(minutes=5)).isoformat(),
    }  # fmt: skip
    (tmp_path / "connectors.yaml").write_text(yaml.safe_dump([entry]))
    command = [
        sys.executable, "-m", "cli", "connector", "run", name, "--config", str(tmp_path / "connectors.yaml"), "--bootstrap", bootstrap,
        "--data-dir", str(tmp_path / "data"),
    ]  # fmt: skip
    stop = threading.Event()

    def write():
        with psycopg.connect(server.address.replace("+psycopg", ""), password=PASSWORD) as own:
            turn = 0
            while not stop.wait(0.02):
                turn += 1
                own.execute(
                    "UPDATE tickets SET version = version + 1, updated_at = now() WHERE id %% 11 = %s", [turn % 11]
                )
                own.commit()

    def found():
        events = []
        for record in read(bootstrap, "csf.events.incident", f"desk/{name}"):
            events += json.loads(record.value)
        return events

    writer = threading.Thread(target=write)
    writer.start()
    try:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        while len(found()) <= 200:  # it read the table, and goes on with what changes
            assert process.poll() is None, process.communicate()
        process.kill()
        process.communicate()
    finally:
        stop.set()
        writer.join()
    (last,) = database.execute("SELECT max(updated_at) FROM tickets").fetchone()
    while datetime.now(UTC).replace(microsecond=0) <= last:
        time.sleep(0.02)
    done = subprocess.run([*command, "--once"], check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert PASSWORD not in done.stderr + done.stdout
    events = found()
    assert latest(events) == {f"T{n}": v for n, v in database.execute("SELECT id, version FROM tickets")}
    assert len({e["id"] for e in events}) == len({(e["data"]["number"], e["sequence"]) for e in events})
