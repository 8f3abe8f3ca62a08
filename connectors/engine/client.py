"""One source's HTTP: signed, retried, bounded in time and size, and never telling a secret."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx2
import stamina

from connectors.engine import retry
from connectors.engine.bodies import decoded
from connectors.engine.declaration import RateLimit, RefusedBy
from connectors.engine.secrets import Secrets
from connectors.engine.stats import Stats
from connectors.mapping.fields import field_at
from pipeline.errors import ServiceUnavailable, SourceGone, SourceRefused

#: A larger answer is refused, bytes: memory stays bounded whatever a source sends.
LARGEST_ANSWER = 64 * 2**20
_ATTEMPTS = 6
_SHOWN = 200
_GONE = frozenset({404, 410})
_AGENT = "csf-pulse"
_CALLED = {"json": "JSON", "ndjson": "JSON by lines", "csv": "CSV", "xml": "XML", "metrics": "Prometheus text"}


@dataclass(frozen=True)
class Call:
    """One request, ready to be sent."""

    url: str
    method: str = "GET"
    query: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    body: dict[str, Any] | None = None
    form: dict[str, str] | None = None
    answers: str = "json"


@dataclass(frozen=True)
class Answer:
    """What a source answered: the body as objects, headers, and the address that was asked."""

    body: Any
    headers: httpx2.Headers
    url: str


class CutOff(Exception):
    """The answer is cut off by a limit of the source; ``left`` is how many records are known to be missing."""

    def __init__(self, left: int = 1) -> None:
        super().__init__(f"{left} records or more are missing")
        self.left = left


@dataclass(frozen=True)
class Manners:
    """How a source wants to be treated, and how long it is waited for."""

    rate_limit: RateLimit | None = None
    refused_as_limit: list[str] = field(default_factory=list)
    refused_by: RefusedBy | None = None
    timeout_s: float = 30.0
    attempts: int = _ATTEMPTS


class Client:
    """Asks one source.

    Args:
        base: the address that all requests stay at.
        auth: signs requests.
        manners: rate limits and patience.
        secrets: what no message may hold.
        stats: counts requests and waits.
        pause: waits so many seconds, or raises where the connector is to stop.
        ca_file: certificates of a private authority.
    """

    def __init__(
        self, base: str, auth: httpx2.Auth | None, manners: Manners, secrets: Secrets, stats: Stats,
        pause: Callable[[float], None], ca_file: str | None = None,
    ) -> None:  # fmt: skip
        self._base, self._manners, self._secrets, self._stats, self._pause = base, manners, secrets, stats, pause
        timeout = httpx2.Timeout(manners.timeout_s)
        self._http = httpx2.Client(auth=auth, timeout=timeout, verify=_trust(ca_file), headers={"User-Agent": _AGENT})

    def close(self) -> None:
        """Release the connections."""
        self._http.close()

    def rest(self, seconds: float) -> None:
        """Wait so long, or until the connector is to stop."""
        self._pause(seconds)

    def address(self, path: str) -> str:
        """Return a path below the base as an address.

        Raises:
            SourceRefused: it leads to another machine, where credentials have no business.
        """
        url = path if "://" in path else self._base.rstrip("/") + "/" + path.lstrip("/")
        if urlsplit(url)[:2] != urlsplit(self._base)[:2]:
            raise SourceRefused(
                f"{self._base}: names {urlsplit(url).netloc} for the next page; it is not followed there"
            )
        return url

    def ask(self, call: Call, cut_off: Callable[[int, str], bool] = lambda _status, _text: False) -> Answer:
        """Return the answer to a request, asked again where that may help.

        Args:
            call: the request.
            cut_off: says whether a refusal (status, text) means that there is too much to give.

        Raises:
            ServiceUnavailable: the source does not answer, again and again.
            SourceRefused: it refuses; the message names the address, the status and its reason.
            CutOff: as ``cut_off`` says.
        """
        for attempt in stamina.retry_context(
            on=self._again, attempts=self._manners.attempts, timeout=None, wait_initial=0.5, wait_max=5.0
        ):
            with attempt:
                return self._once(call, cut_off)
        raise AssertionError  # pragma: no cover - the loop returns or raises

    def _again(self, why: Exception) -> bool | float:
        """Return whether to ask again; waits that the source asked for are made here, where a stop can end them."""
        if not isinstance(why, ServiceUnavailable):
            return False
        if why.retry_after_s is None:
            return True
        self._stats.waited(why.retry_after_s)
        self._pause(why.retry_after_s)
        return 0.0

    def _once(self, call: Call, cut_off: Callable[[int, str], bool]) -> Answer:
        where = _told(call.url)
        started = time.monotonic()
        try:
            with self._http.stream(
                call.method, call.url, params=call.query or None, headers=call.headers, json=call.body, data=call.form
            ) as answer:
                raw = self._whole(answer, where, started)
        except httpx2.TransportError as e:
            self._stats.request("failed")
            reason = self._secrets.hidden(str(e)) or type(e).__name__
            raise ServiceUnavailable(f"{_failed(e) or where}: does not answer: {reason}") from None
        except httpx2.InvalidURL as e:
            raise SourceRefused(f"{where}: is no address: {e}") from None
        self._stats.request(str(answer.status_code))
        text = raw[:4096].decode(errors="replace")
        if not answer.is_success:
            if cut_off(answer.status_code, text):
                raise CutOff
            raise self._refusal(where, answer, text)
        self._rest(answer)
        try:
            body = decoded(raw, call.answers)
        except (ValueError, RecursionError) as e:
            said = f"{where}: answers with what is no {_CALLED[call.answers]} ({e}): {self._shown(text)}"
            raise ServiceUnavailable(said) from None
        self._refused_within(body, where, answer.status_code)
        return Answer(body, answer.headers, str(answer.url))

    def _refused_within(self, body: Any, where: str, status: int) -> None:
        """Raise where a body is a refusal, whatever its status says."""
        by = self._manners.refused_by
        if by is not None and isinstance(body, dict) and str(field_at(body, by.column)) in by.among:
            raise SourceRefused(f"{where}: answers {status} as a refusal: {self._shown(str(field_at(body, by.says)))}")

    def _whole(self, answer: httpx2.Response, where: str, started: float) -> bytes:
        """Return the body, read within the time-out as a whole: a source that drips does not answer."""
        parts: list[bytes] = []
        size = 0
        for part in answer.iter_bytes():
            size += len(part)
            parts.append(part)
            if size > LARGEST_ANSWER:
                raise SourceRefused(
                    f"{where}: answers with more than {LARGEST_ANSWER >> 20} MiB; ask for smaller pages"
                )
            if time.monotonic() - started > 4 * self._manners.timeout_s:
                raise httpx2.ReadTimeout(f"not whole after {4 * self._manners.timeout_s:g} s")
        return b"".join(parts)

    def _rest(self, answer: httpx2.Response) -> None:
        """Wait where an answer used up the last request of a rate limit."""
        limit = self._manners.rate_limit
        if limit is None or answer.headers.get(limit.remaining) != "0":
            return
        wait = retry.wait_s(answer.status_code, answer.headers, limit, datetime.now(UTC))
        if wait:
            self._stats.waited(wait)
            self._pause(wait)

    def _refusal(self, where: str, answer: httpx2.Response, text: str) -> Exception:
        status, manners = answer.status_code, self._manners
        said = f"{where}: answers {status}{': ' + self._shown(text) if text.strip() else ''}"
        if retry.transient(status, answer.headers, text, manners.rate_limit, manners.refused_as_limit):
            wait = retry.wait_s(status, answer.headers, manners.rate_limit, datetime.now(UTC))
            return ServiceUnavailable(said, wait)
        if 300 <= status < 400:
            to = _told(urljoin(str(answer.url), answer.headers.get("location", "")))
            return SourceRefused(f"{where}: sends us on to {to}; name that address in the options")
        hints = {401: "check the credentials", 403: "the credentials lack a right", 404: "check address and options"}
        hint = hints.get(status)
        kind = SourceGone if status in _GONE else SourceRefused
        return kind(f"{said}; {hint}" if hint else said)

    def _shown(self, text: str) -> str:
        """Return the beginning of an answer, on one line and without secrets."""
        return self._secrets.hidden(" ".join(text.split()))[:_SHOWN]


def _failed(why: httpx2.TransportError) -> str:
    """Return the address of the request that failed, which may be one for a token; "" where it is not known."""
    try:
        return _told(str(why.request.url))
    except RuntimeError:
        return ""


@cache
def _trust(ca_file: str | None) -> ssl.SSLContext:
    """Return the certificates that are trusted; to read them takes longer than many a request."""
    return ssl.create_default_context(cafile=ca_file) if ca_file else httpx2.create_ssl_context()


def _told(url: str) -> str:
    """Return an address without what may be secret in it: user, query."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
