"""What an SQL connector declares: one YAML file, with ``kind: sql``."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from connectors.engine.declaration import Option


class SqlStream(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One kind of record.

    Attributes:
        name: of the stream.
        what: one sentence for people.
        table: where the rows are, ``schema.table``; or
        query: a SELECT without ORDER BY and LIMIT, which is read as a table.
        time: the column that moves with every change of a row.
        id: the column that no two rows share.
        form: what ``time`` holds: a date with time, or seconds or milliseconds since 1970.
        zone: of times that have none of their own.
        lag_s: the newest seconds, by the database's clock, are left for the next poll.
        overlap_s: seconds that are read again: longer than the longest transaction that writes, whose rows have an older
            time than the moment they can be seen.
        step_s: longest span of one turn; the cursor moves after each.
        page: rows of one transaction.
        version: columns that name a row's version; default: its time.
        permissions: what the account must be allowed.
        mapping: from row to events, in the language of file imports, without the keys that describe a file.
    """

    name: str
    what: str
    table: str | None = None
    query: str | None = None
    time: str
    id: str
    form: Literal["datetime", "epoch_s", "epoch_ms"] = "datetime"
    zone: str | None = None
    lag_s: float = 5.0
    overlap_s: float = 300.0
    step_s: float = 86_400.0
    page: int = 2000
    version: list[str] = []
    permissions: list[str] = []
    mapping: dict[str, Any]


class SqlDeclaration(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A whole SQL connector.

    Attributes:
        kind: says that it is one.
        name, title, what, tested, limits, options, poll_s: as of other connectors; the option ``address`` is there without
            being declared.
        streams: what is read.
    """

    kind: Literal["sql"]
    name: str
    title: str
    what: str
    tested: Literal["peer", "shapes"] = "shapes"
    limits: list[str] = []
    options: dict[str, Option] = {}
    poll_s: float = 30.0
    streams: list[SqlStream]
