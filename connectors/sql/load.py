"""From an SQL declaration and its configuration to a connector that the pull engine runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from connectors.engine.config import Connector, Entry, options_of, readings_of, since_of
from connectors.engine.declaration import Declaration, Option, Stream, Window
from connectors.engine.declared_auth import NoAuth
from connectors.engine.declared_requests import Request, Token
from connectors.engine.load import check_declaration
from connectors.engine.peer import Peer
from connectors.engine.reading import converted, suggestion
from connectors.engine.secrets import Secrets, read_secret
from connectors.engine.stats import Stats
from connectors.engine.texts import with_options
from connectors.mapping.load import columns_of
from connectors.sql.client import Database, SqlClient, Table
from connectors.sql.declaration import SqlDeclaration, SqlStream
from pipeline.catalogue.reading import read_yaml
from pipeline.errors import ConfigError

_FOLDER = Path(__file__).resolve().parent / "declarations"
_ADDRESS = Option(
    what="address of the database as SQLAlchemy writes it, without the password",
    example="postgresql+psycopg://reader@db.example.org/ml?sslmode=verify-full",
)
_PASSWORD = "password"  # noqa: S105 - the name of a key
_MOST_PAGE = 50_000


def shipped_sql() -> dict[str, Path]:
    """Return the SQL declarations that come with the program: name → file."""
    return {path.stem: path for path in sorted(_FOLDER.glob("*.yaml"))}


def load_sql(path: Path) -> SqlDeclaration:
    """Return an SQL declaration, checked.

    Raises:
        ConfigError: it is wrong.
    """
    declaration = converted(read_yaml(path), SqlDeclaration, str(path))
    for stream in declaration.streams:
        at = f"{path}: stream {stream.name}"
        if (stream.table is None) == (stream.query is None):
            raise ConfigError(f"{at}: name a table, or a query")
        if not 1 <= stream.page <= _MOST_PAGE:
            raise ConfigError(f"{at}: page: must be 1 to {_MOST_PAGE:,}")
        if stream.overlap_s < 0 or stream.lag_s < 0 or stream.step_s <= 0:
            raise ConfigError(f"{at}: lag_s and overlap_s must be 0 or more, step_s more than 0")
    check_declaration(pulled(declaration), str(path))
    return declaration


def pulled(declaration: SqlDeclaration) -> Declaration:
    """Return a declaration as the pull engine reads it: windows of time, whose pages follow one another by (time, id)."""
    return Declaration(
        name=declaration.name, title=declaration.title, what=declaration.what, tested=declaration.tested, limits=declaration.limits,
        base="{option:address}", options={"address": _ADDRESS, **declaration.options}, auth={_PASSWORD: NoAuth()},
        poll_s=declaration.poll_s, streams=[_stream(s) for s in declaration.streams],
    )  # fmt: skip


def _stream(stream: SqlStream) -> Stream:
    return Stream(
        name=stream.name, what=stream.what, records="rows",
        request=Request(path=stream.name, query={"since": "{since}", "until": "{until}"}),
        paginator=Token(path="next", token="after"),  # noqa: S106 - where the next page begins
        cursor=Window(lag_s=stream.lag_s, overlap_s=stream.overlap_s, step_s=stream.step_s),
        id=[stream.id], version=stream.version or [stream.time], permissions=stream.permissions or ["SELECT on what is read, and nothing else"],
        mapping=stream.mapping,
    )  # fmt: skip


def prepare_sql(entry: Entry, declaration: SqlDeclaration, path: Path) -> Connector:
    """Return an SQL connector ready to run.

    Args:
        entry: its configuration.
        declaration: what it reads.
        path: the configuration's file, for messages.

    Raises:
        ConfigError: an option, a secret or a stream is wrong, or the driver of the database is not installed.
    """
    where = f"{path}: {entry.name}"
    as_pulled = pulled(declaration)
    options = options_of(entry.options, as_pulled.options, where)
    for name in entry.auth:
        if name != _PASSWORD:
            raise ConfigError(f"{where}: auth: unknown key '{name}'{suggestion(name, [_PASSWORD])}")
    secrets = Secrets([])
    password = read_secret(entry.auth[_PASSWORD], f"{where}: auth.{_PASSWORD}") if entry.auth else None
    if password is not None:
        secrets.add(password)
    readings = tuple(readings_of(entry, as_pulled, options, where, path.parent))
    database = Database(str(options["address"]), password, secrets, entry.timeout_s, f"{where}: options.address")
    by_name = {s.name: s for s in declaration.streams}
    tables = {
        r.stream.name: _table(by_name[r.stream.name], options, columns_of(r.mapping), f"{where}: stream {r.name}")
        for r in readings
    }
    for name, table in tables.items():
        if table.form == "datetime" and not database.knows_times:
            raise ConfigError(
                f"{where}: stream {name}: SQLite has no type for times: declare form epoch_s or epoch_ms, "
                "of a query that makes them, such as CAST(strftime('%s', updated_at) AS INTEGER) AS changed"
            )
    opens: Callable[[Stats], Peer] = lambda stats: SqlClient(database, tables, stats)  # noqa: E731
    return Connector(
        entry,
        as_pulled,
        str(options["address"]),
        None,
        secrets,
        readings,
        since_of(entry.since, where),
        opens,
        database.now,
    )


def _table(stream: SqlStream, options: dict[str, Any], wanted: tuple[set[str], set[str]], where: str) -> Table:
    filled = converted(with_options({**msgspec.to_builtins(stream), "mapping": {}}, options, where), SqlStream, where)
    try:
        zone = ZoneInfo(filled.zone) if filled.zone else None
    except (KeyError, ValueError, OSError):
        raise ConfigError(
            f"{where}: zone: '{filled.zone}' is no time zone; use one like Europe/Zurich or UTC"
        ) from None
    # a path of the mapping leads into a column that holds JSON
    columns = {name.split(".")[0] for name in (*wanted[0], *wanted[1], *filled.version)}
    return Table(
        filled.name, filled.table, filled.query, filled.time, filled.id, filled.form, zone, filled.page,
        tuple(sorted(columns - {filled.time, filled.id})),
    )  # fmt: skip
