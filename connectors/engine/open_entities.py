"""Entities that are not final: remembered as cursors of their own, asked for again until they are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from connectors.engine.declaration import Unfinished
from connectors.engine.records import Record, holds
from connectors.mapping.fields import picked


class OpenEntities:
    """The unfinished entities of a stream.

    Args:
        unfinished: which they are; None: nothing is remembered.
        known: what was kept: name → columns.
        after: the name of the last one that was asked for, where a process ended while it asked.
    """

    def __init__(
        self, unfinished: Unfinished | None, known: dict[str, dict[str, Any]] | None = None, after: str = ""
    ) -> None:
        self._unfinished = unfinished
        self._open: dict[str, Record] = dict(known or {})
        self._after = after
        self._fresh: set[str] = set()
        self._changed: dict[str, Record | None] = {}
        self._lost = 0

    def __len__(self) -> int:
        return len(self._open)

    def note(self, record: Record) -> None:
        """Take a record that was read: it is remembered until it is final."""
        if self._unfinished is None:
            return
        kept = {k: v for k, v in picked(record, self._unfinished.keep).items() if v is not None}
        name = _name(kept)
        if holds(self._unfinished.final, record):
            if self._open.pop(name, None) is not None:
                self._changed[name] = None
            return
        self._fresh.add(name)
        if self._open.get(name) != kept:
            self._open[name] = self._changed[name] = kept
        while len(self._open) > self._unfinished.most:
            oldest = next(iter(self._open))
            del self._open[oldest]
            self._changed[oldest] = None
            self._lost += 1

    def forget(self, kept: Record) -> None:
        """Forget an entity that is gone."""
        name = _name(kept)
        if self._open.pop(name, None) is not None:
            self._changed[name] = None

    def old(self) -> Iterator[Record]:
        """Yield what was not read since the last call, the oldest first; in the first call those behind ``after`` before."""
        fresh, self._fresh = self._fresh, set()
        names = list(self._open)
        begin = names.index(self._after) + 1 if self._after in self._open else 0
        for name in names[begin:] + names[:begin]:
            if name not in fresh and (kept := self._open.get(name)) is not None:
                self._after = name
                yield kept
        self._after, self._fresh = "", set()

    @property
    def after(self) -> str:
        """The one that was asked for last; empty where none is waiting behind it."""
        return self._after

    def changes(self) -> dict[str, Record | None]:
        """Return what changed since the last call: name → what to keep, None where nothing any more."""
        changed, self._changed = self._changed, {}
        return changed

    def lost(self) -> int:
        """Return how many were given up since the last call."""
        lost, self._lost = self._lost, 0
        return lost


def _name(kept: Record) -> str:
    return "open:" + msgspec.json.encode(kept, order="sorted").decode()
