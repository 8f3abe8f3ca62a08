"""The register in one SQLite file: several processes add to it, each entry one short transaction."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import msgspec

from pipeline.errors import StoreRejected
from pipeline.report.register import Entry, entry_bytes
from pipeline.stores.register_common import is_there, require_seen
from pipeline.stores.sqlite_file import SqliteFile
from pipeline.stores.sqlite_versions import Schema, file_version

#: "csfr" in the file's header.
_APPLICATION_ID = 0x63736672
_ADDED_ONLY = "the register is only ever added to"

REGISTER_SCHEMA = Schema(
    what="the register",
    application_id=_APPLICATION_ID,
    migrations=(
        (
            f"PRAGMA application_id = {_APPLICATION_ID}",
            "CREATE TABLE schema_version (version INTEGER PRIMARY KEY, applied_at INTEGER NOT NULL)",
            "CREATE TABLE entry (id TEXT PRIMARY KEY, kind TEXT NOT NULL, subject TEXT NOT NULL, at INTEGER NOT NULL,"
            " who TEXT NOT NULL, via TEXT NOT NULL, changes TEXT NOT NULL, why TEXT NOT NULL)",
            "CREATE INDEX entry_subject ON entry (subject, at)",
            f"CREATE TRIGGER entry_stays BEFORE UPDATE ON entry BEGIN SELECT RAISE(ABORT, '{_ADDED_ONLY}'); END",
            f"CREATE TRIGGER entry_is_kept BEFORE DELETE ON entry BEGIN SELECT RAISE(ABORT, '{_ADDED_ONLY}'); END",
        ),
    ),
    start="enter something first, or name its data directory",
    repair="move it away and put a copy of yours in its place",
    elsewhere="name another data directory",
)
_COLUMNS = "id, kind, subject, at, who, via, changes, why"


class SqliteRegister:
    """A register in one file; implements ``pipeline.stores.register.Register``.

    Args:
        path: the file; it is made where it does not exist (its directory must exist).
        read_only: never write; a file that does not exist is an empty register.
        busy_timeout_s: how long a write waits for another process's write.

    Raises:
        StoreUnavailable: directory or file cannot be opened, or the disk is full.
        StoreRejected: the file is damaged, foreign, or of a newer version.
    """

    def __init__(self, path: str | Path, *, read_only: bool = False, busy_timeout_s: float = 10.0) -> None:
        self._file: SqliteFile | None = None
        if not read_only or Path(path).is_file():
            self._file = SqliteFile(path, REGISTER_SCHEMA, read_only=read_only, busy_timeout_s=busy_timeout_s)
        self._path = str(path)

    def append(self, entry: Entry, *, after: str | None = None) -> None:
        """Add an entry; see the port."""
        entry_bytes(entry)
        if self._file is None:
            raise StoreRejected(f"the register {self._path} was opened for reading only")
        with self._file.transaction() as connection:
            own = _read(connection, "WHERE subject = ? OR id = ?", (entry.subject, entry.id))
            if is_there(own, entry):
                return
            require_seen(own, entry, after)
            changes = msgspec.json.encode(entry.changes).decode()
            connection.execute(
                f"INSERT INTO entry ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - a constant
                (entry.id, entry.kind, entry.subject, entry.at, entry.who, entry.via, changes, entry.why),
            )

    def entries(self, *, subject: str | None = None) -> list[Entry]:
        """Return entries; see the port."""
        if self._file is None:
            return []
        with self._file.reader() as connection:
            if subject is None:
                return _read(connection, "", ())
            return _read(connection, "WHERE subject = ?", (subject,))

    def check(self) -> str:
        """Return one line that says the register is well, or raise."""
        if self._file is None:
            return f"no entry yet; {self._path} is made with the first"
        with self._file.reader() as connection:
            version = file_version(connection, self._path, REGISTER_SCHEMA)
            verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            if verdict != "ok":
                said = " ".join(verdict.split())
                raise StoreRejected(f"the register {self._path} is damaged ({said}); {REGISTER_SCHEMA.repair}")
            number = connection.execute("SELECT count(*) FROM entry").fetchone()[0]
        return f"SQLite {sqlite3.sqlite_version}, schema {version}, {self._path}, {number} entr{'y' if number == 1 else 'ies'}"

    def close(self) -> None:
        """Release the file; safe to call twice."""
        if self._file is not None:
            self._file.close()


def _read(connection: sqlite3.Connection, where: str, arguments: tuple[str, ...]) -> list[Entry]:
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM entry {where} ORDER BY at, id",  # noqa: S608 - constants of this file
        arguments,
    )
    found = []
    for row in rows:
        try:
            fields = dict(zip(_COLUMNS.split(", "), row, strict=True))
            found.append(msgspec.convert({**fields, "changes": msgspec.json.decode(fields["changes"])}, Entry))
        except msgspec.MsgspecError as error:
            raise StoreRejected(
                f"the register has an entry {str(row[0])[:80]!r} that csf-pulse did not write so ({error}); "
                f"{REGISTER_SCHEMA.repair}"
            ) from error
    return found
