"""The worker's web server: health, metrics, progress, and the console."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from agents.console import routes
from agents.console.info import ConsoleInfo
from agents.context import Context
from agents.guard import MAX_BODY, MAX_HEADER, MAX_HEADERS, MAX_LINE, guards, one_line_protocol_errors
from agents.producing import kafka_producer, produce
from agents.sources import SourceWatch
from agents.topics import client_settings
from agents.watchdog import Watchdog
from pipeline.alerts.inputs import Order, encode
from pipeline.errors import ConfigError, CsfError, ServiceUnavailable
from pipeline.topics import ALERT_INPUTS


class HttpServer:
    """Serves one worker."""

    def __init__(self, ctx: Context, watchdog: Watchdog) -> None:
        self._ctx, self._watchdog = ctx, watchdog
        config = ctx.config
        layers = guards(host=config.http_host, names=config.http_names, token=config.http_token)
        self.app = web.Application(middlewares=layers, client_max_size=MAX_BODY)
        self.app.add_routes(
            [
                web.get("/healthz", self._healthz),
                web.get("/readyz", self._readyz),
                web.get("/metrics", self._metrics),
                web.get("/api/v1/progress", self._progress),
            ]
        )
        self._runner = web.AppRunner(
            self.app, access_log=None, max_line_size=MAX_LINE, max_field_size=MAX_HEADER, max_headers=MAX_HEADERS
        )
        #: the port that is served, once started
        self.port = 0
        self._reading: asyncio.Task[None] | None = None
        self._sources = SourceWatch(config.bootstrap, client_settings(config.security), config.connectors)
        info = ConsoleInfo(
            demo=config.demo,
            register=config.register_factory,
            reports=config.reports,
            order=self._order,
            token=config.http_token is not None,
            sources=self._sources.ask,
        )
        routes.setup(self.app, config.store_factory, ctx.plan.catalogue, info)

    async def _order(self, order: Order) -> None:
        """Append an order to what alerting hears.

        Raises:
            ServiceUnavailable: the worker is not ready, or the brokers do not take it.
        """
        if not self._ctx.table.ready.is_set():
            raise ServiceUnavailable("this worker is not ready yet; try again in a moment")
        await produce(kafka_producer(self._ctx.app), ALERT_INPUTS, 0, [(b"order", encode(order))])

    async def start(self) -> None:
        """Listen.

        Raises:
            ConfigError: the address is taken or not this machine's.
        """
        config = self._ctx.config
        logging.getLogger("aiohttp.server").addFilter(one_line_protocol_errors)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, config.http_host, config.http_port).start()
        except OSError as e:
            await self._runner.cleanup()
            raise ConfigError(
                f"http address {config.http_host}:{config.http_port} cannot be used ({e.strerror or e}): "
                "choose another port"
            ) from None
        self.port = self._runner.addresses[0][1]
        self._reading = asyncio.create_task(self._read_sources(), name="what connectors tell")

    async def _read_sources(self) -> None:
        """Read what connectors told so far: the first who looks need not wait for it."""
        await self._ctx.table.ready.wait()
        with suppress(CsfError):  # whoever looks is told
            await asyncio.to_thread(self._sources.ask)

    async def stop(self) -> None:
        """Close the address and all connections."""
        if self._reading is not None:
            self._reading.cancel()
        await self._runner.cleanup()
        await asyncio.to_thread(self._sources.close)

    def _problems(self) -> dict[str, object]:
        """Return what is wrong, where it may be told to anybody: it names addresses and files."""
        return {} if self._ctx.config.http_token else {"problems": self._ctx.problems}

    async def _healthz(self, _request: web.Request) -> web.Response:
        ctx = self._ctx
        stalled = self._watchdog.stalled_s
        red = sorted(ctx.red & ctx.problems.keys()) or (["stalled"] if stalled > ctx.config.stall_s else [])
        body = {"status": "red" if red else "ok", **self._problems(), "idle_s": round(stalled, 1)}
        return web.json_response(body, status=503 if red else 200)

    async def _readyz(self, _request: web.Request) -> web.Response:
        ctx = self._ctx
        ready = ctx.table.ready.is_set() and not ctx.problems.keys() & {"store", "broker"}
        body = {"ready": ready, "recovered": ctx.table.ready.is_set(), **self._problems()}
        return web.json_response(body, status=200 if ready else 503)

    async def _metrics(self, _request: web.Request) -> web.Response:
        ctx = self._ctx
        try:
            progress = await ctx.progress()
            lag = progress.lag
            ctx.metrics.pending.set(progress.pending)
        except ConnectionError:
            lag = {}
        return web.Response(body=ctx.metrics.render(lag), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _progress(self, request: web.Request) -> web.Response:
        try:
            progress = await self._ctx.progress(fresh="fresh" in request.query)
        except ConnectionError as e:
            return web.json_response({"error": str(e)}, status=503)
        return web.json_response(
            {
                "lag": progress.total,
                "pending": progress.pending,
                "caught_up": progress.caught_up,
                "recovered": progress.recovered,
                "lag_by_topic": {t: n for t, n in progress.lag.items() if n},
                "positions": progress.positions,
                "ends": progress.ends,
                "problems": self._ctx.problems,
            }
        )
