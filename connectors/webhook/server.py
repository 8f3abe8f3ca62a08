"""The receiver's web server: from a request to an answer.

202  the brokers hold the events           400  the body is none of the form's
200  taken before, or it says nothing      401  not signed, or too long ago
404  no such hook                          408  the body took too long
413  the body is too large                 415  the body is packed
429  too many requests of one address      503  the brokers do not answer: come again
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from aiohttp import web

from connectors.spans import told
from connectors.webhook.inbox import Busy, Delivery, Inbox
from connectors.webhook.load import Hook, Receiver
from connectors.webhook.parcel import NotReadable, Parcel, Unpacker
from connectors.webhook.remembered import Remembered
from connectors.webhook.signature import Unproven, prove
from connectors.webhook.stats import HookStats
from pipeline.errors import ConfigError, ServiceUnavailable
from pipeline.events.envelope import OutEvent
from pipeline.events.families import SourcePolled

_log = logging.getLogger(__name__)
#: Most bytes of a body; GitHub's largest are cut off at 25 MB, what it says of deployments and issues is far below.
MAX_BODY = 2**20
#: Limits of a request's line and headers.
_MAX_LINE, _MAX_HEADERS = 8_190, 64
#: How long a body may take, and how long the brokers may before the sender is told to come again: PagerDuty waits 5 s.
_BODY_S, _ACK_S = 10.0, 4.0
_COME_AGAIN_S = 5
#: Requests that are answered at one time; more are told to come again.
_MOST_AT_ONCE = 200
_MOST_TOLD = 10


@dataclass
class _Desk:
    """One sender's desk: who may speak, what it said, and since when all it said was taken."""

    hook: Hook
    unpacker: Unpacker
    services: set[str]
    #: until when it was told that everything was taken
    until: float
    #: a delivery that was proven could not be taken since
    refused: bool = False
    told: set[str] = field(default_factory=set)


