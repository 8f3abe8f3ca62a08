"""Bounds of what a source partition keeps: numbers that events alone could drive up without end.

What depends on a count is decided at places of the log (``CHECKPOINT``), never by how it was fetched, so that a replay
decides the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from pipeline.catalogue.model import Catalogue

#: Ids and sessions are counted after every message whose offset is a multiple of this, and after every one that is no
#: single JSON object.
CHECKPOINT = 1_024
#: Names that events may bring to one service: checks, and pairs of systems.
NAMES_A_SERVICE = 256
#: Bad events of one message that are kept as dead letters; all are counted.
LETTERS_A_MESSAGE = 1_000
#: Statements of what sources delivered, intervals of one of them (the newest stay), and reported values.
POLLED_KEYS, POLLED_INTERVALS, REPORTED_VALUES = 1_000, 2_000, 100_000
#: Characters of what a source says it covers.
POLLED_TEXT = 65_536
#: Types whose events bring names.
NAMING = frozenset({"uptime.checked", "record.synced"})


class Names:
    """The checks of each service and the pairs of systems synced for it, as far as they may come."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._required = {s.id: frozenset(s.required_checks) for s in catalogue.services.values()}
        self._known: dict[tuple[str, str], set[str]] = {}
        self._dirty: set[tuple[str, str]] = set()

    def refuse(self, event_type: str, data: Any, service: str) -> str | None:
        """Take the name that an event brings; return the reason where it is one too many."""
        if event_type == "uptime.checked":
            if data.check in self._required.get(service, ()):  # the catalogue bounds those
                return None
            return self._take("check", service, data.check)
        if event_type == "record.synced":
            return self._take("pair", service, f"{data.from_}\x1f{data.to}")
        return None

    def knows(self, event_type: str, data: Any, service: str) -> bool:
        """Return whether the name that an event brings is one of those known, or of no matter."""
        if event_type == "uptime.checked":
            known = self._known.get(("check", service), ())
            return data.check in known or data.check in self._required.get(service, ())
        if event_type == "record.synced":
            return f"{data.from_}\x1f{data.to}" in self._known.get(("pair", service), ())
        return True

    def _take(self, kind: str, service: str, name: str) -> str | None:
        known = self._known.setdefault((kind, service), set())
        if name not in known:
            if len(known) >= NAMES_A_SERVICE:
                return f"{kind}-limit"
            known.add(name)
            self._dirty.add((kind, service))
        return None

    def restore(self, key: bytes, value: bytes) -> None:
        """Take a recovered chunk."""
        _, kind, service = key.decode().split("|", 2)
        self._known[(kind, service)] = set(msgspec.msgpack.decode(value))

    def chunks(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Yield the chunks that changed since the last call."""
        for kind, service in self._dirty:
            yield f"n|{kind}|{service}".encode(), msgspec.msgpack.encode(sorted(self._known[(kind, service)]))
        self._dirty = set()
