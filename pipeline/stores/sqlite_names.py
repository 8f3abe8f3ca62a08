"""Names as small integers: each text and each series is written once and referred to by its number."""

from __future__ import annotations

import sqlite3

#: Definition of series that are no values (statuses, revisions): they are kept apart by it.
NO_DEFINITION = -1


class Names:
    """Numbers of labels and series, made where they are new; valid inside the transaction of ``connection``."""

    def __init__(self) -> None:
        self.connection: sqlite3.Connection
        self._labels: dict[str, int] = {}
        self._series: dict[tuple[str, str, str, int], int] = {}

    def label(self, text: str) -> int:
        """Return the number of a text."""
        known = self._labels.get(text)
        if known is None:
            self.connection.execute("INSERT OR IGNORE INTO label (text) VALUES (?)", (text,))
            known = int(self.connection.execute("SELECT id FROM label WHERE text = ?", (text,)).fetchone()[0])
            self._labels[text] = known
        return known

    def series(self, kpi: str, scope: str, csf: str, definition: int) -> int:
        """Return the number of a KPI of a scope; the KPI is empty for the status of a CSF."""
        key = (kpi, scope, csf, definition)
        known = self._series.get(key)
        if known is None:
            self.connection.execute(
                "INSERT OR IGNORE INTO series (kpi, scope, csf, definition) VALUES (?, ?, ?, ?)", key
            )
            found = self.connection.execute(
                "SELECT id FROM series WHERE kpi = ? AND scope = ? AND csf = ? AND definition = ?", key
            ).fetchone()
            known = self._series[key] = int(found[0])
        return known

    def forget(self) -> None:
        """Forget all numbers: some may have been rolled back."""
        self._labels.clear()
        self._series.clear()
