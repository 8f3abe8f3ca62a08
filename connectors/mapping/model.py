"""The mapping language: one YAML file says how rows become events.

A **value** is a column name, or an object that says where it comes from (``column``, ``const``, ``template``, ``var``,
``equal``) and what is done to it, in this order: ``pattern``, ``map`` / ``else``, ``as``, ``scale``, ``add_seconds``.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

Kind = Literal["text", "int", "float", "bool", "time"]


class Value(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"kind": "as", "other": "else"}):
    """Where a value comes from and what is done to it.

    Attributes:
        column: column, or several of which the first that is not missing counts.
        const: always this.
        template: text with {column} in it.
        var: a variable of the run: ``stem`` (file name without endings), ``file``, or one given by --set.
        equal: 1 where two columns hold the same text, else 0.
        pattern: regular expression; its first group (or the match) is the value, no match is missing.
        map: text → value; what it does not name is ``else``, or an error.
        other: value for what ``map`` does not name (``else``).
        kind: text, int, float, bool or time (``as``).
        format: strptime format of a time; ``iso`` or ``epoch_s``, ``epoch_ms``.
        zone: zone of a time that has none.
        scale: numbers are multiplied by this.
        add_seconds: times are moved by this.
        default: value where it is missing.
        missing: further texts that mean "no value" here.
    """

    column: str | list[str] | None = None
    const: Any = msgspec.UNSET
    template: str | None = None
    var: str | None = None
    equal: tuple[str, str] | None = None
    pattern: str | None = None
    map: dict[str, Any] | None = None
    other: Any = msgspec.UNSET
    kind: Kind = "text"
    format: str | None = None
    zone: str | None = None
    scale: float = 1.0
    add_seconds: float = 0.0
    default: Any = msgspec.UNSET
    missing: tuple[str, ...] = ()


class FromFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A variable read from the file's name: the first group of a regular expression."""

    file: str


class When(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"among": "in", "not_among": "not_in"}):
    """A row counts where the column holds one (none) of these texts; ``present`` asks that it is not missing."""

    column: str
    among: list[str] | None = None
    not_among: list[str] | None = None
    present: bool = True


class First(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of rows with the same key columns only the first counts, by a time."""

    key: list[str]
    order: str | Value


class Event(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One event a row.

    Attributes:
        type: event type.
        time: event time.
        key: columns that name the entity, visitor or check: what shares a key stays in order.
        data: the event's fields.
        sequence: a column that orders the updates of one entity.
        service: overrides the mapping's.
        when: all must hold.
        first_by: only the first of several rows.
    """

    type: str
    time: str | Value
    data: dict[str, str | Value]
    key: list[str] = []
    sequence: str | None = None
    service: str | Value | None = None
    when: list[When] = []
    first_by: First | None = None


class Mapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A whole mapping.

    Attributes:
        name: its name.
        format: csv, jsonl, or json (an array; ``records`` names where it is).
        missing: texts that mean "no value".
        zone: zone of times that have none.
        time_format: format of times that say none.
        service: what the rows are about; ``team`` registers services that the catalogue does not name.
        order_by: rows are sorted by these columns' times first (None: as they are).
        vars: variables and their defaults: a text, ``{file: PATTERN}`` to read it from the file's name, or null where
            it must be given by --set.
        events: what a row says.
    """

    name: str
    description: str = ""
    format: Literal["csv", "jsonl", "json"] = "csv"
    delimiter: str = ","
    encoding: str = "utf-8-sig"
    records: str | None = None
    missing: tuple[str, ...] = ("",)
    zone: str = "UTC"
    time_format: str = "iso"
    service: str | Value
    team: str | None = None
    order_by: list[str] = []
    vars: dict[str, str | FromFile | None] = {}
    events: list[Event]
