"""The dead letter of a bad event: why it is none, where it lies in the log, and its beginning."""

from __future__ import annotations

import json
from base64 import b64encode
from hashlib import sha256

from pipeline.errors import InvalidEvent
from pipeline.time.calendar import from_ms

#: Bytes of a bad event that its dead letter keeps.
DEAD_LETTER_BYTES = 65_536
#: Characters that a letter tells of a fault of ours.
_FAULT_CHARACTERS = 500


def own_fault(why: Exception) -> InvalidEvent:
    """Return what the letter of an event says that nothing is wrong with, but that we failed on."""
    return InvalidEvent("internal-error", f"{type(why).__name__}: {why}"[:_FAULT_CHARACTERS])


def dead_letter(
    why: InvalidEvent, topic: str, partition: int, place: tuple[int, int], arrival_ms: int, raw: bytes
) -> tuple[bytes, bytes]:
    """Return key and value of the dead letter of an event.

    Args:
        why: it is no event of its topic.
        topic: where it was found.
        partition: of the topic.
        place: (offset of its message, which of the message's events it is).
        arrival_ms: when the broker got it, epoch ms.
        raw: its bytes.
    """
    kept = raw[:DEAD_LETTER_BYTES]
    try:
        text = {"event": kept.decode()}
    except UnicodeDecodeError:
        text = {"event_base64": b64encode(kept).decode()}
    offset, index = place
    letter = {
        "reason": why.reason,
        "detail": why.detail,
        "topic": topic,
        "partition": partition,
        "offset": offset,
        "index": index,
        "time": from_ms(arrival_ms).isoformat(),
        "sha256": sha256(raw).hexdigest(),
        "size": len(raw),
        **text,
    }
    key = f"{topic}|{partition}|{offset}|{index}".encode()
    return key, json.dumps(letter, ensure_ascii=True).encode()
