"""A filled store for the whole session, and a console served over it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient, TestServer

from agents.console.info import ConsoleInfo
from agents.console.routes import setup
from pipeline.catalogue.model import Catalogue
from pipeline.stores.port import KpiStore
from pipeline.stores.sqlite import SqliteStore
from tests.console.sample import Filler, catalogue

#: 2026-10-20 12:00 in Berlin: live windows end here, October is running.
NOW = 1_792_490_400


@dataclass
class Sample:
    path: Path
    catalogue: Catalogue
    filler: Filler
    months: list[int]


def _store(path: Path) -> SqliteStore:
    return SqliteStore(path, clock=lambda: float(NOW))


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sample]:
    folder = tmp_path_factory.mktemp("console")
    loaded = catalogue(folder / "catalogue")
    store = _store(folder / "kpis.sqlite")
    filler = Filler(store, loaded, NOW)
    months = filler.months()
    filler.days()
    filler.windows()
    filler.exits()
    yield Sample(folder / "kpis.sqlite", loaded, filler, months)
    store.close()


Ask = Callable[[TestClient], Awaitable[Any]]


def served(factory: Callable[[], KpiStore], loaded: Catalogue, ask: Ask, info: ConsoleInfo | None = None) -> Any:
    """Serve a console and return what ``ask`` finds."""

    async def run() -> Any:
        app = web.Application()
        setup(app, store_factory=factory, catalogue=loaded, info=info or ConsoleInfo(demo=True, version="1.2.3"))
        async with TestClient(TestServer(app)) as client:
            return await ask(client)

    return asyncio.run(run())


@dataclass
class Api:
    sample: Sample

    def get(self, path: str, status: int = 200, **headers: str) -> Any:
        """Return the JSON of an answer after checking its status."""

        async def ask(client: TestClient) -> Any:
            response = await client.get(f"/api/v1/{path}", headers=headers)
            body = await response.json()
            assert response.status == status, body
            return body

        return served(lambda: _store(self.sample.path), self.sample.catalogue, ask)

    def answer(self, path: str, method: str = "GET", **headers: str) -> tuple[int, Mapping[str, str], bytes]:
        """Return status, headers and body of any path."""

        async def ask(client: TestClient) -> tuple[int, Mapping[str, str], bytes]:
            response: ClientResponse = await client.request(method, path, headers=headers)
            return response.status, response.headers.copy(), await response.read()

        return served(lambda: _store(self.sample.path), self.sample.catalogue, ask)


@pytest.fixture
def api(sample: Sample) -> Api:
    return Api(sample)
