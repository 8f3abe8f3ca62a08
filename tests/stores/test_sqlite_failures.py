"""The SQLite file: locked, full, read-only, damaged, foreign, newer, killed; and its retention."""

import json
import os
import shutil
import sqlite3
import threading
from dataclasses import replace

import pytest

from pipeline.errors import StoreRejected, StoreUnavailable
from pipeline.stores.sqlite import SqliteStore
from pipeline.stores.sqlite_schema import KPI_SCHEMA
from pipeline.stores.sqlite_versions import Schema
from tests.stores.children import killed_after, run
from tests.stores.conftest import NOW
from tests.stores.samples import DAY, MAY, live_value, period_value, status


def _with(step: tuple[str, ...]) -> Schema:
    """Return the store's schema with one more step."""
    return replace(KPI_SCHEMA, migrations=(*KPI_SCHEMA.migrations, step))


class TestOpening:
    def test_a_directory_that_is_not_there(self, tmp_path):
        with pytest.raises(StoreUnavailable, match=r"none/kpis\.db cannot be opened.*directory"):
            SqliteStore(tmp_path / "none" / "kpis.db")

    def test_reading_only_does_not_make_a_file(self, tmp_path):
        with pytest.raises(StoreUnavailable, match=r"there is no KPI store at .*start csf up"):
            SqliteStore(tmp_path / "kpis.db", read_only=True)
        assert list(tmp_path.iterdir()) == []

    def test_a_file_that_is_no_database(self, tmp_path):
        path = tmp_path / "kpis.db"
        path.write_text("this is a text, and long enough to be one " * 100)
        with pytest.raises(StoreRejected, match=r"kpis\.db is damaged.*csf replay"):
            SqliteStore(path)

    def test_a_database_of_another_program(self, tmp_path):
        path = tmp_path / "kpis.db"
        with sqlite3.connect(path) as other:
            other.execute("CREATE TABLE something (x)")
        other.close()
        with pytest.raises(StoreRejected, match="another program"):
            SqliteStore(path)

    def test_a_file_of_a_newer_version(self, tmp_path):
        path = tmp_path / "kpis.db"
        SqliteStore(path).close()
        with sqlite3.connect(path) as newer:
            newer.execute("INSERT INTO schema_version VALUES (?, 0)", (KPI_SCHEMA.version + 1,))
        newer.close()
        for read_only in (False, True):
            with pytest.raises(StoreRejected, match=f"newer csf-pulse .schema {KPI_SCHEMA.version + 1}"):
                SqliteStore(path, read_only=read_only)

    def test_an_older_file_is_brought_up_to_date_and_keeps_its_values(self, tmp_path, monkeypatch):
        path = tmp_path / "kpis.db"
        store = SqliteStore(path)
        store.write_values([period_value()])
        store.close()
        step = ("ALTER TABLE exits ADD COLUMN note TEXT", "UPDATE kpi_period SET reason = 'migrated'")
        monkeypatch.setattr("pipeline.stores.sqlite.KPI_SCHEMA", _with(step))
        with pytest.raises(StoreUnavailable, match="start csf up once"):
            SqliteStore(path, read_only=True)
        again = SqliteStore(path)
        assert again.periods(period="month") == [period_value(reason="migrated")]
        assert f"schema {KPI_SCHEMA.version + 1}" in again.check()
        again.close()

    def test_a_step_that_fails_leaves_the_file_as_it_was(self, tmp_path, monkeypatch):
        path = tmp_path / "kpis.db"
        SqliteStore(path).close()
        step = ("ALTER TABLE exits ADD COLUMN note TEXT", "DROP TABLE that_is_not_there")
        with monkeypatch.context() as patched:
            patched.setattr("pipeline.stores.sqlite.KPI_SCHEMA", _with(step))
            with pytest.raises(StoreRejected, match="that_is_not_there"):
                SqliteStore(path)
        store = SqliteStore(path)
        store.write_exits([])
        assert f"schema {KPI_SCHEMA.version}," in store.check()
        store.close()


