"""The dead letter of a message that an engine fails on: it is a fault of ours, and the message can be sent again."""

from __future__ import annotations

import json
from base64 import b64encode

from agents.transport import Batch
from pipeline.engine.letters import DEAD_LETTER_BYTES


def letter_of(batch: Batch, record: tuple[int, int, bytes], why: Exception) -> tuple[bytes, bytes]:
    """Return key and value of the dead letter of a record (offset, arrival in epoch ms, value) of a batch."""
    offset, arrival_ms, value = record
    letter = {
        "reason": "internal-error",
        "detail": f"{type(why).__name__}: {why}",
        "topic": batch.topic,
        "partition": batch.partition,
        "offset": offset,
        "index": 0,
        "arrival_ms": arrival_ms,
        "size": len(value or b""),
        "event_base64": b64encode((value or b"")[:DEAD_LETTER_BYTES]).decode(),
    }
    return f"{batch.topic}|{batch.partition}|{offset}|0".encode(), json.dumps(letter).encode()
