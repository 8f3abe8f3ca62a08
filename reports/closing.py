"""When a month was closed, as the event archive tells it."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import msgspec

from pipeline.archive import ArchiveReader
from pipeline.archive.errors import ArchiveDamaged, ArchiveError
from pipeline.errors import InvalidEvent
from pipeline.events.envelope import Envelope
from pipeline.events.families import event_topic
from pipeline.events.validate import decode_envelope, split_message

#: Control messages that are looked through, from the month's end on: four weeks of clock ticks and more.
_LOOKED_AT = 500_000


def closed_at(archive: Path | None, month: str, end_s: int) -> float | None:
    """Return when the barrier of a month arrived, epoch seconds; None where the archive does not tell.

    Args:
        archive: its folder; None where it is off.
        month: ``2026-10``.
        end_s: its end, before which it cannot have been closed.
    """
    if archive is None:
        return None
    damaged: list[ArchiveDamaged] = []
    records = ArchiveReader(archive, damaged.append).records([event_topic("control")], time_from_ms=end_s * 1000)
    try:
        for record in islice(records, _LOOKED_AT):
            if b"month.closed" in record.value and _closes(record.value, month):
                return record.arrival_ms / 1000
    except ArchiveError:  # it cannot be read: the report stands without it
        return None
    return None


def _closes(value: bytes, month: str) -> bool:
    try:
        return any(_is_barrier(decode_envelope(raw), month) for raw in split_message(value))
    except (InvalidEvent, msgspec.MsgspecError):
        return False


def _is_barrier(event: Envelope, month: str) -> bool:
    data = msgspec.json.decode(event.data) if event.type == "month.closed" else {}
    return isinstance(data, dict) and data.get("month") == month and data.get("offsets") is None
