"""What every answer has: safety headers, errors as one sentence, and the files of the page."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib import resources
from typing import Any

import msgspec
from aiohttp import web

from agents.console.selection import BadParameterError
from pipeline.errors import CsfError, EntryConflict, EntryRefused

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_HEADERS = {
    # everything comes from this server; nothing inline, no frames, no forms
    "Content-Security-Policy": (
        "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # what does not say how long it may be kept is not kept
    "Cache-Control": "no-store",
}
_TYPES = {
    "html": "text/html",
    "css": "text/css",
    "js": "text/javascript",
    "svg": "image/svg+xml",
}


async def add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    """Add the safety headers to an answer that is about to be sent."""
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers["Server"] = "csf-pulse"  # no versions


def json_answer(body: Any, status: int = 200, *, kept: bool = True) -> web.Response:
    """Return a JSON answer; clients may share it for a second, as the server does, unless it is not to be kept."""
    return web.Response(
        body=msgspec.json.encode(body),
        status=status,
        content_type="application/json",
        charset="utf-8",
        headers={"Cache-Control": "private, max-age=1" if status == 200 and kept else "no-store"},
    )


def guarded(handler: Handler) -> Handler:
    """Return a handler whose errors are ``{"error": sentence}``.

    400 a wrong question or entry, 409 somebody else was quicker, 503 a store that is away.
    """

    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except BadParameterError as e:
            return json_answer({"error": str(e)}, 400)
        except EntryRefused as e:
            return json_answer({"error": str(e)}, 400)
        except EntryConflict as e:
            return json_answer({"error": str(e)}, 409)
        except CsfError as e:
            return json_answer({"error": str(e)}, 503)

    return answer


@dataclass(frozen=True)
class Page:
    """One file of the page, held in memory."""

    body: bytes
    kind: str
    etag: str

    def answer(self, request: web.Request) -> web.Response:
        """Return the file, or that the viewer's copy is current."""
        headers = {"Cache-Control": "no-cache", "ETag": f'"{self.etag}"'}
        if any(tag.value == self.etag for tag in request.if_none_match or ()):
            return web.Response(status=304, headers=headers)
        return web.Response(body=self.body, content_type=self.kind, charset="utf-8", headers=headers)


def load_pages() -> dict[str, Page]:
    """Return the files of the page by name."""
    found = {}
    for entry in resources.files("agents.console.static").iterdir():
        kind = _TYPES.get(entry.name.rpartition(".")[2])
        if kind is not None and entry.is_file():
            body = entry.read_bytes()
            found[entry.name] = Page(body, kind, hashlib.sha256(body).hexdigest()[:20])
    return found
