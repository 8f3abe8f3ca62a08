"""The word of a source that it told a span of time whole: coverage is made of these."""

from __future__ import annotations

from datetime import datetime
from hashlib import blake2b

import msgspec

from pipeline.events.envelope import OutEvent
from pipeline.events.families import SourcePolled, event_topic

#: where the word is sent, with ``SourcePolled.source`` as its key
CONTROL = event_topic("control")


def told(source: str, span: SourcePolled, at: datetime) -> OutEvent:
    """Return the word that a span was told.

    Its id is made of what is said: said again, after a crash between saying it and keeping the cursor, it is a
    duplicate, and records that are known to be missing are counted once; said of the same span otherwise, it is news.

    Args:
        source: as the events of the span name it; ``span.source`` may be a part of it, such as one stream.
        span: from when to when, of which types and services.
        at: the event's time.
    """
    ident = blake2b(msgspec.json.encode(span), digest_size=16).hexdigest()
    return OutEvent(id=ident, source=source, type="source.polled", time=at, subject="", data=span)