class TestPermissions:
    """As a user without permission; root is told apart by dropping to nobody."""

    CODE = """
        import os, sys
        from pipeline.errors import StoreUnavailable
        from pipeline.stores.sqlite import SqliteStore
        from tests.stores.samples import period_value
        if os.getuid() == 0:
            os.setgid(65534)
            os.setuid(65534)
        try:
            store = SqliteStore(sys.argv[1])
            store.write_values([period_value()])
        except StoreUnavailable as error:
            print(error)
        """

    @pytest.fixture
    def directory(self, tmp_path_factory):
        import tempfile
        from pathlib import Path

        # pytest's own directories are closed to other users.
        made = Path(tempfile.mkdtemp(prefix="csf-sqlite-"))
        made.chmod(0o755)
        yield made
        made.chmod(0o755)
        shutil.rmtree(made)

    def test_a_directory_one_may_not_write(self, directory):
        directory.chmod(0o555)
        out, err = run(self.CODE, str(directory / "kpis.db")).communicate(timeout=60)
        assert "cannot be opened for writing" in out, err
        assert "give this user write permission" in out
        assert str(directory) in out

    def test_a_file_one_may_not_write(self, directory):
        path = directory / "kpis.db"
        SqliteStore(path).close()
        path.chmod(0o444)
        directory.chmod(0o555)
        out, err = run(self.CODE, str(path)).communicate(timeout=60)
        assert "cannot be opened for writing" in out, err
        assert "give this user write permission" in out


