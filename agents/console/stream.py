"""Server-sent events: what changed on the board, pushed at most twice a second a viewer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import web

from agents.console.selection import Selection
from agents.console.source import Source
from pipeline.errors import CsfError

#: How often a viewer's board is looked at, and how often at most and at least something is sent, seconds.
_LOOK_S = 0.25
_SEND_S = 0.5
_HEARTBEAT_S = 5.0
#: How long a connection may take to accept what is sent before it is given up, seconds.
_STUCK_S = 30.0
#: Viewers at a time; a page that is refused polls instead.
MOST_STREAMS = 200


def event(name: str, body: Any) -> bytes:
    """Return one server-sent event."""
    return b"event: " + name.encode() + b"\ndata: " + msgspec.json.encode(body) + b"\n\n"


class Streams:
    """The open streams of one console."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._ending = asyncio.Event()
        self.open = 0

    def end(self) -> None:
        """Let all streams end, so that the server can stop."""
        self._ending.set()

    async def serve(self, request: web.Request, selection: Selection, csf: str | None) -> web.StreamResponse:
        """Send tiles of a selection, or the page of one CSF, first whole and then what changes."""
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        )
        self.open += 1
        try:
            await response.prepare(request)
            await response.write(b"retry: 3000\n\n")
            look = self._tiles(selection) if csf is None else self._page(csf, selection)
            await self._follow(response, look)
        except (ConnectionError, TimeoutError):
            pass  # the viewer left, or does not read any more
        finally:
            self.open -= 1
        return response

    async def _follow(self, response: web.StreamResponse, look: Callable[[], Awaitable[bytes]]) -> None:
        sent = 0.0
        problem = ""
        while not self._ending.is_set():
            try:
                news = await look()
                problem = ""
            except CsfError as e:
                news = b"" if str(e) == problem else event("problem", {"error": str(e)})
                problem = str(e)
            now = time.monotonic()
            if not news and now - sent >= _HEARTBEAT_S:
                news = b": still here\n\n" if problem else await self._heartbeat()
            wait = _LOOK_S
            if news:
                await asyncio.wait_for(response.write(news), _STUCK_S)
                sent, wait = now, _SEND_S
            try:
                await asyncio.wait_for(self._ending.wait(), wait)
            except TimeoutError:
                continue

    async def _heartbeat(self) -> bytes:
        try:
            clock = (await self._source.clock()).fields()
            return event("clock", {**clock, "exits": await self._source.totals()})
        except CsfError as e:
            return event("problem", {"error": str(e)})

    def _tiles(self, selection: Selection) -> Callable[[], Awaitable[bytes]]:
        """Return a look at the tiles that gives those that differ from what was last given."""
        given: dict[str, bytes] = {}

        async def look() -> bytes:
            document, tiles = await self._source.overview(selection)
            changed = []
            for csf, tile in zip(self._source.catalogue.csfs, tiles, strict=True):
                now = bytes(tile)
                if given.get(csf) != now:
                    given[csf] = now
                    changed.append(tile)
            if not changed:
                return b""
            clock = (await self._source.clock()).fields()
            return event("csfs", {**document, **clock, "exits": await self._source.totals(), "csfs": changed})

        return look

    def _page(self, csf: str, selection: Selection) -> Callable[[], Awaitable[bytes]]:
        """Return a look at a CSF's page that gives it whole where anything differs."""
        given = b""

        async def look() -> bytes:
            nonlocal given
            document = await self._source.page(csf, selection)
            now = msgspec.json.encode(document)
            if now == given:
                return b""
            given = now
            return event("csf", {**document, **(await self._source.clock()).fields()})

        return look
