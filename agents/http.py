"""The worker's web server: health, metrics, progress, and the console."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from agents.console import routes
from agents.console.info import ConsoleInfo
from agents.context import Context
from agents.watchdog import Watchdog
from pipeline.errors import ConfigError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_COOKIE = "csf_token"
#: What orchestrators ask, without a token.
_OPEN = frozenset({"/healthz", "/readyz"})


def _guard(token: str) -> Any:
    """Return a middleware that lets in who presents the token: as bearer, as cookie, or once as ``?token=``."""

    def right(given: str | None) -> bool:
        return given is not None and hmac.compare_digest(given.encode(), token.encode())

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path in _OPEN:
            return await handler(request)
        if right(request.query.get("token")):
            response = web.HTTPFound(str(request.rel_url.without_query_params("token")))
            response.set_cookie(_COOKIE, token, httponly=True, samesite="Strict")
            raise response
        bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if right(bearer) or right(request.cookies.get(_COOKIE)):
            return await handler(request)
        return web.json_response({"error": "present the token of this worker: add ?token=... once"}, status=401)

    return guard


class HttpServer:
    """Serves one worker."""

    def __init__(self, ctx: Context, watchdog: Watchdog) -> None:
        self._ctx, self._watchdog = ctx, watchdog
        token = ctx.config.http_token
        self.app = web.Application(middlewares=[_guard(token)] if token else [])
        self.app.add_routes(
            [
                web.get("/healthz", self._healthz),
                web.get("/readyz", self._readyz),
                web.get("/metrics", self._metrics),
                web.get("/api/v1/progress", self._progress),
            ]
        )
        self._runner = web.AppRunner(self.app, access_log=None)
        #: the port that is served, once started
        self.port = 0
        routes.setup(self.app, ctx.config.store_factory, ctx.plan.catalogue, ConsoleInfo(demo=ctx.config.demo))

    async def start(self) -> None:
        """Listen.

        Raises:
            ConfigError: the address is taken or not this machine's.
        """
        config = self._ctx.config
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

    async def stop(self) -> None:
        """Close the address and all connections."""
        await self._runner.cleanup()

    async def _healthz(self, _request: web.Request) -> web.Response:
        ctx = self._ctx
        stalled = self._watchdog.stalled_s
        red = sorted(ctx.red & ctx.problems.keys()) or (["stalled"] if stalled > ctx.config.stall_s else [])
        body = {"status": "red" if red else "ok", "problems": ctx.problems, "idle_s": round(stalled, 1)}
        return web.json_response(body, status=503 if red else 200)

    async def _readyz(self, _request: web.Request) -> web.Response:
        ctx = self._ctx
        ready = ctx.table.ready.is_set() and not ctx.problems.keys() & {"store", "broker"}
        body = {"ready": ready, "recovered": ctx.table.ready.is_set(), "problems": ctx.problems}
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
