"""The register port: a log of entries that stores add to and never change.

Two adapters implement it: ``pipeline.stores.register_sqlite.SqliteRegister`` and
``pipeline.stores.register_influx.InfluxRegister``; the same contract tests run on both.
"""

from __future__ import annotations

from typing import Protocol

from pipeline.report.register import Entry


class Register(Protocol):
    """Where the register lives. Methods are synchronous; callers on an event loop use a thread.

    Raises:
        StoreUnavailable: the store does not answer.
        StoreRejected: the store refuses the entry or the credentials.
    """

    def append(self, entry: Entry, *, after: str | None = None) -> None:
        """Add an entry; it is on the disk when this returns. The same entry again changes nothing.

        Args:
            entry: what is added.
            after: id of the latest entry about the same subject that the author has seen, empty for none; None: not
                asked. SQLite asks and adds in one step; InfluxDB asks first, so that two who add within the same
                moment may both succeed (each field then has the later one's word).

        Raises:
            EntryConflict: there is a later entry about the subject than ``after``.
            EntryRefused: the entry is too long.
        """

    def entries(self, *, subject: str | None = None) -> list[Entry]:
        """Return the entries, all or those about a subject, ordered by (at, id)."""

    def check(self) -> str:
        """Return one line that says the register is well (name, version, where), or raise."""

    def close(self) -> None:
        """Release files and connections."""
