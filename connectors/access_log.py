"""Web access logs in the combined format of nginx and Apache: page views, requests, and lines that are neither.

A visitor is a salted hash of address and user agent: no personal data leaves the machine.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from hashlib import blake2b
from pathlib import Path
from threading import Event
from typing import IO, Any

import msgspec

from connectors.files import open_unpacked
from connectors.mapping.files import BadRow, fingerprint
from connectors.mapping.run import MappedEvent, Summary
from pipeline.errors import ConfigError
from pipeline.events.families import event_topic

_LINE = re.compile(
    r'^(\S+) (\S+) (\S+) \[([^\]]+)\] "((?:[^"\\]|\\.)*)" (\d{3}) (\S+)'
    r'(?: "((?:[^"\\]|\\.)*)" "((?:[^"\\]|\\.)*)")?(?: (\d+\.\d+))?\s*$'
)
_TIME = re.compile(r"^(\d{2})/(\w{3})/(\d{4}):(\d{2}):(\d{2}):(\d{2}) ([+-])(\d{2})(\d{2})$")
#: not %b, which follows the machine's language
_MONTHS = {
    m: i
    for i, m in enumerate(["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"], start=1)
}
_PAGES = frozenset({"html", "htm", "xhtml", "php"})
_BOTS = re.compile(
    r"bot|crawl|spider|slurp|feed|rss|python|curl|wget|libwww|java/|ruby|go 1\.1 package|monitor", re.IGNORECASE
)
_encode = msgspec.json.Encoder().encode
_IDLE_S = 0.5


@dataclass(frozen=True)
class Hit:
    """One request of a log."""

    address: str
    agent: str
    at: datetime
    method: str
    path: str
    status: int
    seconds: float | None

    @property
    def is_page(self) -> bool:
        """Whether it counts as a page view: a successful GET of something that is no asset."""
        if self.method != "GET" or self.status not in {200, 304}:
            return False
        last = self.path.split("?")[0].rsplit("/", 1)[-1]
        return "." not in last or last.rsplit(".", 1)[-1].lower() in _PAGES

    @property
    def is_bot(self) -> bool:
        """Whether the user agent names itself a machine."""
        return self.agent in {"", "-"} or bool(_BOTS.search(self.agent))


def parse_line(line: str) -> Hit | None:
    """Return the request of a line, None where it is not of the combined (or common) format."""
    found = _LINE.match(line)
    if found is None:
        return None
    address, _, _, stamp, request, status, _, _, agent, seconds = found.groups()
    at = _parse_time(stamp)
    if at is None:
        return None
    parts = request.split(" ")
    path = parts[1] if len(parts) > 1 else ""
    return Hit(address, agent or "", at, parts[0], path, int(status), float(seconds) if seconds else None)


def _parse_time(stamp: str) -> datetime | None:
    found = _TIME.match(stamp)
    if found is None:
        return None
    day, month, year, hour, minute, second, sign, zone_h, zone_m = found.groups()
    offset = timedelta(hours=int(zone_h), minutes=int(zone_m)) * (-1 if sign == "-" else 1)
    try:
        zone = timezone(offset)
        return datetime(
            int(year), _MONTHS[month], int(day), int(hour), int(minute), min(int(second), 59), tzinfo=zone
        ).astimezone(UTC)
    except (KeyError, ValueError, OverflowError):
        return None


class LogMapper:
    """Turns hits into events of one service.

    Args:
        service: whose log it is.
        team: registers the service where the catalogue does not name it.
        salt: makes visitor hashes this installation's own.
        bots: whether requests of machines count as page views too.
    """

    def __init__(self, service: str, team: str | None, salt: bytes, *, bots: bool = True) -> None:
        self._service, self._team, self._salt, self._bots = service, team, salt, bots

    def events(self, hit: Hit, ident: str, source: str) -> Iterator[MappedEvent]:
        """Yield a request, and a page view where it is one."""
        request: dict[str, Any] = {"status": hit.status}
        if hit.seconds is not None:
            request["latency_ms"] = hit.seconds * 1000
        yield self._event("request.measured", hit.at, request, ident + "-r", source, self._service)
        if hit.is_page and (self._bots or not hit.is_bot):
            text = f"{hit.address}\x00{hit.agent}".encode()
            user = blake2b(text, key=self._salt, digest_size=12).hexdigest()
            page = {"user": user, "path": hit.path.split("?")[0][:256], "status": hit.status}
            yield self._event("page.viewed", hit.at, page, ident + "-p", source, user)

    def _event(self, kind: str, at: datetime, data: dict[str, Any], ident: str, source: str, key: str) -> MappedEvent:
        event: dict[str, Any] = {
            "specversion": "1.0", "id": ident, "source": source, "type": kind,
            "time": at.strftime("%Y-%m-%dT%H:%M:%SZ"), "subject": self._service, "data": data,
        }  # fmt: skip
        if self._team:
            event["csfteam"] = self._team
        topic = event_topic("usage" if kind == "page.viewed" else "performance")
        return MappedEvent(topic, key, _encode(event), kind, at, self._service)


def map_log(
    path: Path, mapper: LogMapper, on_bad: Callable[[BadRow], None] = lambda _bad: None, summary: Summary | None = None
) -> Iterator[MappedEvent]:
    """Yield the events of a whole log, in bounded memory; ids follow from its content and line.

    Raises:
        ConfigError: there is no such file.
    """
    summary = summary if summary is not None else Summary()
    if not path.is_file():
        raise ConfigError(f"{path}: there is no such file")
    summary.fingerprint = fingerprint(path)
    ident, source = summary.fingerprint[:16], f"access-log/{path.name}"
    with open_unpacked(path) as f:
        for number, raw in enumerate(f, start=1):
            summary.rows += 1
            hit = parse_line(raw.decode(errors="replace").rstrip("\n"))
            if hit is None:
                summary.bad += 1
                on_bad(
                    BadRow(
                        number,
                        "",
                        raw[:80].decode(errors="replace"),
                        f"malformed-log-line: line {number} is not of the combined format",
                        raw[:65_536],
                    )
                )
                continue
            for event in mapper.events(hit, f"{ident}-{number}", source):
                summary.count(event)
                yield event


@dataclass
class Place:
    """Where following stands: the file's identity and the bytes read of it."""

    inode: int = 0
    offset: int = 0


