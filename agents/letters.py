"""The dead letter of a message that an engine fails on: it is a fault of ours, and the message can be sent again."""

from __future__ import annotations

from agents.transport import Batch
from pipeline.engine.letters import dead_letter, own_fault


def letter_of(batch: Batch, record: tuple[int, int, bytes], why: Exception) -> tuple[bytes, bytes]:
    """Return key and value of the dead letter of a record (offset, arrival in epoch ms, value) of a batch."""
    offset, arrival_ms, value = record
    return dead_letter(own_fault(why), batch.topic, batch.partition, (offset, 0), arrival_ms, value or b"")
