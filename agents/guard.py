"""What stands in front of every handler of the worker's web server: who may ask, how, and how often.

The layers, outermost first: the Host header (a page elsewhere must not reach a loopback address through a name of
its own), the rate of one address, bodies where none belong, the token, and the origin of what would change something.
``SECURITY.md`` says what each of them answers.
"""

from __future__ import annotations

import hmac
import logging
import re
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from hashlib import sha256
from ipaddress import IPv6Address, ip_address
from math import ceil
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Clock = Callable[[], float]

_log = logging.getLogger(__name__)
COOKIE = "csf_session"
#: What orchestrators ask, without a token and as often as they like.
_OPEN = frozenset({"/healthz", "/readyz"})
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
#: Most bytes of a request's line, of one header, and of a body; most headers.
MAX_LINE, MAX_HEADER, MAX_HEADERS, MAX_BODY = 8_190, 8_190, 64, 2**20
_HOST = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9._-]+))(?::\d{1,5})?", re.ASCII)


@dataclass(frozen=True)
class Rates:
    """How often one address may ask.

    Attributes:
        requests_s, requests_burst: requests a second, and how many at once after a pause.
        failures_s, failures_burst: the same for wrong tokens.
        addresses: how many addresses are remembered; the one that was heard longest ago goes first.
    """

    requests_s: float = 100.0
    requests_burst: float = 500.0
    failures_s: float = 0.2
    failures_burst: float = 10.0
    addresses: int = 10_000


class Buckets:
    """Token buckets by address, bounded in number."""

    def __init__(self, rate_s: float, burst: float, most: int, clock: Clock = time.monotonic) -> None:
        self._rate_s, self._burst, self._most, self._clock = rate_s, burst, most, clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._left)

    def wait_s(self, address: str) -> float:
        """Return how long an address has to wait, 0 where it need not."""
        left = self._refilled(address)
        return 0.0 if left >= 1 else (1 - left) / self._rate_s

    def take(self, address: str) -> None:
        """Count one."""
        self._left[address] = (max(0.0, self._refilled(address) - 1), self._clock())
        self._left.move_to_end(address)
        while len(self._left) > self._most:
            self._left.popitem(last=False)

    def _refilled(self, address: str) -> float:
        known = self._left.get(address)
        if known is None:
            return self._burst
        return min(self._burst, known[0] + (self._clock() - known[1]) * self._rate_s)


def client_address(remote: str | None) -> str:
    """Return what a client is counted by: its address, of IPv6 the /64 that one customer has."""
    try:
        address = ip_address((remote or "").partition("%")[0])
    except ValueError:
        return remote or "unknown"
    if isinstance(address, IPv6Address) and address.ipv4_mapped is None:
        return f"{IPv6Address(int(address) >> 64 << 64)}/64"
    return str(getattr(address, "ipv4_mapped", None) or address)


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches a host's address."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def session_value(token: str) -> str:
    """Return what the cookie holds: it proves the token and is not the token (cookies go to every port of a host)."""
    return hmac.new(token.encode(), b"csf console session", sha256).hexdigest()


def refusal(status: int, sentence: str, **headers: str) -> web.Response:
    """Return an answer that is one sentence."""
    return web.json_response({"error": sentence}, status=status, headers={"Cache-Control": "no-store", **headers})


def guards(
    *, host: str, names: tuple[str, ...] = (), token: str | None = None, rates: Rates | None = None,
    clock: Clock = time.monotonic,
) -> list[Any]:  # fmt: skip
    """Return the middlewares of a server that is bound to ``host``.

    Args:
        host: where it listens.
        names: further names by which it may be asked (behind a proxy); needed only where it listens on loopback.
        token: what clients must present; None: nothing, which only a loopback address may have.
        rates: how often one address may ask.
        clock: seconds, for the rates.
    """
    limits = rates or Rates()
    layers = [errors]
    if is_loopback(host):
        layers.append(_host_guard(frozenset({host.lower(), *(n.lower() for n in names)})))
    layers += [_rate_guard(Buckets(limits.requests_s, limits.requests_burst, limits.addresses, clock)), _no_body]
    if token:
        failures = Buckets(limits.failures_s, limits.failures_burst, limits.addresses, clock)
        layers.append(_token_guard(token, failures))
    layers.append(_origin_guard(token))
    return layers


def outside_guards(*, requests_s: float, behind_proxy: bool = False, clock: Clock = time.monotonic) -> list[Any]:
    """Return the middlewares of a server that strangers may ask, each of whose requests proves itself.

    Args:
        requests_s: how many requests one address may make a second; ten times as many at once after a pause.
        behind_proxy: the last address of X-Forwarded-For counts, which the proxy set.
        clock: seconds, for the rates.
    """
    buckets = Buckets(requests_s, 10 * requests_s, Rates().addresses, clock)
    return [errors, _rate_guard(buckets, forwarded_address if behind_proxy else _remote_address)]


def forwarded_address(request: web.Request) -> str:
    """Return the client's address as the proxy in front wrote it; the proxy's own where it wrote none."""
    return request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip() or _remote_address(request)


