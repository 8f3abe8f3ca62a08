"""Generic SQL on SQLite: pages, ties, what comes late, what is wrong. The same on PostgreSQL: tests/services/test_sql.py."""

from __future__ import annotations

import logging
import sqlite3
from datetime import UTC, datetime

import pytest
import yaml

from connectors.opening import prepare_any
from connectors.sql.load import load_sql, shipped_sql
from pipeline.errors import ConfigError, SourceRefused
from tests.connectors.pulling import NOW, on_bench

CHECKS = {
    "kind": "sql", "name": "checks", "title": "Checks", "what": "checks of a table",
    "streams": [
        {
            "name": "checks", "what": "checks", "table": "checks", "time": "changed_ms", "id": "id", "form": "epoch_ms", "page": 4,
            "lag_s": 0, "overlap_s": 60,
            "mapping": {
                "service": "service",
                "events": [{"type": "uptime.checked", "time": {"column": "changed_ms", "format": "epoch_ms"}, "data": {"up": {"column": "up", "as": "bool"}}}],
            },
        }
    ],
}  # fmt: skip


def checks(**stream):
    """Return the declaration with another stream."""
    return {**CHECKS, "streams": [{**CHECKS["streams"][0], **stream}]}


class Place:
    """A database in a file, and a connector that reads it."""

    def __init__(self, folder):
        self.folder = folder
        self.file = sqlite3.connect(folder / "checks.sqlite", isolation_level=None)
        self.file.execute("CREATE TABLE checks (id INTEGER PRIMARY KEY, service TEXT, up INTEGER, changed_ms INTEGER)")
        self.address = f"sqlite:///{folder / 'checks.sqlite'}"

    def put(self, number, at=NOW, up=1, service="shop"):
        ms = None if at is None else int(at.timestamp() * 1000)
        self.file.execute("INSERT OR REPLACE INTO checks VALUES (?, ?, ?, ?)", (number, service, up, ms))

    def bench(self, declaration=None, **entry):
        entry = {"options": {"address": self.address}, "since": "2026-11-26", **entry}
        return on_bench(self.folder, declaration or CHECKS, **entry)


@pytest.fixture
def place(tmp_path):
    made = Place(tmp_path)
    yield made
    made.file.close()


def numbers(place, bench):
    """Return the rows that a poll brought, in order: their id is told by the order of what was put."""
    by_id = {}
    for event in bench.poll():
        by_id.setdefault(event["id"], event)
    return len(by_id)


def ago(seconds):
    return datetime.fromtimestamp(NOW.timestamp() - seconds, UTC)


def test_rows_of_one_time_are_read_page_by_page_each_once(place):
    for n in range(25):
        place.put(n, ago(600))
    bench = place.bench()
    events = bench.poll()
    assert len(events) == len({e["id"] for e in events}) == 25
    assert bench.counted("requests_total") == 7  # 6 full pages of 4, and the last
    assert bench.sink.cursors["checks/ours/checks"]["until"] == "2026-11-26T12:00:00Z"
    assert bench.poll(anew=True) == []


def test_a_page_that_is_just_full_is_not_the_last(place):
    for n in range(8):
        place.put(n, ago(600 - n))
    assert numbers(place, place.bench()) == 8


def test_a_row_that_is_changed_is_read_again(place):
    place.put(1, ago(600))
    bench = place.bench()
    bench.poll()
    bench.later(seconds=100)
    place.put(1, ago(-50), up=0)
    (event,) = bench.poll()
    assert (event["data"]["up"], event["time"]) == (False, "2026-11-26T12:00:50Z")


@pytest.mark.parametrize(("overlap_s", "found"), [(60, 1), (0, 0)])
def test_a_row_that_is_seen_late_is_found_within_the_overlap(place, overlap_s, found):
    bench = place.bench(checks(overlap_s=overlap_s))
    bench.poll()
    place.put(1, ago(30))  # committed now, stamped before
    bench.later(seconds=5)
    assert len(bench.poll()) == found


def test_what_the_overlap_reads_again_is_sent_once_and_after_a_restart_under_the_same_id(place):
    place.put(1, ago(5))
    bench = place.bench()
    first = bench.poll()
    bench.later(seconds=10)
    assert bench.poll() == []
    bench.later(seconds=10)
    assert bench.poll(anew=True) == first


def test_rows_without_a_time_are_told_and_a_query_reads_them(place, caplog):
    place.put(7, None)
    with caplog.at_level(logging.WARNING):
        assert place.bench().poll() == []
    assert "rows without changed_ms or id are never read, such as the one whose id is 7" in caplog.text
    at = int(ago(600).timestamp() * 1000)
    query = f"SELECT id, service, up, COALESCE(changed_ms, {at}) AS changed_ms FROM checks WHERE service NOT LIKE '%:none' -- at 12:30"
    assert len(place.bench(checks(table=None, query=query)).poll()) == 1


def test_ids_may_be_texts(place):
    place.file.execute("CREATE TABLE named (id TEXT, service TEXT, up INTEGER, changed_ms INTEGER)")
    for n in range(9):
        place.file.execute("INSERT INTO named VALUES (?, 'shop', 1, ?)", (f"o'{n}", int(ago(60).timestamp() * 1000)))
    assert numbers(place, place.bench(checks(table="named"))) == 9


def test_a_long_way_back_is_read_in_turns_and_the_cursor_moves_with_each(place):
    for n in range(3):
        place.put(n, ago(86_400 * n + 60))
    bench = place.bench(checks(step_s=3600), since="2026-11-20")
    assert len(bench.poll()) == 3
    assert bench.sink.order.count("cursor") > 100


