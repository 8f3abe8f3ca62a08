"""The Monthly Operating Report on the page: built and rendered elsewhere, shared for a moment, shown under a policy of its own.

What builds and renders is given by the composition root (``ReportSource``); here it is asked by one viewer at a time.
"""

from __future__ import annotations

import asyncio
import re
import time
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Protocol

from aiohttp import web

from agents.console.selection import BadParameterError, one_of, parameters_of
from agents.console.web import guarded, json_answer
from pipeline.errors import ConfigError

#: How long a built report is shown before it is built again, seconds; an entry into the register ends it at once.
FRESH_S = 60.0
#: Built reports that are kept; what was asked for longest ago goes first.
_MOST = 12
_TYPES = {
    "html": "text/html", "json": "application/json", "pdf": "application/pdf", "md": "text/markdown", "csv": "text/csv",
}  # fmt: skip
_STYLE = re.compile(rb"<style>(.*?)</style>", re.DOTALL)


@dataclass(frozen=True)
class Built:
    """A report: its data file (JSON), and the page for the console made of it."""

    month: str
    document: bytes
    page: bytes


class ReportSource(Protocol):
    """Builds reports without holding up the event loop.

    Raises:
        ConfigError: month or scope are none that can be reported.
        CsfError: it could not be built; the message says why.
    """

    async def built(self, month: str | None, scope: str) -> Built:
        """Return the report of a month (None: the latest that is over) and a scope, as of now."""

    async def issue(self, number: int) -> Built:
        """Return an issued report, as it was issued."""

    async def rendered(self, document: bytes, form: str) -> bytes:
        """Return a report's data file in another form: ``pdf``, ``md`` or ``csv``."""

    async def issues(self) -> Sequence[dict[str, Any]]:
        """Return what each issued report is, newest first: number, month, scope, revision, when, by whom."""


class Reports:
    """Handlers of reports.

    Args:
        source: builds and renders.
        clock: monotonic seconds.
    """

    def __init__(self, source: ReportSource, clock: Callable[[], float] = time.monotonic) -> None:
        self._source, self._clock = source, clock
        self._held: dict[tuple[str, str], tuple[float, asyncio.Task[Built]]] = {}
        self._turn = asyncio.Lock()

    def routes(self, api: str) -> list[web.RouteDef]:
        """Return the routes below an address."""
        return [web.get(f"{api}/report", guarded(self.report)), web.get(f"{api}/reports", guarded(self.reports))]

    def forget(self) -> None:
        """Build every report anew when it is asked for next."""
        self._held.clear()

    async def report(self, request: web.Request) -> web.StreamResponse:
        """A report in one of its forms."""
        parameters = parameters_of(request, ("month", "scope", "issue", "format"))
        form = one_of("format", parameters.get("format", "json"), _TYPES)
        try:
            found = await self._found(parameters)
            body = await self._in_form(found, form)
        except ConfigError as e:
            raise BadParameterError(str(e)) from None
        headers = {"Cache-Control": "private, no-cache"}
        if form == "html":
            headers |= page_headers(body)
        elif form != "json":
            scope = re.sub(r"[^A-Za-z0-9._-]+", "-", parameters.get("scope", "org"))
            headers["Content-Disposition"] = f'attachment; filename="report-{found.month}-{scope}.{form}"'
        charset = None if form == "pdf" else "utf-8"
        return web.Response(body=body, content_type=_TYPES[form], charset=charset, headers=headers)

    async def reports(self, request: web.Request) -> web.Response:
        """The reports that were issued."""
        parameters_of(request, ())
        return json_answer({"issues": list(await self._source.issues())}, kept=False)

    async def _found(self, parameters: dict[str, str]) -> Built:
        if "issue" not in parameters:
            month, scope = parameters.get("month"), parameters.get("scope", "org")
            return await self._shared(("built", f"{month} {scope}"), lambda: self._source.built(month, scope))
        if {"month", "scope"} & parameters.keys():
            raise BadParameterError("issue and month or scope exclude each other; allowed: one of them")
        number = parameters["issue"]
        if not re.fullmatch(r"[0-9]{1,9}", number):
            raise BadParameterError(f"issue '{number[:80]}' is no number; allowed: those that reports lists")
        return await self._shared(("issue", number), lambda: self._source.issue(int(number)))

    async def _in_form(self, found: Built, form: str) -> bytes:
        if form in {"html", "json"}:
            return found.page if form == "html" else found.document
        async with self._turn:
            return await self._source.rendered(found.document, form)

    async def _shared(self, key: tuple[str, str], build: Callable[[], Any]) -> Built:
        """Return what equal questions share; one report is built at a time, and a viewer that leaves ends nothing."""
        now = self._clock()
        held = self._held.pop(key, None)
        if held is None or held[0] <= now or _failed(held[1]):
            held = (now + FRESH_S, asyncio.ensure_future(self._in_turn(build)))
            held[1].add_done_callback(lambda t: t.cancelled() or t.exception())
        self._held[key] = held
        while len(self._held) > _MOST:
            del self._held[next(iter(self._held))]
        return await asyncio.shield(held[1])

    async def _in_turn(self, build: Callable[[], Any]) -> Built:
        async with self._turn:
            found: Built = await build()
        return found


def _failed(task: asyncio.Task[Built]) -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)


def page_headers(page: bytes) -> dict[str, str]:
    """Return the headers of a report's page: no script at all, its own one style sheet by hash, framed by us alone."""
    style = _STYLE.search(page)
    allowed = f"'sha256-{b64encode(sha256(style[1]).digest()).decode()}'" if style else "'none'"
    return {
        "Content-Security-Policy": (
            f"default-src 'none'; style-src {allowed}; img-src data:; font-src data:; base-uri 'none'; "
            "form-action 'none'; frame-ancestors 'self'"
        ),
        "X-Frame-Options": "SAMEORIGIN",
    }
