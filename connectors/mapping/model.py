"""The mapping language: one YAML file says how rows become events.

A **value** is a column name, or an object that says where it comes from (``column``, ``const``, ``template``, ``var``,
``equal``, ``lookup``) and what is done to it, in this order: ``pattern``, ``map`` / ``else``, ``as``, ``scale``,
``add_seconds``, ``plus``.
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
        lookup: the list of what the rows of a second file that belong to this row hold, each worked out by ``take``.
        take: the value of one row of that file.
        pattern: regular expression; its first group (or the match) is the value, no match is missing.
        map: text → value; what it does not name is ``else``, or an error.
        other: value for what ``map`` does not name (``else``).
        kind: text, int, float, bool or time (``as``).
        format: strptime format of a time; ``iso`` or ``epoch_s``, ``epoch_ms``, ``epoch_us``; or several, of which the first that
            fits counts.
        zone: zone of a time that has none.
        scale: numbers are multiplied by this.
        add_seconds: times are moved by this.
        plus: times are moved by so many seconds of the row; where it says none, there is no time.
        default: value where it is missing.
        missing: further texts that mean "no value" here.
        decimal: the mark before the fraction of a number, ``.`` or ``,``.
        thousands: a mark between groups of digits.
    """

    column: str | list[str] | None = None
    const: Any = msgspec.UNSET
    template: str | None = None
    var: str | None = None
    equal: tuple[str, str] | None = None
    lookup: str | None = None
    take: str | Value | None = None
    pattern: str | None = None
    map: dict[str, Any] | None = None
    other: Any = msgspec.UNSET
    kind: Kind = "text"
    format: str | list[str] | None = None
    zone: str | None = None
    scale: float = 1.0
    add_seconds: float = 0.0
    plus: str | Value | None = None
    default: Any = msgspec.UNSET
    missing: tuple[str, ...] = ()
    decimal: Literal[".", ","] | None = None
    thousands: str | None = None


class FromFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A variable read from the file's name: the first group of a regular expression."""

    file: str


class When(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"among": "in", "not_among": "not_in"}):
    """A row counts where a column holds what is wanted; without ``in``, ``not_in`` and ``matches``: anything at all.

    Attributes:
        column: which.
        among: it holds one of these texts (``in``).
        not_among: it holds none of these texts, or is missing (``not_in``).
        matches: it holds a text in which this regular expression is found.
        present: false asks that it is missing.
    """

    column: str
    among: list[str] | None = None
    not_among: list[str] | None = None
    matches: str | None = None
    present: bool = True


class First(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of rows with the same key columns only the first counts, by a time."""

    key: list[str]
    order: str | Value


class Lookup(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A second file, whose rows belong to rows of the first.

    Attributes:
        file: its name beside the imported file, with ``*`` for what varies; or a path given by --set of that name.
        key: its column that names the row it belongs to.
        match: the column of the imported file that ``key`` names.
        when: only rows of which all hold.
        format: csv, jsonl or json.
        delimiter: of CSV.
        records: where the array is, for json.
    """

    file: str
    key: str
    match: str
    when: list[When] = []
    format: Literal["csv", "jsonl", "json"] = "csv"
    delimiter: str = ","
    records: str | None = None


class Polled(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"from_": "from"}):
    """Of when a file is the whole truth; what is not said is taken from its events.

    Attributes:
        types: event types it would hold, had there been any; default: those of the mapping.
        from_: since when (``from``); default: its first event.
        to: until when; default: its last event.
    """

    types: list[str] = []
    from_: str | Value | None = None
    to: str | Value | None = None


class Event(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One event a row.

    Attributes:
        type: event type.
        time: event time.
        key: columns that name the entity, visitor or check: what shares a key stays in order.
        data: the event's fields.
        sequence: a column, or a whole number worked out, that orders the updates of one entity.
        service: overrides the mapping's.
        when: all must hold.
        first_by: only the first of several rows.
    """

    type: str
    time: str | Value
    data: dict[str, str | Value]
    key: list[str] = []
    sequence: str | Value | None = None
    service: str | Value | None = None
    when: list[When] = []
    first_by: First | None = None


class Mapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A whole mapping.

    Attributes:
        name: its name.
        source: the system the rows come from; default: the mapping's name. A number (``data.number``) means the same
            incident, change ... in every file of one source.
        format: csv, jsonl, or json (an array; ``records`` names where it is).
        delimiter: between the columns of CSV: one character, ``tab``, or ``auto``: comma, semicolon or tab, whichever the
            line of names has most of.
        encoding: of the file.
        columns: names of the columns of CSV without a line of names.
        skip_lines: lines before the names (or the first row), that are none of the table.
        skip_rows: first rows that say nothing.
        missing: texts that mean "no value".
        decimal: the mark before the fraction of numbers.
        thousands: a mark between groups of digits.
        zone: zone of times that have none.
        time_format: format of times that say none.
        service: what the rows are about; ``team`` registers services that the catalogue does not name.
        order_by: rows are sorted by these columns' times first (None: as they are).
        lookups: other files that say more about the rows.
        polled: of when the file is the whole truth.
        vars: variables and their defaults: a text, ``{file: PATTERN}`` to read it from the file's name, or null where
            it must be given by --set.
        events: what a row says.
    """

    name: str
    description: str = ""
    source: str = ""
    format: Literal["csv", "jsonl", "json"] = "csv"
    delimiter: str = ","
    encoding: str = "utf-8-sig"
    records: str | None = None
    columns: list[str] = []
    skip_lines: int = 0
    skip_rows: int = 0
    missing: tuple[str, ...] = ("",)
    decimal: Literal[".", ","] = "."
    thousands: str = ""
    zone: str = "UTC"
    time_format: str | list[str] = "iso"
    service: str | Value
    team: str | None = None
    order_by: list[str] = []
    lookups: dict[str, Lookup] = {}
    polled: Polled | None = None
    vars: dict[str, str | FromFile | None] = {}
    events: list[Event]