def _remote_address(request: web.Request) -> str:
    return request.remote or ""


@web.middleware
async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer a fault of ours with one sentence; what it was stands in the log only."""
    try:
        return await handler(request)
    except (web.HTTPException, ConnectionError):
        raise
    except Exception:
        _log.exception("a request for %r failed", _place(request))
        return refusal(500, "a fault of the server; its log says more")


def _place(request: web.Request) -> str:
    """Return what was asked for, by its route where it has one: a part of an address may be a secret."""
    resource = request.match_info.route.resource
    return (resource.canonical if resource is not None else request.path)[:200]


def host_name(header: str) -> str | None:
    """Return the name or address of a Host header without its port, None where it is none."""
    found = _HOST.fullmatch(header)
    return (found["six"] or found["name"]).lower() if found else None


def _host_guard(names: frozenset[str]) -> Any:
    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        name = host_name(request.headers.get("Host", ""))
        if name is None or not (name in names or is_loopback(name)):
            return refusal(421, "this address is not asked by that name: use 127.0.0.1, or add the name to http_names")
        return await handler(request)

    return guard


def _rate_guard(buckets: Buckets, address_of: Callable[[web.Request], str] = _remote_address) -> Any:
    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path in _OPEN:
            return await handler(request)
        address = client_address(address_of(request))
        wait_s = buckets.wait_s(address)
        if wait_s:
            return refusal(429, "too many requests from this address; ask less often", **_retry(wait_s))
        buckets.take(address)
        return await handler(request)

    return guard


def _retry(wait_s: float) -> dict[str, str]:
    return {"Retry-After": str(max(1, ceil(wait_s)))}


@web.middleware
async def _no_body(request: web.Request, handler: Handler) -> web.StreamResponse:
    if request.method in _SAFE_METHODS and request.can_read_body:
        answer = refusal(413, "a question has no body")
        answer.force_close()
        return answer
    return await handler(request)


def _token_guard(token: str, failures: Buckets) -> Any:
    session = session_value(token)

    def right(given: str, wanted: str) -> bool:
        return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), wanted.encode())

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path in _OPEN:
            return await handler(request)
        query, cookie, bearer = request.query.get("token"), request.cookies.get(COOKIE), bearer_of(request)
        if query is None and cookie is None and bearer is None:
            return _unknown()
        address = client_address(request.remote)
        wait_s = failures.wait_s(address)
        if wait_s:  # not even compared: guessing gets no answer
            return refusal(429, "too many wrong tokens from this address; wait", **_retry(wait_s))
        if query is not None and right(query, token):
            return _remember(request, session)
        if (bearer is not None and right(bearer, token)) or (cookie is not None and right(cookie, session)):
            return await handler(request)
        failures.take(address)
        return _unknown()

    return guard


def bearer_of(request: web.Request) -> str | None:
    """Return the bearer token of a request."""
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    return given.strip() if scheme.lower() == "bearer" else None


def _unknown() -> web.Response:
    answer = refusal(401, "present the token of this worker: add ?token=... once", **{"WWW-Authenticate": "Bearer"})
    answer.del_cookie(COOKIE)  # a page with an old one must not use up its address's tries
    return answer


def _remember(request: web.Request, session: str) -> web.Response:
    """Send a browser to the same address without the token, which so stays out of its history and its links."""
    query = request.rel_url.without_query_params("token").raw_query_string
    # one slash only: "//elsewhere/" would be another server
    path = "/" + request.rel_url.raw_path.lstrip("/\\")
    answer = web.Response(status=302, headers={"Location": f"{path}?{query}" if query else path})
    answer.headers["Cache-Control"] = "no-store"
    secure = request.secure or request.headers.get("X-Forwarded-Proto", "").lower() == "https"
    answer.set_cookie(COOKIE, session, httponly=True, samesite="Strict", secure=secure, path="/")
    return answer


def _origin_guard(token: str | None) -> Any:
    """Return what keeps other sites from changing anything through a viewer's browser.

    A browser says where a request comes from (Sec-Fetch-Site, Origin); a program presents the token as bearer,
    which no browser adds by itself.
    """

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.method in _SAFE_METHODS or (token is not None and bearer_of(request) is not None):
            return await handler(request)  # a bearer token that was wrong has been refused before
        site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
        same = site == "same-origin" if site is not None else _same_origin(origin, request.headers.get("Host", ""))
        if not same:
            return refusal(403, "this comes from another site, or does not say from where: present the token as bearer")
        return await handler(request)

    return guard


def _same_origin(origin: str | None, host: str) -> bool:
    try:
        return origin is not None and host != "" and urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:
        return False


def one_line_protocol_errors(record: logging.LogRecord) -> bool:
    """Log what is no HTTP as one line: whoever sends it must not fill the log with stack traces."""
    error = record.exc_info[1] if record.exc_info else None
    if error is not None and type(error).__module__.startswith("aiohttp.http"):
        record.exc_info = None
        record.msg, record.args = "%s (%s)", (record.getMessage(), type(error).__name__)
    return True
