"""Serve the console over a made-up organisation, to look at: ``python -m tests.console.serve --port 8099``."""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from pathlib import Path

from aiohttp import web

from agents.console.info import ConsoleInfo
from agents.console.routes import setup
from agents.guard import guards
from cli.report_source import ChildReports
from cli.settings import Settings
from pipeline.stores.register_sqlite import SqliteRegister
from pipeline.stores.sqlite import SqliteStore
from tests.console.sample import Filler, catalogue


async def serve(port: int, every_s: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kpis.db"
        loaded = catalogue(Path(folder) / "catalogue")
        store = SqliteStore(path)
        filler = Filler(store, loaded, int(time.time()))
        began = time.monotonic()
        await asyncio.to_thread(filler.everything)
        print(f"filled in {time.monotonic() - began:.1f} s")

        async def progress() -> dict[str, object]:
            return {
                "lag": 42, "pending": 3, "caught_up": False, "recovered": True,
                "lag_by_topic": {"csf.events.usage": 42},
                "positions": {e.topic + f"/{e.partition}": e.received for e in store.exits()}, "problems": {},
            }  # fmt: skip

        app = web.Application(middlewares=guards(host="127.0.0.1"))
        info = ConsoleInfo(
            demo=True,
            progress=progress,
            register=lambda: SqliteRegister(Path(folder) / "register.db"),
            reports=ChildReports(Settings(data_dir=Path(folder))),
        )
        setup(app, lambda: SqliteStore(path), loaded, info)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        print(f"http://127.0.0.1:{runner.addresses[0][1]}/", flush=True)
        try:
            while True:
                await asyncio.sleep(every_s)
                await asyncio.to_thread(filler.tick, int(time.time()))
        finally:
            await runner.cleanup()
            store.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--every", type=float, default=2.0, help="seconds between two changes")
    given = parser.parse_args()
    asyncio.run(serve(given.port, given.every))
