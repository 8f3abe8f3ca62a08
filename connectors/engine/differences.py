"""What changed at a source that only shows what is there now: each poll compared with the one before.

The last state of every entity is kept as a cursor of its own, written before the events that tell of the change and dated
by the poll that saw it. The stream's own cursor moves after them: what is dated later than it stands was perhaps not
delivered, and is told again, from what is kept, in the same words and under the same ids. An id follows from both states
and the time of the first, so that two instances that read for a moment beside each other tell one change.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec

from connectors.engine.declaration import Snapshot
from connectors.engine.records import Record
from connectors.mapping.fields import field_at, picked
from pipeline.errors import SourceRefused

#: Columns that a record gets by being compared.
_MADE = ("before", "before_at", "gone", "moved", "polled_at")


class Seen(msgspec.Struct, frozen=True, omit_defaults=True):
    """The last state of an entity.

    Attributes:
        at: the poll that saw it first.
        now: its columns.
        before: those that are compared, as they were; None at first sight.
        before_at: the poll that saw these first.
        moved: ``up`` or ``down``, where the first of them is a number.
        gone: it is not shown any more.
    """

    at: datetime
    now: dict[str, Any]
    before: dict[str, Any] | None = None
    before_at: datetime | None = None
    moved: str | None = None
    gone: bool = False

    def record(self) -> Record:
        """Return the record that tells of the change."""
        record = {**self.now, "polled_at": self.at.isoformat()}
        if self.before_at is not None:
            record["before_at"] = self.before_at.isoformat()
        if self.before is not None:
            record["before"] = self.before
        if self.moved is not None:
            record["moved"] = self.moved
        return {**record, "gone": True} if self.gone else record


class Differences:
    """Compares the polls of a stream.

    Args:
        snapshot: which columns count, and how many entities are kept.
        identity: columns that name an entity.
        columns: columns that events are made of.
        known: what was kept: name → last state.
    """

    def __init__(self, snapshot: Snapshot, identity: list[str], columns: list[str], known: dict[str, Any]) -> None:
        self._snapshot, self._id = snapshot, identity
        self._columns = sorted(
            {*identity, *snapshot.changes, *(c for c in columns if c.partition(".")[0] not in _MADE)}
        )
        self._seen = {name: msgspec.convert(value, Seen) for name, value in known.items()}
        self._kept: dict[str, dict[str, Any] | None] = {}

    def untold(self, until: datetime) -> Iterator[Record]:
        """Yield the changes that were seen after the cursor's place: they may not have been delivered."""
        for seen in self._seen.values():
            if seen.at > until:
                yield seen.record()

    def changed(self, records: list[Record], at: datetime, *, whole: bool) -> list[Record]:
        """Return the records that differ from the last poll.

        Args:
            records: all that the source shows.
            at: the time of this poll.
            whole: all of it was read: what is missing is gone.

        Raises:
            SourceRefused: there are more entities than are kept.
        """
        found: list[Record] = []
        shown: set[str] = set()
        for record in records:
            name = _name(record, self._id)
            shown.add(name)
            last = self._seen.get(name)
            was = None if last is None or last.gone else _within(last.now, self._snapshot.changes)
            now = _nested(record, self._columns)
            if was is not None and was == _within(now, self._snapshot.changes):
                continue
            found.append(self._note(name, Seen(at, now, was, last.at if last else None, self._moved(was, now))))
        for name, last in list(self._seen.items()) if whole else ():
            if name in shown:
                continue
            if last.gone:
                del self._seen[name]
                self._kept[name] = None
            else:
                found.append(self._note(name, Seen(at, last.now, last.before, last.at, last.moved, gone=True)))
        if len(self._seen) > self._snapshot.most:
            raise SourceRefused(
                f"the source shows {len(self._seen)} entities, more than the {self._snapshot.most} that are compared"
            )
        return found

    def _moved(self, was: dict[str, Any] | None, now: dict[str, Any]) -> str | None:
        first, *_ = self._snapshot.changes
        old, new = field_at(was or {}, first), field_at(now, first)
        if not all(isinstance(each, int | float) for each in (old, new)) or old == new:
            return None
        return "up" if new > old else "down"

    def _note(self, name: str, seen: Seen) -> Record:
        self._seen[name] = seen
        self._kept[name] = msgspec.to_builtins(seen)
        return seen.record()

    def changes(self) -> dict[str, dict[str, Any] | None]:
        """Return what is to be kept since the last call: name → state, None where nothing any more."""
        kept, self._kept = self._kept, {}
        return kept


def _name(record: Record, columns: list[str]) -> str:
    return "seen:" + msgspec.json.encode([str(v) for v in picked(record, columns).values()]).decode()


def _nested(record: Record, columns: list[str]) -> dict[str, Any]:
    """Return the columns of a record that it has, each where its path leads."""
    found: dict[str, Any] = {}
    for column, value in picked(record, columns).items():
        if value is None:
            continue
        inner = found
        *steps, last = [column] if column in record else column.split(".")
        for step in steps:
            inner = inner.setdefault(step, {})
        inner[last] = value
    return found


def _within(now: dict[str, Any], columns: list[str]) -> dict[str, Any]:
    return _nested(now, columns)