def follow(path: Path, place: Place, stop: Event) -> Iterator[tuple[list[tuple[int, bytes]], Place]]:
    """Yield (lines with the offset each began at, place behind them) as a log grows, until stopped.

    A rotated file is read to its end before the new one is begun; a truncated one is read from its start; a line without
    its end is left until it has one.

    Raises:
        ConfigError: the log cannot be read.
    """
    file: IO[bytes] | None = None
    try:
        while not stop.is_set():
            if file is None:
                file = _reopen(path, place)
                if file is None:
                    stop.wait(_IDLE_S)
                    continue
            lines: list[tuple[int, bytes]] = []
            while len(lines) < 5000:
                at = file.tell()
                line = file.readline()
                if not line.endswith(b"\n"):
                    file.seek(at)
                    break
                lines.append((at, line))
            if lines:
                yield lines, Place(place.inode, file.tell())
                place.offset = file.tell()
                continue
            if _rotated(path, place, file):
                file.close()
                file = None
            stop.wait(_IDLE_S)
    finally:
        if file is not None:
            file.close()


def _reopen(path: Path, place: Place) -> IO[bytes] | None:
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return None
    except OSError as e:
        raise ConfigError(f"{path}: cannot be read: {e.strerror}") from None
    status = os.fstat(file.fileno())
    if status.st_ino != place.inode or status.st_size < place.offset:
        place.inode, place.offset = status.st_ino, 0
    file.seek(place.offset)
    return file


def _rotated(path: Path, place: Place, file: IO[bytes]) -> bool:
    try:
        status = path.stat()
    except FileNotFoundError:
        return False
    return status.st_ino != place.inode or status.st_size < file.tell()


def now() -> datetime:
    """Return the wall clock."""
    return datetime.fromtimestamp(time.time(), UTC)
