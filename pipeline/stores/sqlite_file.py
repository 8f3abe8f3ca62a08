"""One SQLite file as a database of ours: opening, errors in words, one writer, many readers."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import StoreRejected, StoreUnavailable
from pipeline.stores.sqlite_versions import Schema, file_version, migrate


def _explain(path: str, schema: Schema, error: sqlite3.Error) -> StoreUnavailable | StoreRejected:
    """Turn an error of SQLite into one sentence with the file and the cure."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    name = f"{schema.what} {path}"
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return StoreUnavailable(f"{name} is locked by another process; if it stays so, end the other writer", 1.0)
    if code == sqlite3.SQLITE_FULL:
        return StoreUnavailable(f"{name} cannot grow: disk full; free space on its disk", 10.0)
    if code in {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH}:
        return StoreUnavailable(
            f"{name} cannot be opened for writing ({error}); "
            "give this user write permission on the file and its directory",
            10.0,
        )
    if code == sqlite3.SQLITE_IOERR:
        return StoreUnavailable(f"{name} cannot be read or written ({error}); check its disk and free space", 10.0)
    if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        return StoreRejected(f"{name} is damaged ({error}); {schema.repair}")
    return StoreRejected(f"{name} refuses the data: {error}")


class SqliteFile:
    """An open file: one connection that writes under a lock, and one for each thread that reads at a time.

    Args:
        path: the file; made where it does not exist, unless ``read_only``.
        schema: what it holds.
        read_only: never write.
        busy_timeout_s: how long a write waits for another process's write.
    """

    def __init__(self, path: str | Path, schema: Schema, *, read_only: bool, busy_timeout_s: float) -> None:
        self.path = str(path)
        self.schema = schema
        self.read_only = read_only
        self._timeout_s = busy_timeout_s
        self._writing = threading.Lock()
        self._lending = threading.Lock()
        self._idle: list[sqlite3.Connection] = []
        with self._errors():
            self._writer = self._open()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise _explain(self.path, self.schema, error) from error
        except UnicodeEncodeError as error:
            raise StoreRejected(
                f"text with a lone surrogate cannot be stored: {error.object[:80]!r}; correct it at the source"
            ) from error
        except OverflowError as error:
            raise StoreRejected(f"a whole number is beyond 64 bits in a write to {self.path}") from error

    def _open(self) -> sqlite3.Connection:
        if self.read_only and not Path(self.path).is_file():
            raise StoreUnavailable(
                f"there is no {self.schema.what.removeprefix('the ')} at {self.path}; {self.schema.start}"
            )
        mode = "ro" if self.read_only else "rwc"
        connection = sqlite3.connect(
            f"{Path(self.path).absolute().as_uri()}?mode={mode}",
            uri=True,
            timeout=self._timeout_s,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=64,
        )
        try:
            if self.read_only:
                self._require_current(connection)
                return connection
            connection.execute("PRAGMA journal_mode = WAL")
            # FULL: a commit is on the disk when it returns. It costs about one fsync a batch (docs/storage.md),
            # and without it a power cut could lose values whose source was already acknowledged.
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(f"PRAGMA journal_size_limit = {64 * 2**20}")
            connection.execute("PRAGMA cache_size = -16384")
            migrate(connection, self.path, self.schema)
        except BaseException:
            connection.close()
            raise
        return connection

    def _require_current(self, connection: sqlite3.Connection) -> None:
        version = file_version(connection, self.path, self.schema)
        if version < self.schema.version:
            raise StoreUnavailable(
                f"{self.path} has schema {version}, this csf-pulse reads {self.schema.version}; "
                "start csf up once to bring it up to date"
            )

    @contextmanager
    def reader(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection of its own to a reading thread, in one snapshot."""
        with self._errors():
            with self._lending:
                connection = self._idle.pop() if self._idle else None
            if connection is None:
                connection = self._open()
            try:
                connection.execute("BEGIN")
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                connection.close()
                raise
            with self._lending:
                self._idle.append(connection)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """One write, whole or not at all."""
        if self.read_only:
            raise StoreRejected(f"{self.schema.what} {self.path} was opened for reading only")
        with self._writing, self._errors():
            try:
                self._writer.execute("BEGIN IMMEDIATE")
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Release all connections; safe to call twice."""
        with self._writing, self._lending:
            for connection in self._idle:
                connection.close()
            self._idle.clear()
            self._writer.close()
