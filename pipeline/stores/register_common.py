"""What both registers share: the question whether somebody else was quicker, times and ids."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from pipeline.errors import EntryConflict, StoreRejected
from pipeline.report.register import Entry, latest_id

#: no vowels and nothing that looks like something else: 23 million ids of five, none a word
_LETTERS, _LENGTH = "23456789BCDFGHJKMNPQRSTVWXYZ", 5


def require_seen(own: Sequence[Entry], entry: Entry, after: str | None) -> None:
    """Refuse an entry whose author has not seen the latest one about its subject.

    Args:
        own: the entries about the subject.
        entry: the new one.
        after: id of the latest one its author has seen; None: not asked.
    """
    latest = latest_id(own, entry.subject)
    if after is None or latest == after:
        return
    found = next(e for e in own if e.id == latest) if latest else None
    by = f" by {found.who} at {moment(found.at)}" if found else ""
    raise EntryConflict(f"{entry.subject} was changed{by} after you read it; look at it again, then repeat your change")


def is_there(own: Sequence[Entry], entry: Entry) -> bool:
    """Return whether the very same entry is there already.

    Raises:
        StoreRejected: another one has its id.
    """
    found = next((e for e in own if e.id == entry.id), None)
    if found is not None and found != entry:
        raise StoreRejected(f"the register has another entry with the id {entry.id}; give this one an id of its own")
    return found is not None


def moment(at_ms: int) -> str:
    """Return an entry's time to the second, in UTC."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def now_ms() -> int:
    """Return epoch milliseconds now."""
    return time.time_ns() // 1_000_000


def new_entry_id() -> str:
    """Return an id that no other entry has."""
    return secrets.token_hex(8)


def new_sip_id() -> str:
    """Return a SIP's id that is easily said and typed; whether it is free is to be looked up."""
    return "SIP-" + "".join(secrets.choice(_LETTERS) for _ in range(_LENGTH))
