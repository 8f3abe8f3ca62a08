"""Web access logs in the combined format of nginx and Apache: page views, requests, and lines that are neither.

A visitor is a salted hash of address and user agent: no personal data leaves the machine.
"""

from __future__ import annotations

import os
import re
import secrets
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from threading import Event
from typing import Any

import msgspec

from connectors.files import open_unpacked
from connectors.following import LONGEST_LINE, Chunk, Place, follow
from connectors.mapping.events import MappedEvent
from connectors.mapping.files import KEPT, BadRow, fingerprint
from connectors.mapping.run import Summary
from connectors.producer import EventProducer
from connectors.spans import CONTROL, told
from pipeline.engine.services import service_id
from pipeline.errors import ConfigError, ServiceUnavailable
from pipeline.events.envelope import OutEvent
from pipeline.events.families import SourcePolled, event_topic

#: maybe the virtual host, then the common or combined format, then what else was logged; no part may match a text in
#: many ways: whoever asks for a page writes most of the line, and a megabyte of dots must not take an hour
_LINE = re.compile(
    r'^(?:\S+ (?=[^\s.:]*[.:]\S* ))?(\S+) (\S+) (?:[^"\\\[\]]+|[^"\\]*(?:\\.[^"\\]*)*) \[([^\]"]{1,40})\] '
    r'"([^"\\]*(?:\\.[^"\\]*)*)" (\d{3}) (\d+|-)'
    r'(?: "([^"\\]*(?:\\.[^"\\]*)*)" "([^"\\]*(?:\\.[^"\\]*)*)"((?: .*)?)|(?: (\d+\.\d+))?)\s*$'
)
#: the request time behind the user agent, seconds: bare, or named as many configurations do
_SECONDS = re.compile(r'(?:^| )(?:(?:rt|request_time)=)?"?(\d+\.\d+)"?(?: |$)')
_TIME = re.compile(r"^(\d{2})/(\w{3})/(\d{4}):(\d{2}):(\d{2}):(\d{2}) ([+-])(\d{2})(\d{2})$")
#: how servers write what would break a line or a quotation: nginx as \\x22, Apache also as \\" and \\n
_ESCAPE = re.compile(rb"\\(?:x([0-9A-Fa-f]{2})|(.))", re.DOTALL)
_NAMED = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}
#: of a target that names the host too, as a request to a proxy does
_HOST = re.compile(r"^https?://[^/?#]*", re.IGNORECASE)
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
_TOPICS = {"page.viewed": event_topic("usage"), "request.measured": event_topic("performance")}
#: no text holds it: in JSON it would be escaped
_HOLE = b"\x00"
#: reason of dead letters
_MALFORMED = "malformed-log-line"


class Hit(msgspec.Struct, frozen=True, gc=False):
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
    address, _, stamp, request, status, _, _, agent, rest, seconds = found.groups()
    if rest and (told := _SECONDS.search(rest)):
        seconds = told.group(1)
    at = _parse_time(stamp)
    if at is None:
        return None
    parts = request.split(" ")
    path, agent = parts[1] if len(parts) > 1 else "", agent or ""
    if "\\" in line:
        path, agent = _unescaped(path), _unescaped(agent)
    if path and path[0] != "/":
        path = _HOST.sub("", path) or "/"
    return Hit(address, agent, at, parts[0], path, int(status), float(seconds) if seconds else None)


def _unescaped(text: str) -> str:
    """Return what the server was sent, of what it wrote: bytes that are no UTF-8 become replacement characters."""
    sent = _ESCAPE.sub(
        lambda found: bytes.fromhex(found[1].decode()) if found[1] else _NAMED.get(found[2], found[2]), text.encode()
    )
    return sent.decode(errors="replace")


@lru_cache(maxsize=4096)  # a busy log writes one second many times
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
        self._known = service_id(service) or service

    @property
    def service(self) -> str:
        """Whose log it is."""
        return self._known

    @property
    def rules(self) -> str:
        """What a log's events depend on besides its lines."""
        return f"{self._service}|{'bots' if self._bots else 'no-bots'}"

    def events(self, hit: Hit, ident: str, source: str) -> Iterator[MappedEvent]:
        """Yield a request, and a page view where it is one."""
        request: dict[str, Any] = {"status": hit.status}
        if hit.seconds is not None:
            request["latency_ms"] = hit.seconds * 1000
        yield self._event("request.measured", hit.at, request, ident + "-r", source, self._service)
        if hit.is_page and (self._bots or not hit.is_bot):
            user = _visitor(hit.address, hit.agent, self._salt)
            page = {"user": user, "path": hit.path.split("?")[0][:256], "status": hit.status}
            yield self._event("page.viewed", hit.at, page, ident + "-p", source, user)

    def _event(self, kind: str, at: datetime, data: dict[str, Any], ident: str, source: str, key: str) -> MappedEvent:
        before, between, after = _frame(kind, at, source, self._service, self._team)
        raw = b"".join((before, _encode(ident), between, _encode(data), after))
        return MappedEvent(_TOPICS[kind], key, raw, kind, at, self._known)


@lru_cache(maxsize=65_536)  # a visitor asks for many things
def _visitor(address: str, agent: str, salt: bytes) -> str:
    return blake2b(f"{address}\x00{agent}".encode(), key=salt, digest_size=12).hexdigest()


@lru_cache(maxsize=4096)  # what all events of one second have in common is written once
def _frame(kind: str, at: datetime, source: str, service: str, team: str | None) -> tuple[bytes, bytes, bytes]:
    """Return what stands in an event before its id, between that and its data, and behind them."""
    event: dict[str, Any] = {
        "specversion": "1.0", "id": msgspec.Raw(_HOLE), "source": source, "type": kind,
        "time": _written(at), "subject": service, "data": msgspec.Raw(_HOLE),
    }  # fmt: skip
    if team:
        event["csfteam"] = team
    before, between, after = _encode(event).split(_HOLE)
    return before, between, after


