"""The configuration of connectors: one YAML list, secrets named and not written."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import httpx2
import msgspec

from connectors.engine.auth import NO_SECRETS, needed, way_in
from connectors.engine.declaration import Declaration, Option, Snapshot, Stream
from connectors.engine.declared_auth import Auth
from connectors.engine.load import Shape, check_zone, load_declaration, mapping_of, shape_of
from connectors.engine.peer import Peer
from connectors.engine.reading import converted, suggestion
from connectors.engine.secrets import Secrets, read_secret
from connectors.engine.stats import Stats
from connectors.engine.texts import with_options
from connectors.mapping.model import Mapping as RecordMapping
from pipeline.catalogue.reading import read_yaml, unique
from pipeline.errors import ConfigError

Options = dict[str, str | list[str]]


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One connector of an organisation.

    Attributes:
        name: how it is called; with the connector's name it is the source of its events, so it stays.
        connector: a shipped one, or the path of a declaration.
        options: what the declaration asks for.
        auth: ``use`` names the way in where there are several; secrets as ``{env: NAME}`` or ``{file: PATH}``.
        services: vendor's id → service.
        other_service: the service of what ``services`` does not name; without it the vendor's id is sent.
        team: registers services that the catalogue does not name.
        streams: which; default: all but those that are read on request only.
        values: stream → field → further values of its map.
        since: where the first read begins; default: a day before the first start.
        poll_s: seconds between polls; default: the connector's.
        timeout_s: seconds that an answer may take.
        ca_file: certificates of a private authority.
        startup: what a source that cannot be read at the start means: ``fail``: end; ``retry``: go on trying;
            ``ignore``: say so and leave the stream out.
    """

    name: str
    connector: str
    options: dict[str, str | int | float | list[str]] = {}
    auth: dict[str, Any] = {}
    services: dict[str, str] = {}
    other_service: str | None = None
    team: str | None = None
    streams: list[str] = []
    values: dict[str, dict[str, dict[str, Any]]] = {}
    since: Any = None
    poll_s: float | None = None
    timeout_s: float = 30.0
    ca_file: str | None = None
    startup: Literal["fail", "retry", "ignore"] = "retry"


@dataclass(frozen=True)
class Reading:
    """One stream of one connector, for one value of what it is read for each of.

    Attributes:
        name: the stream's, with the values of ``each``.
        stream: its declaration, options filled in.
        mapping: from record to events.
        given: variables of requests: the values of ``each``.
        shape: the connector's own code, where it has some.
    """

    name: str
    stream: Stream
    mapping: RecordMapping
    given: dict[str, str]
    shape: Shape | None = None


@dataclass(frozen=True)
class Connector:
    """A declaration and its configuration, ready to run."""

    entry: Entry
    declaration: Declaration
    base: str
    auth: httpx2.Auth | None
    secrets: Secrets
    readings: tuple[Reading, ...]
    since: datetime | None
    #: what is asked in place of HTTP
    opens: Callable[[Stats], Peer] | None = None
    #: the time, as the source has it where it is asked for
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    @property
    def source(self) -> str:
        """What its events name as their source."""
        return f"{self.declaration.name}/{self.entry.name}"


def load_entries(path: Path) -> list[Entry]:
    """Return the connectors that a file configures.

    Raises:
        ConfigError: naming file, entry and key.
    """
    document = read_yaml(path)
    if not isinstance(document, list) or not document:
        raise ConfigError(f"{path}: must be a list of connectors, each with name and connector")
    entries = [converted(each, Entry, f"{path}: entry {i}") for i, each in enumerate(document, 1)]
    unique((e.name for e in entries), str(path), "connector")
    return entries


def find_entry(path: Path, name: str) -> Entry:
    """Return one of the connectors that a file configures.

    Raises:
        ConfigError: there is none of that name.
    """
    entries = {e.name: e for e in load_entries(path)}
    if name not in entries:
        close = difflib.get_close_matches(name, entries, 1)
        hint = f"; did you mean '{close[0]}'?" if close else ""
        raise ConfigError(f"{path}: has no connector '{name}'{hint}; it has: {', '.join(entries)}")
    return entries[name]


def prepare(entry: Entry, path: Path) -> Connector:
    """Return a connector ready to run.

    Args:
        entry: its configuration.
        path: the file of it, for messages and relative paths.

    Raises:
        ConfigError: an option, a secret or a stream is wrong.
    """
    where = f"{path}: {entry.name}"
    if not entry.name or "/" in entry.name:
        raise ConfigError(f"{where}: name: must be a word without '/'")
    declaration = load_declaration(entry.connector, path.parent)
    options = options_of(entry.options, declaration.options, where)
    options |= {"poll_s": f"{entry.poll_s or declaration.poll_s:g}"}
    secrets = Secrets([])
    auth = _auth(entry, declaration, options, secrets, where)
    return Connector(
        entry, declaration, _base(declaration, options, where), auth, secrets, tuple(readings_of(entry, declaration, options, where, path.parent)),
        since_of(entry.since, where),
    )  # fmt: skip


