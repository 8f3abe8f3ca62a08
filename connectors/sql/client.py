"""A database that is asked as a source of the pull engine: one read-only transaction a page, rows in the order of (time, id).

A page begins behind the last row of the one before, ``u > t or (u = t and k > last)``, so that rows of one time (a bulk update)
are neither lost nor read twice, and no page holds more than its rows in memory.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import httpx2
import msgspec

from connectors.engine.client import Answer, Call
from connectors.engine.secrets import Secrets
from connectors.engine.stats import Stats
from connectors.sql.rows import marked, plain, unmarked
from connectors.sql.stuck import cut_loose
from pipeline.errors import ConfigError, ServiceUnavailable, SourceRefused

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection, Engine, FromClause

_log = logging.getLogger(__name__)
#: What the database's clock showed is asked again after so many seconds.
_CLOCK_S = 300.0
#: Classes of SQLSTATE that trying again does not mend: rights, names, syntax, what a statement may do, wrong databases.
_FOR_GOOD = ("28", "42", "3D", "22", "25", "0A")
#: ... and what drivers say that give no SQLSTATE.
_SAYS_FOR_GOOD = (
    "authentication failed", "no password supplied", "does not exist", "no pg_hba.conf entry", "permission denied", "no such table",
    "no such column", "unable to open database", "not a database", "syntax error", "readonly",
)  # fmt: skip
_SHOWN = 300


@dataclass(frozen=True)
class Table:
    """What one stream reads.

    Attributes:
        name: of the stream.
        table, query: where the rows are.
        time, id: the columns of the order.
        form: what ``time`` holds.
        zone: of times that have none of their own.
        page: rows of one transaction.
        columns: further columns.
    """

    name: str
    table: str | None
    query: str | None
    time: str
    id: str
    form: str
    zone: ZoneInfo | None
    page: int
    columns: tuple[str, ...]


class Database:
    """One database, connected to when it is first asked.

    Args:
        address: as SQLAlchemy writes it, without a password.
        password: of the account, if it has one.
        secrets: what no message may hold.
        timeout_s: how long a statement may take, seconds.
        where: how messages name the address.

    Raises:
        ConfigError: the address is none, holds a password, or its driver is not installed.
    """

    def __init__(self, address: str, password: str | None, secrets: Secrets, timeout_s: float, where: str) -> None:
        try:
            from sqlalchemy import NullPool, create_engine, make_url  # noqa: PLC0415 - an extra, and half a second
            from sqlalchemy.exc import ArgumentError, NoSuchModuleError  # noqa: PLC0415
        except ImportError:
            raise ConfigError(f"{where}: reading databases needs SQLAlchemy: install the extra 'sql'") from None
        self._secrets, self._timeout_s = secrets, timeout_s
        self._offset, self._asked_at = timedelta(0), float("-inf")
        try:
            url = make_url(address)
            if url.password is not None:
                raise ConfigError(f"{where}: holds a password; name where it is under auth.password")
            if url.drivername == "postgresql":  # SQLAlchemy's own default is a driver that is not in the extra
                url = url.set(drivername="postgresql+psycopg")
            self._backend = url.get_backend_name()
            arguments = {"connect_timeout": max(2, int(timeout_s))} if self._backend == "postgresql" else {}
            with_password = url.set(password=password) if password is not None else url
            # a connection a page: one that was kept could hang where nothing bounds it
            self.engine: Engine = create_engine(with_password, poolclass=NullPool, connect_args=arguments)
        except ArgumentError:
            raise ConfigError(f"{where}: is no address; write it like {_EXAMPLE}") from None
        except (NoSuchModuleError, ImportError) as e:
            raise ConfigError(f"{where}: the driver of '{address.partition(':')[0]}' is not installed: {e}") from None
        self.told = url.render_as_string(hide_password=True)

    @property
    def knows_times(self) -> bool:
        """Whether it has a type for dates with times; SQLite compares them as texts, of whatever form."""
        return self._backend != "sqlite"

    def close(self) -> None:
        """Release the connection."""
        self.engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Yield a connection in a transaction that can only read and does not wait for ever; it is rolled back.

        Raises:
            ServiceUnavailable: the database does not answer, or not in time.
            SourceRefused: it refuses.
        """
        from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415

        try:
            with self.engine.connect() as connection, cut_loose(connection, 2 * self._timeout_s):
                self._bound(connection)
                yield connection
                connection.rollback()
        except SQLAlchemyError as e:
            raise self._told(e) from None

    def _bound(self, connection: Connection) -> None:
        from sqlalchemy import text  # noqa: PLC0415

        limit_ms = int(self._timeout_s * 1000)
        match self._backend:
            case "postgresql":
                connection.execute(text("SET TRANSACTION READ ONLY"))
                connection.execute(text(f"SET LOCAL statement_timeout = {limit_ms}"))
                connection.execute(text("SET LOCAL TimeZone = 'UTC'"))
            case "sqlite":
                connection.execute(text("PRAGMA query_only = ON"))

    def _told(self, why: Exception) -> Exception:
        cause = getattr(why, "orig", None)
        state = str(getattr(cause, "sqlstate", None) or "")
        said = self._secrets.hidden(" ".join(str(cause or why).split()))[:_SHOWN]
        if state.startswith(_FOR_GOOD) or any(s in said.lower() for s in _SAYS_FOR_GOOD):
            return SourceRefused(f"{self.told}: {said}")
        if state == "57014":
            return ServiceUnavailable(
                f"{self.told}: a page took longer than {self._timeout_s:g} s (timeout_s): is there an index on time and id?"
            )
        return ServiceUnavailable(f"{self.told}: does not answer: {said}")

    def now(self) -> datetime:
        """Return the time by the database's clock, which rows are stamped by; ours where it cannot be asked."""
        ours = datetime.now(UTC)
        if time.monotonic() - self._asked_at > _CLOCK_S:
            try:
                self._offset = self._clock() - datetime.now(UTC)
                self._asked_at = time.monotonic()
            except (ServiceUnavailable, SourceRefused):
                return ours + self._offset  # what is asked next tells why
        return ours + self._offset

    def _clock(self) -> datetime:
        from sqlalchemy import DateTime, func, select, type_coerce  # noqa: PLC0415

        with self.reading() as connection:
            found: datetime = connection.execute(
                select(type_coerce(func.current_timestamp(), DateTime(timezone=True)))
            ).scalar_one()
        return found if found.tzinfo else found.replace(tzinfo=UTC)


