"""Versions of a SQLite file of ours: what tells it from others, and how an older one becomes a newer one."""

from __future__ import annotations

import sqlite3
import time
from dataclasses import dataclass

from pipeline.errors import StoreRejected


@dataclass(frozen=True)
class Schema:
    """What a file of ours holds.

    Attributes:
        what: what messages call it, with its article.
        application_id: number in the file's header that tells it from other files.
        migrations: statements that lead from version n to n + 1; a file's version is the number of entries applied.
        start: what to do where there is no such file; repair: where it is damaged; elsewhere: to use another file.
    """

    what: str
    application_id: int
    migrations: tuple[tuple[str, ...], ...]
    start: str
    repair: str
    elsewhere: str

    @property
    def version(self) -> int:
        """The newest version."""
        return len(self.migrations)


def file_version(connection: sqlite3.Connection, path: str, schema: Schema) -> int:
    """Return the schema version of an open file, 0 for an empty one.

    Raises:
        StoreRejected: the file is another program's, or of a newer csf-pulse.
    """
    has_tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] > 0
    if not has_tables:
        return 0
    if connection.execute("PRAGMA application_id").fetchone()[0] != schema.application_id:
        raise StoreRejected(f"{path} is a SQLite file of another program; name another file for {schema.what}")
    version = int(connection.execute("SELECT max(version) FROM schema_version").fetchone()[0])
    if version > schema.version:
        raise StoreRejected(
            f"{path} was written by a newer csf-pulse (schema {version}, this one knows {schema.version}); "
            f"install that version, or {schema.elsewhere}"
        )
    return version


def migrate(connection: sqlite3.Connection, path: str, schema: Schema) -> None:
    """Bring a file to the newest schema, in one transaction; several processes may try at once."""
    if file_version(connection, path, schema) == schema.version:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Once more under the lock: another process may have been quicker.
        for version in range(file_version(connection, path, schema), schema.version):
            for statement in schema.migrations[version]:
                connection.execute(statement)
            connection.execute("INSERT INTO schema_version VALUES (?, ?)", (version + 1, int(time.time())))
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