def options_of(said: Mapping[str, Any], declared: Mapping[str, Option], where: str) -> Options:
    """Return the options of a configuration, defaults filled in.

    Raises:
        ConfigError: one is missing, is none that is declared, or is a list where it must be one value.
    """
    for name in said:
        if name not in declared:
            raise ConfigError(f"{where}: options: there is no option '{name}'{suggestion(name, declared)}")
    found: Options = {}
    for name, option in declared.items():
        value = said.get(name, option.default)
        if value is None or value in ("", []):
            example = f", for example {option.example}" if option.example else ""
            raise ConfigError(f"{where}: options.{name} is missing: {option.what}{example}")
        if isinstance(value, list) != option.many:
            raise ConfigError(
                f"{where}: options.{name} must be {'a list' if option.many else 'one value'}: {option.what}"
            )
        found[name] = value if isinstance(value, list) else f"{value}"
    return found


def _base(declaration: Declaration, options: Options, where: str) -> str:
    base = str(with_options(declaration.base, options, where))
    if not base.startswith(("https://", "http://")):
        raise ConfigError(f"{where}: '{base}' is no address; it begins with https:// or http://")
    return base


def _auth(entry: Entry, declaration: Declaration, options: Options, secrets: Secrets, where: str) -> httpx2.Auth | None:
    said = dict(entry.auth)
    ways = declaration.auth
    use = said.pop("use", next(iter(ways)) if len(ways) == 1 else None)
    if use not in ways:
        raise ConfigError(f"{where}: auth.use: names the way in{suggestion(str(use or ''), ways)}")
    way: Auth = msgspec.convert(with_options(msgspec.to_builtins(ways[use]), options, where), Auth)
    must, may = needed(way)
    for name in said:
        if name not in must | may:
            raise ConfigError(f"{where}: auth: unknown key '{name}'{suggestion(name, sorted(must | may))}")
    for name in sorted(must - set(said)):
        raise ConfigError(f"{where}: auth.{name} is missing: {{env: VARIABLE}} or {{file: PATH}}")
    given = {name: read_secret(value, f"{where}: auth.{name}") for name, value in said.items()}
    for name, value in given.items():
        if name not in NO_SECRETS:
            secrets.add(value)
    files = {name: Path(value["file"]) for name, value in said.items() if "file" in value}
    return way_in(way, given, secrets, where, files)


def readings_of(entry: Entry, declaration: Declaration, options: Options, where: str, folder: Path) -> list[Reading]:
    """Return the streams that a configuration reads.

    Raises:
        ConfigError: there is no such stream, or an option makes one wrong.
    """
    known = {s.name: s for s in declaration.streams}
    for name in (*entry.streams, *entry.values):
        if name not in known:
            raise ConfigError(f"{where}: streams: there is no stream '{name}'{suggestion(name, known)}")
    found = []
    for name in entry.streams or [n for n, s in known.items() if not s.on_request]:
        at = f"{where}: stream {name}"
        mapping = mapping_of(known[name], options, at, entry.values.get(name))
        document = {**msgspec.to_builtins(known[name]), "mapping": {}}
        stream = converted(with_options(document, options, at), Stream, at)
        if stream.join is not None:
            join = msgspec.structs.replace(stream.join, file=str(folder / stream.join.file))
            stream = msgspec.structs.replace(stream, join=join)
        if not isinstance(stream.cursor, Snapshot):
            check_zone(stream.cursor.zone, at)
        combinations: list[dict[str, str]] = [{}]
        for variable, option in stream.each.items():
            combinations = [{**c, variable: str(value)} for c in combinations for value in options[option]]
        shape = shape_of(declaration.name, stream.shape, at)
        found += [Reading("/".join([name, *c.values()]), stream, mapping, c, shape) for c in combinations]
    return found


def since_of(said: Any, where: str) -> datetime | None:
    """Return the time that a configuration says, in UTC; None where it says none.

    Raises:
        ConfigError: it is no time.
    """
    if said is None:
        return None
    try:
        at = said if isinstance(said, datetime) else datetime.fromisoformat(str(said))
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):  # the first day of the calendar, east of Greenwich, lies before it
        raise ConfigError(f"{where}: since: '{said}' is no time; write 2026-11-01 or 2026-11-01T08:00:00Z") from None