class TestTrouble:
    def test_a_full_disk_is_said_survived_and_nothing_is_half_written(self, tmp_path):
        code = """
            import json, resource, sys
            from pipeline.errors import StoreUnavailable
            from pipeline.stores.sqlite import SqliteStore
            from tests.stores.samples import MAY, period_value
            def batch(number):
                return [period_value(period="hour", kpi=f"k{number}-{i}", start=MAY + number * 3600,
                        end=MAY + number * 3600 + 3600, reason="r" * 200) for i in range(200)]
            store = SqliteStore(sys.argv[1])
            resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))
            said, wait, number = "", None, 0
            while not said:
                try:
                    store.write_values(batch(number))
                    number += 1
                except StoreUnavailable as error:
                    said, wait = str(error), error.retry_after_s
            before = len(store.periods(period="hour"))
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            for again in range(number, number + 5):
                store.write_values(batch(again))
            after = len(store.periods(period="hour"))
            print(json.dumps([said, wait, number, before, after, store.check()]))
            """
        child = run(code, str(tmp_path / "kpis.db"))
        out, err = child.communicate(timeout=60)
        assert child.returncode == 0, err
        said, wait, number, before, after, well = json.loads(out)
        assert str(tmp_path) in said
        assert "free space" in said
        assert wait > 0
        assert (before, after) == (200 * number, 200 * (number + 5))
        assert "schema" in well

    def test_another_writer_is_waited_for_then_said(self, tmp_path):
        store = SqliteStore(tmp_path / "kpis.db", busy_timeout_s=0.2)
        other = sqlite3.connect(tmp_path / "kpis.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="locked by another process") as caught:
            store.write_values([period_value()])
        assert caught.value.retry_after_s is not None
        assert store.periods(period="month") == []
        other.execute("COMMIT")
        other.close()
        store.write_values([period_value()])
        assert store.periods(period="month") == [period_value()]
        store.close()

    def test_damage_inside_is_found_by_check_and_by_reading(self, tmp_path):
        path = tmp_path / "kpis.db"
        store = SqliteStore(path)
        store.write_values([period_value(kpi=f"k{i}") for i in range(3_000)])
        store.close()
        pages = bytearray(path.read_bytes())
        for page in range(20, 60):
            pages[page * 4096 : page * 4096 + 64] = os.urandom(64)
        path.write_bytes(pages)
        store = SqliteStore(path)
        with pytest.raises(StoreRejected, match=r"is damaged.*csf replay"):
            store.check()
        with pytest.raises(StoreRejected, match=r"is damaged.*csf replay"):
            store.periods(period="month")
        store.close()

    def test_a_store_for_reading_only_does_not_write(self, tmp_path):
        writer = SqliteStore(tmp_path / "kpis.db")
        writer.write_values([period_value()])
        reader = SqliteStore(tmp_path / "kpis.db", read_only=True)
        with pytest.raises(StoreRejected, match="for reading only"):
            reader.write_values([period_value()])
        assert reader.periods(period="month") == [period_value()]
        assert "schema" in reader.check()
        writer.write_values([period_value(value=1.0)])
        assert reader.periods(period="month")[0].value == 1.0
        reader.close()
        writer.close()

    def test_numbers_beyond_64_bits_are_refused_and_the_store_goes_on(self, tmp_path):
        store = SqliteStore(tmp_path / "kpis.db")
        with pytest.raises(StoreRejected, match="64 bits"):
            store.write_values([period_value(kpi="new", unit="new", count=2**64)])
        store.write_values([period_value(kpi="new", unit="new")])
        assert store.periods(period="month") == [period_value(kpi="new", unit="new")]
        store.close()

    def test_writing_after_closing_is_said(self, tmp_path):
        store = SqliteStore(tmp_path / "kpis.db")
        store.close()
        store.close()
        with pytest.raises(StoreRejected, match="closed"):
            store.write_values([period_value()])


class TestProcesses:
    def test_kill_9_loses_no_write_that_returned_and_leaves_none_half_done(self, tmp_path):
        code = """
            import sys
            from pipeline.stores.sqlite import SqliteStore
            from tests.stores.samples import MAY, period_value
            store = SqliteStore(sys.argv[1])
            number = int(sys.argv[2])
            while True:
                store.write_values([period_value(period="hour", kpi=f"k{i}", start=MAY + number * 3600,
                    end=MAY, value=number) for i in range(100)])
                print(number, flush=True)
                number += 1
            """
        path = str(tmp_path / "kpis.db")
        following = 0
        for _ in range(4):
            acknowledged = killed_after(run(code, path, str(following)), 20)
            store = SqliteStore(path)
            found = store.periods(period="hour")
            assert "schema" in store.check()
            store.close()
            hours = len(found) // 100
            assert hours >= acknowledged + 1
            assert [v.value for v in found] == [float(hour) for hour in range(hours) for _ in range(100)]
            following = hours

    def test_another_process_reads_whole_writes_while_this_one_writes(self, tmp_path):
        code = """
            import sys
            from pipeline.stores.sqlite import SqliteStore
            store = SqliteStore(sys.argv[1], read_only=True)
            print("ready", flush=True)
            seen = set()
            while 30.0 not in seen:
                values = {v.value for v in store.periods(period="hour")}
                assert len(values) == 1, values
                seen |= values
            print(len(seen))
            """
        store = SqliteStore(tmp_path / "kpis.db")

        def write(number: int) -> None:
            store.write_values(
                [period_value(period="hour", kpi=f"k{i}", start=MAY, end=MAY + 3600, value=number) for i in range(500)]
            )

        write(0)
        child = run(code, str(tmp_path / "kpis.db"))
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n", child.communicate()[1]
        for number in range(1, 31):
            write(number)
        out, err = child.communicate(timeout=60)
        assert child.returncode == 0, err
        assert int(out) >= 1
        store.close()

    def test_a_reading_thread_is_not_held_up_by_a_writing_one(self, tmp_path):
        store = SqliteStore(tmp_path / "kpis.db")
        store.write_values([period_value()])
        with store._file.transaction() as connection:
            connection.execute("UPDATE kpi_period SET value = 0")
            found = []
            reader = threading.Thread(target=lambda: found.extend(store.periods(period="month")))
            reader.start()
            reader.join(10)
            assert found == [period_value()]
        assert store.periods(period="month")[0].value == 0.0
        store.close()


class TestRetention:
    def test_old_live_values_and_statuses_go_in_steps_and_periods_stay(self, tmp_path):
        now = [float(NOW)]
        store = SqliteStore(tmp_path / "kpis.db", clock=lambda: now[0])
        for minute in range(40):
            end = NOW + 60 * minute
            store.write_values([live_value(end, kpi=f"k{i}") for i in range(500)])
            store.write_statuses([status(period="1h", start=end - 3600, end=end)])
        store.write_values([period_value()])
        now[0] += 46 * DAY
        late = NOW + 46 * DAY
        left = []
        for minute in range(6):
            store.write_values([live_value(late + minute * 60)])
            left.append(len(store.live(window="1h", end_from=0)))
        assert left == [20_000 - 5_000 * (i + 1) + i + 1 if i < 4 else i + 1 for i in range(6)]
        store.write_statuses([status(period="1h", start=late - 3600, end=late)])
        assert [s.end for s in store.statuses(period="1h")] == [late]
        assert len(store.live(window="1h")) == 1
        assert store.periods(period="month") == [period_value()]
        store.close()

    def test_names_are_readable_for_a_person_with_a_shell(self, tmp_path):
        store = SqliteStore(tmp_path / "kpis.db")
        store.write_values([period_value(), live_value(NOW)])
        store.close()
        shell = sqlite3.connect(tmp_path / "kpis.db")
        shell.row_factory = sqlite3.Row
        (row,) = shell.execute("SELECT * FROM period_values").fetchall()
        expected = period_value()
        assert {key: row[key] for key in expected.__struct_fields__} == {
            field: getattr(expected, field) for field in expected.__struct_fields__
        }
        assert shell.execute("SELECT count(*) FROM live_values").fetchone()[0] == 1
        shell.close()
