"""What an answer that is none means: try again, and when; or never."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx2

from connectors.engine.declaration import RateLimit

#: Statuses that pass; all others from 400 on say that asking again will not help.
TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})
#: Longest wait that a source is obeyed in, seconds; beyond it, it is asked again after this.
LONGEST_WAIT_S = 3600.0


def transient(status: int, headers: httpx2.Headers, text: str, limit: RateLimit | None, as_limit: list[str]) -> bool:
    """Return whether asking again may help. Some vendors refuse with 403 what others answer with 429."""
    if status in TRANSIENT:
        return True
    if status != 403:
        return False
    exhausted = limit is not None and headers.get(limit.remaining) == "0"
    return exhausted or "retry-after" in headers or any(each.lower() in text.lower() for each in as_limit)


def wait_s(status: int, headers: httpx2.Headers, limit: RateLimit | None, now: datetime) -> float | None:
    """Return how long a source asks to be left alone, seconds; None where it says nothing.

    ``Retry-After`` comes first, as seconds or as an HTTP date; then the vendor's own header, where nothing remains.
    """
    said = headers.get("retry-after")
    if said is not None and (wait := _retry_after(said, now)) is not None:
        return _bounded(wait)
    if limit is None:
        return None
    if headers.get(limit.remaining, "0" if status == 429 else "") != "0":
        return None
    wait = _reset(headers.get(limit.reset, ""), limit.form, now)
    return None if wait is None else _bounded(wait)


def _bounded(wait: float) -> float:
    return min(max(wait, 0.0), LONGEST_WAIT_S)


def _retry_after(said: str, now: datetime) -> float | None:
    try:
        return float(said)
    except ValueError:
        pass
    try:
        at = parsedate_to_datetime(said)
    except ValueError:
        return None
    return ((at if at.tzinfo else at.replace(tzinfo=UTC)) - now).total_seconds()


def _reset(said: str, form: str, now: datetime) -> float | None:
    try:
        if form == "iso":
            at = datetime.fromisoformat(said)
            return ((at if at.tzinfo else at.replace(tzinfo=UTC)) - now).total_seconds()
        number = float(said)
    except ValueError:
        return None
    return number if form == "seconds" else number - now.timestamp()