_EXAMPLE = "postgresql+psycopg://reader@db.example.org/ml"


class SqlClient:
    """Asks a database for the pages of streams.

    Args:
        database: which.
        tables: stream → what it reads.
        stats: counts pages.
    """

    def __init__(self, database: Database, tables: dict[str, Table], stats: Stats) -> None:
        self._database, self._tables, self._stats = database, tables, stats
        self._looked: set[str] = set()

    def address(self, path: str) -> str:
        """Return the name of a stream."""
        return path

    def close(self) -> None:
        """Release the connection."""
        self._database.close()

    def rest(self, seconds: float) -> None:
        """Wait for nothing: a database makes no exports that come later."""

    def ask(self, call: Call, cut_off: Callable[[int, str], bool] = lambda _status, _text: False) -> Answer:
        """Return a page: ``rows``, and ``next``, where the one after it begins (None: it was the last).

        Raises:
            ServiceUnavailable: the database does not answer.
            SourceRefused: it refuses, or the columns are not as declared.
        """
        table = self._tables[call.url]
        since, until = (datetime.fromisoformat(call.query[name]) for name in ("since", "until"))
        try:
            with self._database.reading() as connection:
                if table.name not in self._looked:
                    self._look_for_timeless(connection, table)
                rows = _page(connection, table, since, until, call.query.get("after"))
        except Exception:
            self._stats.request("failed")
            raise
        self._stats.request("ok")
        following = None
        if len(rows) == table.page:
            last = rows[-1]
            self._check(table, last[table.time])
            following = msgspec.json.encode([marked(last[table.time]), marked(last[table.id])]).decode()
        elif rows:
            self._check(table, rows[0][table.time])
        body = {
            "rows": [{name: plain(value, table.zone) for name, value in row.items()} for row in rows],
            "next": following,
        }
        return Answer(body, httpx2.Headers(), call.url)

    def _check(self, table: Table, at: Any) -> None:
        """Raise where the column of time is not what it was declared to be."""
        if table.form != "datetime":
            if isinstance(at, int) and not isinstance(at, bool):
                return
            raise SourceRefused(f"{table.name}: {table.time} holds {at!r:.60}, which is no {table.form}; change form")
        if not isinstance(at, datetime):
            raise SourceRefused(
                f"{table.name}: {table.time} holds {at!r:.60}, which is no date with time; change form or cast it"
            )
        if at.tzinfo is None and table.zone is None:
            raise SourceRefused(
                f"{table.name}: {table.time} has no time zone: declare zone, such as UTC or Europe/Zurich"
            )
        if at.tzinfo is not None and table.zone is not None:
            raise SourceRefused(f"{table.name}: {table.time} has a time zone of its own: leave zone out")

    def _look_for_timeless(self, connection: Connection, table: Table) -> None:
        """Say once that there are rows which no window of time holds."""
        from sqlalchemy import or_, select  # noqa: PLC0415

        source, at, key = _columns(table)
        found = connection.execute(
            select(key).select_from(source).where(or_(at.is_(None), key.is_(None))).limit(1)
        ).first()
        if found is not None:
            _log.warning(
                "%s: rows without %s or %s are never read, such as the one whose %s is %s; read a query with COALESCE instead",
                table.name, table.time, table.id, table.id, found[0],
            )  # fmt: skip
        self._looked.add(table.name)


