"""Deliveries that were taken, by the digest of their body: one that is sent again is known, also after a restart.

Bounded: the newest of each sender are remembered. What is forgotten and sent again makes the same events with the same
ids, which the worker remembers for 48 hours; later it changes nothing where they are entities (incidents, changes ...).
"""

from __future__ import annotations

import sqlite3
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path

from pipeline.errors import ConfigError

#: Deliveries of one sender that are remembered.
LIMIT = 100_000
_MADE = (
    "CREATE TABLE IF NOT EXISTS delivered (number INTEGER PRIMARY KEY AUTOINCREMENT, source TEXT NOT NULL, "
    "digest BLOB NOT NULL, UNIQUE (source, digest))"
)


class Remembered:
    """Digests of deliveries in memory and in a file.

    Reading and ``add`` may happen in different threads; ``add`` in one only.

    Args:
        path: the file; None: memory only.
        limit: of each sender.

    Raises:
        ConfigError: the file cannot be used.
    """

    def __init__(self, path: Path | None, limit: int = LIMIT) -> None:
        self._path, self._limit = path, limit
        self._held: dict[str, OrderedDict[bytes, None]] = {}
        self._file: sqlite3.Connection | None = None
        if path is None:
            return
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = sqlite3.connect(path, check_same_thread=False)
            self._file.execute("PRAGMA journal_mode=WAL")
            self._file.execute("PRAGMA synchronous=NORMAL")
            self._file.execute(_MADE)
            for source, digest in self._file.execute("SELECT source, digest FROM delivered ORDER BY number"):
                self._held.setdefault(source, OrderedDict())[digest] = None
        except (OSError, sqlite3.Error) as e:
            raise ConfigError(
                f"{path}: cannot remember deliveries: {e}; name another --data-dir, or move the file away"
            ) from None

    def __len__(self) -> int:
        return sum(len(held) for held in self._held.values())

    def knows(self, source: str, digest: bytes) -> bool:
        """Return whether a delivery of a sender was taken."""
        return digest in self._held.get(source, ())

    def add(self, taken: Iterable[tuple[str, bytes]]) -> None:
        """Remember deliveries; the oldest beyond the limit are forgotten.

        Raises:
            sqlite3.Error: the file does not take them; they are remembered until a restart.
        """
        fresh, gone = [], []
        for source, digest in taken:
            held = self._held.setdefault(source, OrderedDict())
            if digest in held:
                continue
            held[digest] = None
            fresh.append((source, digest))
            while len(held) > self._limit:
                gone.append((source, held.popitem(last=False)[0]))
        if self._file is not None:
            with self._file:
                self._file.executemany("INSERT OR IGNORE INTO delivered (source, digest) VALUES (?, ?)", fresh)
                self._file.executemany("DELETE FROM delivered WHERE source = ? AND digest = ?", gone)

    def close(self) -> None:
        """Release the file."""
        if self._file is not None:
            self._file.close()
