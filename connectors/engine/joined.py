"""Records joined with the rows of a file of the organisation: what it has of what a source publishes for all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from connectors.engine.declaration import Join
from connectors.mapping.fields import picked
from connectors.mapping.files import BadRow, rows_of
from connectors.mapping.load import columns_of
from connectors.mapping.model import Mapping
from connectors.mapping.values import Row
from pipeline.errors import ConfigError

#: Rows of the file are held in memory: more than this are refused.
MOST_ROWS = 500_000
#: What a mapping writes before the columns of a row.
_PREFIX = "row."
Key = tuple[str, ...]


class Joined:
    """Joins the records of a stream with a CSV file, read again when it changed.

    Args:
        join: file and columns; None: records stay as they are.
        mapping: names the columns of rows that are read, as ``row.name``.
    """

    def __init__(self, join: Join | None, mapping: Mapping) -> None:
        self._join = join
        needed, optional = columns_of(mapping)
        self._needed = {n.removeprefix(_PREFIX) for n in needed if n.startswith(_PREFIX)}
        self._optional = {n.removeprefix(_PREFIX) for n in optional if n.startswith(_PREFIX)}
        self._state: tuple[int, int] | None = None
        self._rows: dict[Key, list[Row]] = {}

    def begin(self) -> None:
        """Read the file where it changed since the last poll.

        Raises:
            CsfError: it cannot be read, lacks a column, or holds a row that is none.
        """
        if self._join is None:
            return
        path = Path(self._join.file)
        try:
            stat = path.stat()
        except OSError as e:
            raise ConfigError(f"{path}: cannot be read: {e.strerror or e}") from None
        if self._state == (stat.st_mtime_ns, stat.st_size):
            return
        self._rows = self._read(path, self._join)
        self._state = (stat.st_mtime_ns, stat.st_size)

    def records(self, records: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """Yield every record once for each row that belongs to it, the row as its column ``row``."""
        if self._join is None:
            yield from records
            return
        for record in records:
            for row in self._rows.get(_key(picked(record, self._join.match).values()), ()):
                yield {**record, "row": row}

    def _read(self, path: Path, join: Join) -> dict[Key, list[Row]]:
        form = Mapping(name=f"of {path.name}", service="", events=[], delimiter="auto")
        keys = list(join.match.values())
        found: dict[Key, list[Row]] = {}
        for number, row in rows_of(path, form, _refused(path), ({*self._needed, *keys}, self._optional)):
            if number > MOST_ROWS:
                raise ConfigError(f"{path}: has more than {MOST_ROWS:,} rows, too many to join with; split it")
            found.setdefault(_key(row[key] for key in keys), []).append(row)
        return found


def _key(values: Iterable[Any]) -> Key:
    """Return what two sides are compared by: people write names in capitals or not."""
    return tuple(str(value or "").strip().casefold() for value in values)


def _refused(path: Path) -> Any:
    def refuse(bad: BadRow) -> None:
        raise ConfigError(f"{path}: {bad.detail}; mend it, a part of the file would be taken for all of it")

    return refuse
