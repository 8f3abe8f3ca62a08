"""The dead letter of a message that an engine fails on: it is a fault of ours, and the message can be sent again."""

from __future__ import annotations

from agents.transport import Batch
from pipeline.engine.letters import dead_letter
from pipeline.errors import InvalidEvent

_DETAIL_CHARACTERS = 500


def letter_of(batch: Batch, record: tuple[int, int, bytes], why: Exception) -> tuple[bytes, bytes]:
    """Return key and value of the dead letter of a record (offset, arrival in epoch ms, value) of a batch."""
    offset, arrival_ms, value = record
    fault = InvalidEvent("internal-error", f"{type(why).__name__}: {why}"[:_DETAIL_CHARACTERS])
    return dead_letter(fault, batch.topic, batch.partition, (offset, 0), arrival_ms, value or b"")
