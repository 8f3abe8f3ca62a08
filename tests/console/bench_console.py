"""How long the tiles take: ``python -m tests.console.bench_console`` prints p50 and p95 of cold and shared answers."""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from pathlib import Path

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from agents.console import source
from agents.console.info import ConsoleInfo
from agents.console.routes import setup
from pipeline.stores.sqlite import SqliteStore
from tests.console.sample import Filler, catalogue

ROUNDS = 200


async def timed(client: TestClient, path: str) -> tuple[list[float], int]:
    took, size = [], 0
    for _ in range(ROUNDS):
        began = time.perf_counter()
        response = await client.get(path)
        size = len(await response.read())
        took.append(1000 * (time.perf_counter() - began))
        assert response.status == 200
    return sorted(took), size


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path, loaded = Path(folder) / "kpis.sqlite", catalogue(Path(folder) / "catalogue")
        store = SqliteStore(path)
        await asyncio.to_thread(Filler(store, loaded, int(time.time())).everything)
        for name, fresh_s in (("shared", source.FRESH_S), ("cold", 0.0)):
            source.FRESH_S = fresh_s
            app = web.Application()
            setup(app, lambda: SqliteStore(path), loaded, ConsoleInfo())
            async with TestClient(TestServer(app)) as client:
                for route in ("csfs", "csfs?window=1h", "csfs/reliability", "csfs/reliability?window=24h"):
                    took, size = await timed(client, f"/api/v1/{route}")
                    p50, p95 = took[ROUNDS // 2], took[int(ROUNDS * 0.95)]
                    figures = {"p50_ms": round(p50, 2), "p95_ms": round(p95, 2), "bytes": size}
                    print(json.dumps({"answers": name, "route": route, **figures}))
        store.close()


if __name__ == "__main__":
    asyncio.run(main())
