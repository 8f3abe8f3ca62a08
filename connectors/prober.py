"""The prober: checks URLs and ports on a schedule, and says what it found."""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit
from uuid import uuid4

import httpx2
import msgspec

from connectors.spans import told
from pipeline.catalogue.reading import read_yaml
from pipeline.errors import ConfigError
from pipeline.events.envelope import OutEvent
from pipeline.events.families import SourcePolled, UptimeChecked
from pipeline.wording import plainly

SOURCE = "prober"
_LONGEST_S = 86_400.0


class Probe(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One thing to check.

    Attributes:
        url: ``http(s)://...`` or ``tcp://host:port``.
        service: whose it is.
        name: the check's name; default: the URL.
        interval: seconds between checks.
        timeout: seconds after which it is down.
        expect: HTTP statuses that mean up; default: 200 to 399.
        verify: whether the certificate must be right.
    """

    url: str
    service: str
    name: str = ""
    interval: float = 30.0
    timeout: float = 10.0
    expect: list[int] | None = None
    verify: bool = True

    @property
    def address(self) -> str:
        """The URL as it is told: a password in it is for the server it names only."""
        return re.sub(r"(?<=://)[^/?#]*@", "", self.url)

    @property
    def check(self) -> str:
        """The check's name as events tell it."""
        return self.name or self.address


def load_probes(path: Path) -> list[Probe]:
    """Return the probes of a YAML list.

    Raises:
        ConfigError: naming the file, the entry and what is wrong.
    """
    document = read_yaml(path)
    try:
        probes = msgspec.convert(document, list[Probe])
    except msgspec.ValidationError as e:
        raise ConfigError(f"{path}: {_sentence(e)}") from None
    for i, probe in enumerate(probes):
        parts = _parts(probe.url)
        if parts is None or (
            parts.scheme not in {"http", "https", "tcp"}
            or not parts.hostname
            or (parts.scheme == "tcp" and not _port(parts))
        ):
            raise ConfigError(
                f"{path}: entry {i + 1}: url '{probe.address}' is none of http://..., https://..., tcp://host:port"
            )
        if not (0 < probe.interval <= _LONGEST_S and 0 < probe.timeout <= _LONGEST_S):
            raise ConfigError(
                f"{path}: entry {i + 1}: interval and timeout must be greater than 0 and at most a day, in seconds"
            )
    checks = [(p.service, p.check) for p in probes]
    for i, each in enumerate(checks):
        if each in checks[:i]:
            raise ConfigError(f"{path}: entry {i + 1}: service {each[0]} has the check '{each[1]}' twice; name one")
    if not probes:
        raise ConfigError(f"{path}: names nothing to check")
    return probes


def _parts(url: str) -> SplitResult | None:
    try:
        return urlsplit(url)
    except ValueError:
        return None


def _port(parts: SplitResult) -> int | None:
    try:
        return parts.port
    except ValueError:
        return None


def _sentence(error: msgspec.ValidationError) -> str:
    what, _, where = str(error).partition(" - at `$")
    at = where.rstrip("`").lstrip(".")
    allowed = ", ".join(f.name for f in msgspec.structs.fields(Probe))
    hint = f"; allowed: {allowed}" if "unknown field" in what else ""
    return f"{at + ': ' if at else ''}{plainly(what)}{hint}"


async def check(probe: Probe, client: httpx2.AsyncClient) -> tuple[bool, float]:
    """Return whether a probe is up, and after how many milliseconds that was known."""
    started = time.perf_counter()
    up = False
    # the whole check has the timeout, not each of its reads: a server that drips bytes is down
    with suppress(TimeoutError, OSError, httpx2.HTTPError, httpx2.InvalidURL, ssl.SSLError, UnicodeError):
        async with asyncio.timeout(probe.timeout):
            up = await (_connects(probe) if probe.url.startswith("tcp://") else _answers(probe, client))
    return up, (time.perf_counter() - started) * 1000


async def _connects(probe: Probe) -> bool:
    parts = urlsplit(probe.url)
    _, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.close()
    return True


async def _answers(probe: Probe, client: httpx2.AsyncClient) -> bool:
    """Ask for the page, and judge by its status; the body is not read."""
    async with client.stream("GET", probe.url, timeout=probe.timeout) as answer:
        return answer.status_code in probe.expect if probe.expect else 200 <= answer.status_code < 400


async def run(probes: list[Probe], tell: Callable[[str, OutEvent], None], stop: asyncio.Event) -> None:
    """Check every probe on its own schedule until stopped.

    Args:
        probes: what to check.
        tell: called with (partition key, event) for every check, and for what was polled.
        stop: set to end.
    """
    verified = httpx2.AsyncClient(follow_redirects=False)
    unverified = httpx2.AsyncClient(follow_redirects=False, verify=False)
    async with verified, unverified:
        tasks = [asyncio.create_task(_watch(p, verified if p.verify else unverified, tell)) for p in probes]
        waiter = asyncio.create_task(stop.wait())
        done, _ = await asyncio.wait([waiter, *tasks], return_when=asyncio.FIRST_COMPLETED)
        for task in (waiter, *tasks):
            task.cancel()
        await asyncio.gather(waiter, *tasks, return_exceptions=True)
        for task in done - {waiter}:
            task.result()


async def _watch(probe: Probe, client: httpx2.AsyncClient, tell: Callable[[str, OutEvent], None]) -> None:
    loop = asyncio.get_running_loop()
    name = probe.check
    due = loop.time()
    before: datetime | None = None
    while True:
        at = datetime.now(UTC)
        up, latency = await check(probe, client)
        data = UptimeChecked(up=up, check=name[:256], latency_ms=latency, interval_s=probe.interval)
        tell(f"{probe.service}|{name}", _event("uptime.checked", at, probe.service, data))
        if before is not None and (at - before).total_seconds() < 2.5 * probe.interval:
            polled = SourcePolled(
                source=f"{SOURCE}/{name}", from_=before, to=at, types=["uptime.checked"], services=[probe.service]
            )
            tell(polled.source, told(SOURCE, polled, at))
        before = at
        due += probe.interval
        # a check that took longer than its interval skips turns instead of hurrying after them
        while due < loop.time():
            due += probe.interval
        await asyncio.sleep(due - loop.time())


def _event(kind: str, at: datetime, subject: str, data: Any) -> OutEvent:
    return OutEvent(id=uuid4().hex, source=SOURCE, type=kind, time=at, subject=subject, data=data)
