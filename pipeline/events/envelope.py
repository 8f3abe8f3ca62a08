"""CloudEvents 1.0 in JSON, single and batch: the form every event has on its way through Kafka.

``id`` and ``source`` identify an event, ``subject`` is the service, ``time`` is event time, the extension
``sequence`` orders what one source says, ``partitionkey`` is the message key. The extension ``csfteam``
names the team that owns the subject: an importer sets it to register a service the catalogue does not name.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec

CONTENT_TYPE_SINGLE = "application/cloudevents+json"
CONTENT_TYPE_BATCH = "application/cloudevents-batch+json"

#: Longest accepted message, bytes. Larger input is refused where it would be produced.
MAX_MESSAGE_BYTES = 1_000_000


class Envelope(msgspec.Struct):
    """One event as it is read: ``data`` stays raw until its type is known."""

    specversion: str
    id: str
    source: str
    type: str
    time: Annotated[datetime, msgspec.Meta(tz=True)]
    subject: str = ""
    data: msgspec.Raw = msgspec.Raw(b"{}")
    datacontenttype: str = "application/json"
    sequence: int | str | None = None
    partitionkey: str | None = None
    csfteam: str | None = None


class OutEvent(msgspec.Struct, omit_defaults=True):
    """One event as it is written by our own producers."""

    id: str
    source: str
    type: str
    time: datetime
    subject: str
    data: msgspec.Struct | dict[str, object]
    specversion: str = msgspec.field(default="1.0")
    sequence: int | None = None
    partitionkey: str | None = None
    csfteam: str | None = None
    datacontenttype: str = "application/json"


_encoder = msgspec.json.Encoder()


def encode(event: OutEvent) -> bytes:
    """Return one event as structured CloudEvents JSON."""
    # omit_defaults would drop the constant specversion that the standard demands
    fields = {k: v for k, v in msgspec.structs.asdict(event).items() if v is not None and v != ""}
    return _encoder.encode(fields)


def encode_batch(events: list[OutEvent]) -> bytes:
    """Return events as one CloudEvents JSON batch (a JSON array)."""
    return b"[" + b",".join(encode(e) for e in events) + b"]"