def _columns(table: Table) -> tuple[FromClause, ColumnElement[Any], ColumnElement[Any]]:
    """Return where rows come from, and the columns of time and id."""
    from sqlalchemy import BigInteger, DateTime, column, text  # noqa: PLC0415
    from sqlalchemy import table as named  # noqa: PLC0415

    kind: Any = BigInteger() if table.form != "datetime" else DateTime(timezone=table.zone is None)
    at: Any = column(table.time, kind)
    key: Any = column(table.id)
    others: list[Any] = [column(name) for name in table.columns]
    if table.query is not None:
        # a colon begins a parameter in SQLAlchemy's texts, here it is SQL's; the last line may be a comment
        source: FromClause = (
            text(table.query.replace(":", "\\:") + "\n").columns(at, key, *others).subquery("rows_of_query")
        )
    else:
        schema, _, name = str(table.table).rpartition(".")
        source = named(name, at, key, *others, schema=schema or None)
    return source, source.c[table.time], source.c[table.id]


def _page(
    connection: Connection, table: Table, since: datetime, until: datetime, after: str | None
) -> list[dict[str, Any]]:
    from sqlalchemy import and_, or_, select  # noqa: PLC0415

    source, at, key = _columns(table)
    where = [at >= _bound_of(table, since), at < _bound_of(table, until)]
    if after is not None:
        begun, last = (unmarked(mark) for mark in msgspec.json.decode(after))
        where.append(or_(at > begun, and_(at == begun, key > last)))
    statement = select(*source.c).where(*where).order_by(at, key).limit(table.page)
    return [dict(row._mapping) for row in connection.execute(statement)]


def _bound_of(table: Table, at: datetime) -> datetime | int:
    """Return a time as the column holds it."""
    if table.form == "epoch_s":
        return int(at.timestamp())
    if table.form == "epoch_ms":
        return int(at.timestamp() * 1000)
    return at.astimezone(UTC) if table.zone is None else at.astimezone(table.zone).replace(tzinfo=None)
