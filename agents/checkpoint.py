"""A copy of the state on this machine, so that recovery reads only the end of the changelog.

The changelog says what counts; the copy only spares reading it from its beginning. Every few seconds what the flushes since then
changed goes into an SQLite file, in one transaction a changelog partition, together with the offset up to which the
copy stands. A copy is used only for the very topic it was made of, while it is young enough that compaction cannot have
forgotten a removal it lacks, and if the changelog's record at its offset is the one it was made of.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from agents.changelog import PartitionLog, Record, TopicState

_log = logging.getLogger(__name__)

#: A copy older than this is not used: the broker forgets removals after a day.
OLDEST_S = 12 * 3_600.0
#: 1: before it was asked whether what is saved follows what is there
_VERSION = 2
_SCHEMA = """
PRAGMA page_size = 16384;
PRAGMA journal_mode = WAL;
CREATE TABLE IF NOT EXISTS copy (partition INTEGER PRIMARY KEY, topic_id TEXT NOT NULL, standing BLOB NOT NULL);
"""


class Standing(msgspec.Struct, array_like=True):
    """Up to where a copy stands.

    Attributes:
        generation: of the flushes.
        offset: of the last record it holds, and last_key, last_value: that record.
        written_at: epoch seconds.
        sources: topic → (position, flush, version, chunks that must be written again).
    """

    generation: int
    offset: int
    last_key: bytes
    last_value: bytes
    written_at: float
    sources: dict[str, tuple[int, int, int, list[bytes]]]


@dataclass
class Gathered:
    """What flushes of one changelog partition changed since the copy was written last."""

    chunks: dict[bytes, bytes | None] = field(default_factory=dict)
    #: topic → (position, flush, version)
    sources: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    #: the last record of the last flush, its offset and generation
    last: Record | None = None
    offset: int = -1
    generation: int = 0
    #: these are all chunks there are: what the file has of the partition is of no use
    anew: bool = False
    #: where the copy ends that these follow, unless they are all
    after: int = -1


class Checkpoint:
    """The copies of one worker, in one file that no other process uses.

    What goes wrong with the file costs only time: it is put aside, and recovery reads the changelog from its beginning.

    Args:
        path: the file.
        topic_id: identity of the changelog topic, which a topic of the same name made later does not have.
    """

    def __init__(self, path: Path, topic_id: str) -> None:
        self._path = path
        self._topic_id = topic_id
        self._connection: sqlite3.Connection | None = None
        try:
            self._open()
        except sqlite3.Error as e:
            self._give_up(e)
            with suppress(sqlite3.Error):  # a damaged file is replaced by an empty one
                self._open()

    def _open(self) -> None:
        connection = sqlite3.connect(self._path, check_same_thread=False, isolation_level=None, timeout=1.0)
        try:
            connection.executescript(_SCHEMA)
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("PRAGMA wal_autocheckpoint = 4000")
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version not in {0, _VERSION}:
                raise sqlite3.DatabaseError(f"it is of version {version}")
            connection.execute(f"PRAGMA user_version = {_VERSION}")
        except sqlite3.Error:
            connection.close()
            raise
        self._connection = connection

    def discard(self, why: str) -> None:
        """Remove all copies: the changelog is not the one they were made of."""
        self._give_up(RuntimeError(why))

    def _give_up(self, why: Exception) -> None:
        """Do without the copy, and remove it."""
        _log.warning("the copy of the state in %s cannot be used (%s); the changelog is read instead", self._path, why)
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None
        for suffix in ("", "-wal", "-shm"):
            with suppress(OSError):
                self._path.with_name(self._path.name + suffix).unlink()

    def load(self, partition: int, *, bare: bool = False) -> PartitionLog | None:
        """Return the log of a changelog partition as if it had been read up to the copy's offset; None without a copy.

        Args:
            partition: of the changelog.
            bare: without the chunks.
        """
        if self._connection is None:
            return None
        try:
            with closing(self._connection.cursor()) as cursor:
                row = cursor.execute("SELECT topic_id, standing FROM copy WHERE partition = ?", (partition,)).fetchone()
                if row is None:
                    return None
                standing = msgspec.msgpack.decode(row[1], type=Standing)
                if row[0] != self._topic_id or not 0 <= time.time() - standing.written_at < OLDEST_S:
                    self.forget(partition)
                    return None
                log = PartitionLog()
                log.generation, log.last_offset = standing.generation, standing.offset
                log.expected = (standing.last_key, standing.last_value)
                log.copied_to, log.bare = log.last_offset, bare
                if bare:
                    return log
                for topic, (position, flush, version, disturbed) in standing.sources.items():
                    log.topics[topic] = TopicState(position, flush, version, disturbed=set(disturbed))
                for key, value in cursor.execute(f"SELECT key, value FROM chunk_{partition:d}"):  # noqa: S608 - a number
                    topic, _, name = key[2:].partition(b"|")
                    log.topics[topic.decode()].held[name] = value
        except (sqlite3.Error, msgspec.DecodeError, KeyError) as e:
            self._give_up(e)
            return None
        return log

    def save(self, partition: int, gathered: Gathered, repairs: Mapping[str, list[bytes]]) -> None:
        """Bring a copy up to what was gathered, all or nothing. May be called from any thread, one at a time.

        A copy that does not end where the gathered begins lacks something, and is removed.

        Args:
            partition: of the changelog.
            gathered: what changed since it was saved last.
            repairs: chunks that must be written again, by topic.
        """
        connection = self._connection
        if connection is None or gathered.last is None:
            return
        try:
            if gathered.anew:
                self.forget(partition)
            connection.execute("BEGIN IMMEDIATE")
            row = connection.execute("SELECT topic_id, standing FROM copy WHERE partition = ?", (partition,)).fetchone()
            held = msgspec.msgpack.decode(row[1], type=Standing) if row and row[0] == self._topic_id else None
            if not gathered.anew and (held is None or held.offset != gathered.after):
                connection.execute("ROLLBACK")
                self.forget(partition)
                return
            known = held.sources if held else {}
            for topic, (position, flush, version) in gathered.sources.items():
                known[topic] = (position, flush, version, [])
            sources = {t: (*s[:3], repairs.get(t, [])) for t, s in known.items()}
            self._put(connection, partition, gathered.chunks)
            key, value = gathered.last
            standing = Standing(gathered.generation, gathered.offset, key, value or b"", time.time(), sources)
            connection.execute(
                "INSERT OR REPLACE INTO copy VALUES (?, ?, ?)",
                (partition, self._topic_id, msgspec.msgpack.encode(standing)),
            )
            connection.execute("COMMIT")
        except (sqlite3.Error, msgspec.DecodeError) as e:
            self._give_up(e)

    @staticmethod
    def _put(connection: sqlite3.Connection, partition: int, chunks: Mapping[bytes, bytes | None]) -> None:
        table = f"chunk_{partition:d}"
        connection.execute(f"CREATE TABLE IF NOT EXISTS {table} (key BLOB PRIMARY KEY, value BLOB NOT NULL)")
        gone = [(key,) for key, value in chunks.items() if value is None]
        connection.executemany(f"DELETE FROM {table} WHERE key = ?", gone)  # noqa: S608 - a number
        held = [(key, value) for key, value in chunks.items() if value is not None]
        connection.executemany(f"INSERT OR REPLACE INTO {table} VALUES (?, ?)", held)  # noqa: S608 - a number

    def forget(self, partition: int) -> None:
        """Remove the copy of a partition."""
        if self._connection is None:
            return
        try:
            self._connection.execute("DELETE FROM copy WHERE partition = ?", (partition,))
            self._connection.execute(f"DROP TABLE IF EXISTS chunk_{partition:d}")
        except sqlite3.Error as e:
            self._give_up(e)

    def close(self) -> None:
        """Close the file."""
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None
