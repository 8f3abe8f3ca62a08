"""Routes that order something about alerts: a silence, its end, taking an alert on (``docs/api.md``).

An order goes to alerting's log; what it came to is read from the store, like everything else of alerts.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from uuid import uuid4

import msgspec
from aiohttp import web

from agents.console.changing import Changes
from agents.console.source import Source
from agents.console.web import guarded, json_answer
from pipeline.alerts import orders
from pipeline.alerts.inputs import Order

#: Sends an order to alerting; returns when the brokers have it.
Sender = Callable[[Order], Awaitable[None]]


class Silencing(orders.SilenceDraft, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body that silences."""

    who: str = ""


class Lifting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body that ends a silence."""

    reason: str = ""
    who: str = ""


class TakingOn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body that takes an alert on."""

    rule: str
    scope: str
    who: str = ""


class Orders:
    """Handlers of orders.

    Args:
        source: of alerts and notes.
        send: takes an order to alerting.
        token: whether the server asks for a token: then an order without a name is the token's.
    """

    def __init__(self, source: Source, send: Sender, *, token: bool) -> None:
        self._source, self._send, self._token = source, send, token
        self._changes = Changes()

    def routes(self, api: str) -> list[web.RouteDef]:
        """Return the routes below an address."""
        return [
            web.post(f"{api}/alerts/silences", guarded(self.silence)),
            web.post(f"{api}/alerts/silences/{{silence}}/lift", guarded(self.lift)),
            web.post(f"{api}/alerts/acknowledgements", guarded(self.acknowledge)),
        ]

    async def silence(self, request: web.Request) -> web.Response:
        """Silence alerts for a while."""
        body = await self._changes.body(request, Silencing)
        name = uuid4().hex[:8]
        order = orders.silence(body, self._source.catalogue, self._author(body.who), name=name)
        await self._send(order)
        return json_answer({"silence": name, "until": self._source.calendar.iso(int(order.end))}, 202)

    async def lift(self, request: web.Request) -> web.Response:
        """End a silence before its time."""
        body = await self._changes.body(request, Lifting)
        name = request.match_info["silence"]
        notes = await self._source.alert_notes()
        await self._send(orders.lift(name, notes, self._author(body.who), reason=body.reason))
        return json_answer({"silence": name}, 202)

    async def acknowledge(self, request: web.Request) -> web.Response:
        """Take an alert on."""
        body = await self._changes.body(request, TakingOn)
        changes = await self._source.alerts()
        await self._send(orders.acknowledgement(body.rule, body.scope, changes, self._author(body.who)))
        return json_answer({"rule": body.rule, "scope": body.scope}, 202)

    def _author(self, who: str) -> orders.Author:
        """Return whose an order is and how it came: without a name it is the token's, where there is one."""
        at = self._source.now()
        if self._token:
            return orders.Author(who.strip() or "token", "console with token", at)
        return orders.Author(who, "console", at)
