"""What changes something by HTTP: bodies of JSON, small and of a known shape, and few of them from one address."""

from __future__ import annotations

from math import ceil
from typing import TypeVar

import msgspec
from aiohttp import web

from agents.guard import Buckets, client_address
from pipeline.errors import EntryRefused

T = TypeVar("T")

#: Most bytes of a body: a comment or a programme with many actions, in any alphabet.
MOST_BYTES = 64 * 1024
#: Changes a second from one address, and how many at once after a pause; addresses that are remembered.
RATE_S, BURST, ADDRESSES = 0.5, 20.0, 10_000


class Changes:
    """Takes the bodies of requests that change something."""

    def __init__(self) -> None:
        self._buckets = Buckets(RATE_S, BURST, ADDRESSES)

    async def body(self, request: web.Request, shape: type[T]) -> T:
        """Return a request's body.

        Raises:
            HTTPException: 415 no JSON, 411 without a length, 413 too long, 429 too often; each with a sentence.
            EntryRefused: it is not of the shape.
        """
        if request.content_type != "application/json":
            # a form of another site cannot send this type, nor a script of it without being asked first
            raise _refused(web.HTTPUnsupportedMediaType, "send JSON: Content-Type application/json")
        if request.content_length is None:
            raise _refused(web.HTTPLengthRequired, "say how long the body is: Content-Length")
        if request.content_length > MOST_BYTES:
            raise _too_long(request.content_length)
        address = client_address(request.remote)
        wait_s = self._buckets.wait_s(address)
        if wait_s:
            refused = _refused(web.HTTPTooManyRequests, "too many changes from this address; wait a little")
            refused.headers["Retry-After"] = str(max(1, ceil(wait_s)))
            raise refused
        self._buckets.take(address)
        try:
            return msgspec.json.decode(await request.read(), type=shape)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as e:
            raise EntryRefused(f"the body is not as docs/api.md says: {e}") from None


def _refused(kind: type[web.HTTPException], sentence: str) -> web.HTTPException:
    return kind(text=msgspec.json.encode({"error": sentence}).decode(), content_type="application/json")


def _too_long(length: int) -> web.HTTPException:
    sentence = f"the body has {length:,} bytes; at most {MOST_BYTES:,} are taken"
    text = msgspec.json.encode({"error": sentence}).decode()
    return web.HTTPRequestEntityTooLarge(MOST_BYTES, length, text=text, content_type="application/json")