class ReceiverServer:
    """Receives for the hooks of a configuration.

    Args:
        receiver: the configuration.
        inbox: takes what is to be sent.
        remembered: what was taken.
        stats: counts.
        complain: takes one sentence.
        layers: middlewares in front: rates, errors.
        clock: epoch seconds.
    """

    def __init__(
        self, receiver: Receiver, inbox: Inbox, remembered: Remembered, stats: HookStats, complain: Callable[[str], None],
        layers: list[Any] | None = None, clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self._receiver, self._inbox, self._remembered, self._stats = receiver, inbox, remembered, stats
        self._complain, self._clock = complain, clock
        self._desks = {
            hook.name: _Desk(hook, Unpacker(hook, lambda: int(clock() * 1000)), _services_of(hook), clock())
            for hook in receiver.hooks
        }
        self._at_once = 0
        self.app = web.Application(middlewares=layers or [], client_max_size=MAX_BODY)
        self.app.add_routes(
            [
                web.get("/healthz", self._healthz),
                web.post("/hooks/{name}", self._receive),
                web.post("/hooks/{name}/{secret}", self._receive),
            ]
        )
        self.runner = web.AppRunner(
            self.app, access_log=None, auto_decompress=False, max_line_size=_MAX_LINE, max_field_size=_MAX_LINE,
            max_headers=_MAX_HEADERS,
        )  # fmt: skip
        #: the port that is served, once started
        self.port = 0

    async def start(self) -> None:
        """Listen.

        Raises:
            ConfigError: the address is taken or not this machine's.
        """
        await self.runner.setup()
        host, port = self._receiver.host, self._receiver.port
        try:
            await web.TCPSite(self.runner, host, port).start()
        except OSError as e:
            await self.runner.cleanup()
            raise ConfigError(f"listen: {host}:{port} cannot be used ({e.strerror or e}): choose another") from None
        self.port = self.runner.addresses[0][1]

    async def stop(self) -> None:
        """Close the address and all connections."""
        await self.runner.cleanup()

    def say_listened(self) -> None:
        """Say for every sender until when all it sent was taken; a span in which a delivery was turned away is left out."""
        now = self._clock()
        for desk in self._desks.values():
            start, desk.until = desk.until, now
            refused, desk.refused = desk.refused, False
            if not refused and desk.services and desk.unpacker.types and now > start:
                self._inbox.say(desk.hook.source, _listened(desk, start, now))
            if unnamed := desk.unpacker.unnamed.keys() - desk.told:
                desk.told |= set(sorted(unnamed)[:1000])
                self._complain(f"{desk.hook.source}: services does not name: {', '.join(sorted(unnamed)[:20])}")

    # -- requests ------------------------------------------------------------------------------------------------------

    async def _healthz(self, _request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _receive(self, request: web.Request) -> web.Response:
        desk = self._desks.get(request.match_info["name"])
        if desk is None:
            return _answer(404, error="there is no such hook")
        if self._at_once >= _MOST_AT_ONCE:
            return self._come_again(desk, "busy", "too many requests at once")
        self._at_once += 1
        try:
            return await self._received(desk, request)
        finally:
            self._at_once -= 1

    async def _received(self, desk: _Desk, request: web.Request) -> web.Response:
        hook = desk.hook
        if request.headers.get("Content-Encoding", "identity").lower() != "identity":
            return self._turned_away(desk, 415, "packed", "the body must not be packed")
        try:
            async with asyncio.timeout(_BODY_S):
                body = await request.read()
        except TimeoutError:
            return self._turned_away(desk, 408, "too_slow", f"the body was not whole after {_BODY_S:g} s")
        except web.HTTPRequestEntityTooLarge:
            return self._turned_away(desk, 413, "too_large", f"a body has {MAX_BODY} bytes at most")
        path_secret = request.match_info.get("secret", "")
        try:
            prove(hook.form.signature, hook.keys, request.headers, path_secret, body, self._clock())
        except Unproven as e:
            return self._turned_away(desk, 401, e.outcome, str(e))
        return await self._proven(desk, body)

    async def _proven(self, desk: _Desk, body: bytes) -> web.Response:
        """Answer a delivery that somebody sent who knows the secret."""
        hook, digest = desk.hook, sha256(body).digest()
        if self._remembered.knows(hook.source, digest):
            self._stats.delivery(hook.name, "known")
            return _answer(200, result="known")
        try:
            parcel = desk.unpacker.open(body)
        except NotReadable as e:
            return self._turned_away(desk, 400, "malformed", str(e))
        if parcel.nothing:
            self._stats.delivery(hook.name, "ignored")
            return _answer(200, result="ignored")
        delivery = Delivery(hook.source, digest, len(body), parcel)
        acknowledged = asyncio.wrap_future(delivery.acknowledged)
        acknowledged.add_done_callback(
            lambda done: done.cancelled() or done.exception()
        )  # also where nobody waits any more
        try:
            self._inbox.put(delivery)
            async with asyncio.timeout(_ACK_S):
                await asyncio.shield(acknowledged)
        except Busy:
            return self._come_again(desk, "busy", "too much waits for the brokers")
        except TimeoutError:
            return self._come_again(desk, "unavailable", "the brokers have not acknowledged it in time")
        except ServiceUnavailable:
            return self._come_again(desk, "unavailable", "the brokers do not take events")
        except Exception:
            desk.refused = True
            raise
        return self._taken(desk, parcel)

    def _taken(self, desk: _Desk, parcel: Parcel) -> web.Response:
        name = desk.hook.name
        desk.services |= {event.service for event in parcel.events}
        types = Counter(event.type for event in parcel.events)
        self._stats.taken(name, types, len(parcel.letters), parcel.left_out, self._clock())
        self._stats.delivery(name, "accepted")
        if parcel.left_out:
            desk.refused = True
            self._complain(
                f"{desk.hook.source}: the sender left out {parcel.left_out} records; this time counts as not covered"
            )
        said: dict[str, object] = {"result": "accepted", "events": len(parcel.events)}
        if parcel.letters:
            said["refused"] = [letter.detail for letter in parcel.letters[:_MOST_TOLD]]
        return _answer(202, **said)

    def _turned_away(self, desk: _Desk, status: int, outcome: str, sentence: str) -> web.Response:
        self._stats.delivery(desk.hook.name, outcome)
        answer = _answer(status, error=desk.hook.secrets.hidden(sentence))
        if status in {408, 413, 415}:  # what is left of the body is not waited for
            answer.force_close()
        return answer

    def _come_again(self, desk: _Desk, outcome: str, sentence: str) -> web.Response:
        self._stats.delivery(desk.hook.name, outcome)
        desk.refused = True
        answer = _answer(503, error=f"{sentence}: send it again")
        answer.headers["Retry-After"] = str(_COME_AGAIN_S)
        return answer


def _answer(status: int, **said: object) -> web.Response:
    return web.json_response(said, status=status, headers={"Cache-Control": "no-store", "Server": "csf-pulse"})


def _services_of(hook: Hook) -> set[str]:
    """Return the services that a configuration names: they are covered also while nothing is sent of them."""
    return {*hook.entry.services.values(), *([hook.entry.other_service] if hook.entry.other_service else [])}


def _listened(desk: _Desk, start: float, end: float) -> OutEvent:
    until = datetime.fromtimestamp(end, UTC)
    data = SourcePolled(
        source=desk.hook.source, from_=datetime.fromtimestamp(start, UTC), to=until, types=desk.unpacker.types,
        services=sorted(desk.services),
    )  # fmt: skip
    return told(desk.hook.source, data, until)
