"""Values of a database as JSON says them: what mappings read."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from pipeline.errors import SourceRefused

#: Types that a page can go on from: they say so of themselves as text, and come back from it.
_KINDS: dict[str, tuple[type, Callable[[str], Any]]] = {
    "int": (int, int), "str": (str, str), "float": (float, float), "decimal": (Decimal, Decimal), "uuid": (UUID, UUID),
    "datetime": (datetime, datetime.fromisoformat), "date": (date, date.fromisoformat),
}  # fmt: skip
_PLAIN = (str, int, float, bool, type(None), dict, list)


def plain(value: Any, zone: ZoneInfo | None) -> Any:
    """Return a value as JSON says it: times with their offset, decimals and ids as text, durations in seconds.

    Args:
        value: of a column.
        zone: of times that have none of their own.
    """
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, datetime):
        return (value.replace(tzinfo=zone) if value.tzinfo is None and zone is not None else value).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    return str(value)  # Decimal, UUID, and what else a driver makes


def marked(value: Any) -> tuple[str, str]:
    """Return a value of a key as its type and text, so that the next page compares what the database compares.

    Raises:
        SourceRefused: rows of such a type have no order that could be gone on from.
    """
    for kind, (of, _) in _KINDS.items():
        if isinstance(value, of):
            return kind, value.isoformat() if isinstance(value, date) else str(value)
    raise SourceRefused(
        f"{value!r:.60} is a {type(value).__name__}: time and id need columns of numbers, texts, times or UUIDs"
    )


def unmarked(mark: list[str]) -> Any:
    """Return the value of a mark."""
    return _KINDS[mark[0]][1](mark[1])
