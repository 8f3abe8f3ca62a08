"""What every register keeps: the same suite on SQLite and on a real InfluxDB."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.errors import EntryConflict, EntryRefused, StoreRejected, StoreUnavailable
from pipeline.stores.influx import InfluxStore
from pipeline.stores.register import Register
from pipeline.stores.register_influx import InfluxRegister
from pipeline.stores.register_sqlite import SqliteRegister
from tests.services.influx import Influx
from tests.stores.entries import AT, entry
from tests.stores.samples import HOSTILE

_NUMBER = itertools.count()


@pytest.fixture(params=["sqlite", pytest.param("influx", marks=pytest.mark.services)])
def open_register(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Register]]:
    """Return a function that opens the same register each time; all are closed at the end."""
    opened: list[Register] = []
    if request.param == "sqlite":

        def make() -> Register:
            return SqliteRegister(tmp_path / "register.db")
    else:
        server: Influx = request.getfixturevalue("influx")
        number = next(_NUMBER)
        store = InfluxStore(server.url, server.token, server.org, f"rlive_{number}", f"rhistory_{number}")
        store.setup_buckets()
        store.close()

        def make() -> Register:
            return InfluxRegister(server.url, server.token, server.org, f"rhistory_{number}")

    def remember() -> Register:
        opened.append(make())
        return opened[-1]

    yield remember
    for register in opened:
        register.close()


@pytest.fixture
def register(open_register: Callable[[], Register]) -> Register:
    return open_register()


def test_every_field_of_an_entry_comes_back(register):
    register.append(entry())
    assert register.entries() == [entry()]
    (found,) = register.entries()
    assert type(found.changes["goal"]) is float
    assert found.changes["action:a1:done"] is False


def test_an_empty_register_has_no_entries(register):
    assert register.entries() == []
    assert register.entries(subject="SIP-K7Q2F") == []


def test_entries_come_in_the_order_of_time_then_id_whatever_came_first(register):
    later, earlier = entry(2), entry(1)
    same_moment = [entry(4, at=AT, id="b"), entry(5, at=AT, id="a")]
    for each in (later, *same_moment, earlier):
        register.append(each)
    assert [e.id for e in register.entries()] == ["a", "b", earlier.id, later.id]


def test_entries_of_one_second_are_all_kept_to_the_millisecond(register):
    for number in range(5):
        register.append(entry(number, at=AT + number, changes={}))
    assert [e.at for e in register.entries()] == [AT + n for n in range(5)]


def test_a_subject_has_its_own(register):
    register.append(entry(1))
    register.append(entry(2, subject="SIP-OTHER"))
    assert register.entries(subject="SIP-OTHER") == [entry(2, subject="SIP-OTHER")]


def test_adding_the_same_entry_twice_is_adding_it_once(register):
    register.append(entry(), after="")
    register.append(entry(), after="")
    assert register.entries() == [entry()]


def test_another_entry_of_the_same_id_is_refused(register):
    register.append(entry())
    for other in (entry(why="another"), entry(subject="SIP-OTHER")):
        with pytest.raises(StoreRejected, match="another entry with the id entry0001"):
            register.append(other)
    assert register.entries() == [entry()]


def test_an_entry_by_somebody_who_has_not_seen_the_latest_one_is_refused_with_who_and_when(register, open_register):
    register.append(entry(1), after="")
    open_register().append(entry(2, kind="sip.updated", who="Grace", changes={"goal": 5.0}), after="entry0001")
    with pytest.raises(EntryConflict, match=r"SIP-K7Q2F was changed by Grace at 2026-10-20 \d\d:\d\d:\d\dZ after you"):
        register.append(entry(3, kind="sip.updated", changes={"goal": 4.0}), after="entry0001")
    assert len(register.entries()) == 2
    register.append(entry(3, kind="sip.updated", changes={"goal": 4.0}), after="entry0002")
    with pytest.raises(EntryConflict):
        register.append(entry(4), after="")


def test_what_another_process_added_is_seen(register, open_register):
    other = open_register()
    other.append(entry(1))
    assert register.entries() == [entry(1)]


@pytest.mark.parametrize("text", [t for t in HOSTILE if t])
def test_hostile_text_comes_back_as_it_was(register, text):
    changes = {"title": text, "action:a1:text": text}
    register.append(entry(subject=f"comment:2026-10:{text}:reliability", who=text, why=text, changes=changes))
    (found,) = register.entries(subject=f"comment:2026-10:{text}:reliability")
    assert (found.who, found.why, found.changes) == (text, text, changes)


@pytest.mark.parametrize("letter", ["x", "\\", '"', "\x00", "🙂"])
def test_the_longest_entry_is_kept_and_a_longer_one_is_refused_in_a_sentence(register, letter):
    def of(number: int):
        return entry(changes={"title": letter * number}, id=f"long{number}")

    fits = 5_800
    register.append(of(fits))
    assert register.entries() == [of(fits)]
    with pytest.raises(EntryRefused, match=r"the entry about SIP-K7Q2F has [\d,]+ bytes; the register keeps 60,000"):
        register.append(of(61_000))
    assert len(register.entries()) == 1


def test_a_lone_surrogate_is_refused_in_a_sentence(register):
    with pytest.raises((StoreRejected, EntryRefused), match="surrogate"):
        register.append(entry(why="\ud800"))
    assert register.entries() == []


def test_the_check_tells_where_it_is(register):
    register.append(entry())
    assert register.check().startswith(("SQLite 3.", "InfluxDB v2."))
    assert register.check().endswith(", 1 entry")


class TestSqliteAlone:
    def test_reading_a_register_that_is_not_there_finds_nothing_and_makes_no_file(self, tmp_path):
        register = SqliteRegister(tmp_path / "register.db", read_only=True)
        assert register.entries() == []
        with pytest.raises(StoreRejected, match="for reading only"):
            register.append(entry())
        assert list(tmp_path.iterdir()) == []

    def test_no_program_changes_or_removes_an_entry_by_mistake(self, tmp_path):
        import sqlite3

        register = SqliteRegister(tmp_path / "register.db")
        register.append(entry())
        register.close()
        with sqlite3.connect(tmp_path / "register.db") as other:
            for statement in ("UPDATE entry SET who = 'nobody'", "DELETE FROM entry"):
                with pytest.raises(sqlite3.IntegrityError, match="only ever added to"):
                    other.execute(statement)
        other.close()
        assert SqliteRegister(tmp_path / "register.db").entries() == [entry()]

    def test_the_kpi_store_is_no_register(self, tmp_path):
        from pipeline.stores.sqlite import SqliteStore

        SqliteStore(tmp_path / "kpis.db").close()
        with pytest.raises(StoreRejected, match="another program; name another file for the register"):
            SqliteRegister(tmp_path / "kpis.db")

    def test_a_locked_file_is_told(self, tmp_path):
        import sqlite3

        register = SqliteRegister(tmp_path / "register.db", busy_timeout_s=0.05)
        other = sqlite3.connect(tmp_path / "register.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match=r"the register .* is locked by another process"):
            register.append(entry())
        other.close()
