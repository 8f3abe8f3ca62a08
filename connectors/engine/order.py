"""In which order a source answers: where the records of a window end, and whether a question was understood."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from connectors.engine.cursor import whole_seconds
from connectors.engine.declaration import Keyset
from connectors.engine.records import Record
from connectors.mapping.fields import field_at
from connectors.mapping.model import Mapping
from connectors.mapping.values import BadValue, time_reader
from pipeline.errors import SourceRefused


def first_older(records: list[Any], column: str | None, since: datetime) -> int | None:
    """Return at which record those older than a window begin, of records with the newest first; None where none does.

    Args:
        records: a page.
        column: their time; None: the source has a filter by time.
        since: where the window begins.
    """
    if column is None:
        return None
    read = time_reader("iso", "UTC", 0.0, column)
    for i, record in enumerate(records):
        at = field_at(record, column) if isinstance(record, dict) else None
        try:
            if at is not None and read(at) < since:
                return i
        except BadValue:
            continue  # the mapping says so of the record
    return None


def check_keyset(records: list[Record], since: str, cursor: Keyset, mapping: Mapping, where: str) -> None:
    """Raise where a source answers with older records than were asked for: a clause it does not know is dropped.

    Args:
        records: a page.
        since: the time that was asked for, as the request writes it.
        cursor: names the time of a record.
        mapping: how times are written.
        where: how messages name the stream.

    Raises:
        SourceRefused: it does.
    """
    read = time_reader(mapping.time_format, mapping.zone, 0.0, cursor.time)
    try:
        first, asked = read(field_at(records[0], cursor.time)), read(since)
    except BadValue:
        return  # the mapping says so of each record
    if whole_seconds(first) < whole_seconds(asked):
        raise SourceRefused(
            f"{where}: the source answers with records before {since}: it did not understand the question; "
            "check that the account may read and filter by all columns of the request"
        )
