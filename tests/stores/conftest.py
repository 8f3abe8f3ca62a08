"""Stores for the contract suite: a SQLite file, and two fresh buckets of one real InfluxDB."""

import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.stores.influx import InfluxStore
from pipeline.stores.port import KpiStore
from pipeline.stores.sqlite import SqliteStore
from tests.services.influx import Influx

_NUMBER = itertools.count()
#: Whole minute, so that windows end on it.
NOW = int(time.time()) // 60 * 60


@pytest.fixture(scope="session")
def influx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Influx]:
    running = Influx(tmp_path_factory.mktemp("influx"))
    yield running
    running.server.stop()


@pytest.fixture(params=["sqlite", pytest.param("influx", marks=pytest.mark.services)])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], KpiStore]]:
    """Return a function that opens the same store each time; all are closed at the end."""
    opened: list[KpiStore] = []
    if request.param == "sqlite":

        def make() -> KpiStore:
            return SqliteStore(tmp_path / "kpis.db")
    else:
        server: Influx = request.getfixturevalue("influx")
        number = next(_NUMBER)

        def make() -> KpiStore:
            store = InfluxStore(server.url, server.token, server.org, f"live_{number}", f"history_{number}")
            store.setup_buckets()
            return store

    def remember() -> KpiStore:
        opened.append(make())
        return opened[-1]

    yield remember
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: Callable[[], KpiStore]) -> KpiStore:
    return open_store()