@lru_cache(maxsize=4096)
def _written(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def map_log(
    path: Path, mapper: LogMapper, on_bad: Callable[[BadRow], None] = lambda _bad: None, summary: Summary | None = None
) -> Iterator[MappedEvent]:
    """Yield the events of a whole log, in bounded memory; ids follow from its content and line.

    Raises:
        ConfigError: there is no such file.
    """
    summary = summary if summary is not None else Summary()
    summary.fingerprint, summary.lines = fingerprint(path)
    ident = summary.fingerprint[:16]
    source = summary.source = f"import/access-log/{mapper.service}"
    summary.rules, summary.types = mapper.rules, ["page.viewed", "request.measured"]
    with open_unpacked(path) as f:
        for number, raw in enumerate(iter(lambda: f.readline(LONGEST_LINE), b""), start=1):
            summary.rows += 1
            hit = parse_line(raw.decode(errors="replace").rstrip("\n"))
            if hit is None:
                summary.bad += 1
                detail = f"line {number} is not of the combined format"
                on_bad(BadRow(number, "", raw[:80].decode(errors="replace"), detail, raw[:KEPT]))
                continue
            for event in mapper.events(hit, f"{ident}-{number}", source):
                summary.count(event)
                yield event


def visitor_salt(data_dir: Path) -> bytes:
    """Return the installation's salt for visitor hashes, made at its first use.

    Raises:
        ConfigError: the data directory cannot be used.
    """
    path = data_dir / "visitor.salt"
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as f:
                f.write(secrets.token_hex(16))
        except FileExistsError:
            pass
        return path.read_text().strip().encode()
    except OSError as e:
        raise ConfigError(f"{path}: cannot be used: {e.strerror}; name another --data-dir") from None


class LogFollower:
    """Sends what a log gains, and says until when it is complete.

    The place in the log (a cursor in Kafka) moves only once the brokers have acknowledged what lies before it; what is
    sent twice has the same ids.

    Args:
        path: the log.
        mapper: makes the events.
        producer: where they go.
        name: whose log file it is: two machines may have logs of one service under one path.
        clock: the wall clock, epoch seconds.
        polled_every_s: how often completeness is told.
        kept_every_s: how often the place is kept, besides at the end.
    """

    def __init__(
        self, path: Path, mapper: LogMapper, producer: EventProducer, name: str,
        clock: Callable[[], float] = time.time, polled_every_s: float = 10.0, kept_every_s: float = 5.0,
    ) -> None:  # fmt: skip
        self._path, self._mapper, self._producer = path, mapper, producer
        self._clock, self._every_s, self._kept_every_s = clock, polled_every_s, kept_every_s
        #: what its events name as their source, and what its cursor is called
        self.source = f"access-log/{mapper.service}/{name}/{path.name}"

    def run(self, place: Place, stop: Event, complain: Callable[[str], None]) -> None:
        """Follow the log from a place until stopped; while the brokers do not answer, it waits and sends again.

        Raises:
            ConfigError: the log cannot be read.
        """
        polled, kept, kept_at = place.polled, place, self._clock()
        for chunk in follow(self._path, place, stop):
            now = self._clock()
            if chunk.gap:
                complain(f"{chunk.gap}: lines behind were not read, and that time is not covered")
                polled = None
            due = chunk.at_end and (polled is None or now - polled >= self._every_s)
            if chunk.lines or due:
                while not self._send(chunk, polled, now if due else None, complain):
                    if stop.wait(2):
                        return
                polled = now if due else polled
                place = msgspec.structs.replace(chunk.place, polled=polled)
            if place != kept and now - kept_at >= self._kept_every_s and self._keep(place, complain):
                kept, kept_at = place, now
        if place != kept:
            self._keep(place, complain)

    def _keep(self, place: Place, complain: Callable[[str], None]) -> bool:
        """Write the place; one that is lost is written again with the next, or what lies behind it is sent again."""
        try:
            self._producer.keep(self.source, msgspec.to_builtins(place))
            self._producer.flush()
        except ServiceUnavailable as e:
            complain(str(e))
            return False
        return True

    def _send(self, chunk: Chunk, polled: float | None, now: float | None, complain: Callable[[str], None]) -> bool:
        """Send a chunk and what was polled with it; return whether the brokers hold it."""
        first = polled
        try:
            for at, raw in chunk.lines:
                hit = parse_line(raw.decode(errors="replace").rstrip("\n"))
                if hit is None:
                    detail = f"{self._path.name}: the line at byte {at} is not of the combined format"
                    self._producer.bury("", _MALFORMED, detail, raw, file=self._path.name, offset=at)
                    continue
                first = hit.at.timestamp() if first is None else first
                # the text belongs to the id: a truncated log has other lines at the same bytes
                ident = f"{chunk.place.inode}-{at}-{blake2b(raw, digest_size=6).hexdigest()}"
                for event in self._mapper.events(hit, ident, self.source):
                    self._producer.add(event.topic, event.key, event.raw, source=self.source)
            if now is not None and first is not None and first < now:
                self._producer.send(CONTROL, self._polled(first, now), key=self.source)
            self._producer.flush()
        except ServiceUnavailable as e:
            complain(f"{e}; trying again")
            return False
        return True

    def _polled(self, first: float, now: float) -> OutEvent:
        until = datetime.fromtimestamp(now, UTC)
        data = SourcePolled(
            source=self.source, from_=datetime.fromtimestamp(first, UTC), to=until,
            types=["page.viewed", "request.measured"], services=[self._mapper.service],
        )  # fmt: skip
        return told(self.source, data, until)