def test_brokers_that_are_away_keep_the_cursor_where_it_is(place):
    place.put(1, ago(60))
    bench = place.bench()
    bench.sink.away = 1
    with pytest.raises(Exception, match="the brokers are away"):
        bench.poll()
    assert not bench.sink.cursors
    assert len(bench.poll(anew=True)) == 1


def test_a_row_that_is_no_event_is_a_dead_letter(place):
    place.put(1, ago(60), service=None)
    bench = place.bench()
    assert bench.poll() == []
    assert bench.sink.letters[0]["detail"] == "checks/ours/checks: service is missing; an event needs a service"


WRONG = {
    "no table": ({"table": "nowhere"}, "no such table: nowhere"),
    "no column": ({"time": "moved"}, "no such column"),
}


@pytest.mark.parametrize(("stream", "why"), WRONG.values(), ids=WRONG)
def test_what_the_database_refuses_is_told(place, stream, why):
    place.put(1, ago(60))
    bench = place.bench(checks(**stream))
    with pytest.raises(SourceRefused, match=why):
        bench.poll()


def test_it_cannot_write(place):
    place.put(1, ago(60))
    database = place.bench().client._database
    from sqlalchemy import text

    with pytest.raises(SourceRefused, match="readonly"), database.reading() as connection:
        connection.execute(text("DELETE FROM checks"))


CONFIGURATIONS = {
    "password in the address": ({"options": {"address": "postgresql://me:hunter2@db/x"}}, "holds a password; name where it is under auth.password"),
    "no address": ({"options": {"address": "db.example.org"}}, "is no address; write it like postgresql"),
    "no driver": ({"options": {"address": "oracle+cx_oracle://db/x"}}, "the driver of 'oracle\\+cx_oracle' is not installed"),
    "no option": ({"options": {}}, "options.address is missing"),
    "written secret": ({"auth": {"password": "hunter2"}}, "name where the secret is"),
    "unknown secret": ({"auth": {"token": {"env": "X"}}}, "auth: unknown key 'token'; allowed: password"),
    "unknown stream": ({"streams": ["cheks"]}, "there is no stream 'cheks'; did you mean 'checks'"),
}  # fmt: skip


@pytest.mark.parametrize(("entry", "why"), CONFIGURATIONS.values(), ids=CONFIGURATIONS)
def test_a_wrong_configuration_is_told(place, entry, why):
    with pytest.raises(ConfigError, match=why) as caught:
        place.bench(**entry)
    assert "hunter2" not in str(caught.value).replace("'hunter2'", "")


DECLARATIONS = {
    "table and query": ({"query": "SELECT 1"}, "name a table, or a query"),
    "page": ({"page": 0}, "page: must be 1 to 50,000"),
    "lag": ({"lag_s": -1}, "must be 0 or more"),
    "times of SQLite": ({"form": "datetime"}, "SQLite has no type for times"),
    "zone": ({"zone": "Europe/Nowhere"}, "'Europe/Nowhere' is no time zone"),
    "key": ({"tabel": "x"}, r"unknown key 'streams\[0\].tabel'; did you mean 'table'"),
}


@pytest.mark.parametrize(("stream", "why"), DECLARATIONS.values(), ids=DECLARATIONS)
def test_a_wrong_declaration_is_told(place, stream, why):
    with pytest.raises(ConfigError, match=why):
        place.bench(checks(**stream))


def test_the_shipped_example_reads_a_table_of_predictions(place):
    place.file.execute(
        "CREATE TABLE scores (id INTEGER, model TEXT, at INTEGER, guess REAL, real REAL, changed INTEGER)"
    )
    # the example is for databases that know times: here its times are seconds
    declaration = load_sql(shipped_sql()["predictions"])
    document = yaml.safe_load(shipped_sql()["predictions"].read_text())
    document["streams"][0]["form"] = "epoch_s"
    document["streams"][0]["mapping"]["time_format"] = "epoch_s"
    at = int(ago(3600).timestamp())
    place.file.execute(
        "INSERT INTO scores VALUES (1, 'demand', ?, 90, 100, ?), (2, 'demand', ?, 95, NULL, ?)", (at, at, at, at)
    )
    options = {
        "address": place.address, "table": "scores", "time": "changed", "id": "id", "model": "model", "scored_at": "at", "predicted": "guess",
        "actual": "real", "unit": "pieces", "service": "forecasting",
    }  # fmt: skip
    assert set(options) == {"address", *declaration.options}
    bench = place.bench(document, options=options)
    (event,) = bench.poll()
    assert (event["type"], event["subject"], event["time"]) == (
        "prediction.scored",
        "forecasting",
        "2026-11-26T11:00:00Z",
    )
    assert event["data"] == {"model": "demand", "predicted": 90.0, "actual": 100.0, "unit": "pieces"}
    place.file.execute("UPDATE scores SET real = 97, changed = ? WHERE id = 2", (int(ago(-60).timestamp()),))
    bench.later(seconds=120)
    assert [e["data"]["actual"] for e in bench.poll()] == [97.0]


def test_a_connector_may_be_a_folder(place, tmp_path):
    folder = tmp_path / "ours"
    folder.mkdir()
    (folder / "connector.yaml").write_text(yaml.safe_dump(CHECKS))
    from connectors.engine.config import Entry

    made = prepare_any(
        Entry(name="x", connector="ours", options={"address": place.address}), tmp_path / "connectors.yaml"
    )
    assert made.source == "checks/x"
