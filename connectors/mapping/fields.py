"""Fields of JSON records by their path."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from connectors.mapping.values import Row


def picked(record: dict[str, Any], columns: Iterable[str]) -> Row:
    """Return the columns of a record; None where one is absent."""
    return {name: field_at(record, name) for name in columns}


def field_at(record: Any, name: str) -> Any:
    """Return a record's field: ``a.b`` is the field b of the object a, ``a.0`` the first of the list a.

    ``a.key=x`` is the first object of the list a whose field key is x. Names may hold dots themselves: of the whole
    record such a name comes first, within an object where it has no field of the first part; so may x, of which the
    longest that some object has is meant.
    """
    if name in record:
        return record[name]
    steps = name.split(".")
    while steps:
        step = steps.pop(0)
        if isinstance(record, dict):
            if step not in record:
                step, steps = _dotted(record, step, steps)
            record = record.get(step)
        elif isinstance(record, list) and step.isascii() and step.isdigit() and int(step) < len(record):
            record = record[int(step)]
        elif isinstance(record, list) and "=" in step:
            record, steps = _of_key(record, step, steps)
        else:
            return None
    return record


def _dotted(record: dict[str, Any], step: str, rest: list[str]) -> tuple[str, list[str]]:
    """Return the longest name with dots that a field has, of the steps that are left, and the steps after it."""
    for end in range(len(rest), 0, -1):
        name = ".".join([step, *rest[:end]])
        if name in record:
            return name, rest[end:]
    return step, rest


def _of_key(elements: list[Any], step: str, rest: list[str]) -> tuple[Any, list[str]]:
    """Return the first object of a list that has a field of a value, and the steps behind it; None where there is none."""
    key, _, value = step.partition("=")
    for end in range(len(rest), -1, -1):
        wanted = ".".join([value, *rest[:end]])
        found = next((e for e in elements if isinstance(e, dict) and str(e.get(key)) == wanted), None)
        if found is not None:
            return found, rest[end:]
    return None, rest
