"""Whose turn it is: streams are asked in the order in which they were asked least recently, also over deaths.

A turn is noted when it begins, as a cursor beside the stream's own. A process that is killed again and again so begins with
the stream that has waited longest, and not with the one whose turn killed it; and what that one had in hand is known.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

#: Behind the stream's cursor and a bar: where its turn is kept.
NAME = "turn"
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


class Turn(msgspec.Struct, frozen=True, omit_defaults=True):
    """The last turn of a stream.

    Attributes:
        asked: when it began.
        until: the end of the window that was being read; None where a poll came to its end.
        length_s: how long that window was, seconds.
        after: the unfinished entity that was asked for last.
    """

    asked: datetime = _NEVER
    until: datetime | None = None
    length_s: float = 0.0
    after: str = ""

    def sufficed_s(self, reached: datetime) -> float | None:
        """Return which window a life may suffice for, seconds, after a poll that nobody lived to end; None after others.

        Args:
            reached: where the cursor stands: at the end of the last window, or not even there: then half of it is tried.
        """
        if self.until is None:
            return None
        return self.length_s if reached >= self.until else float(int(self.length_s / 2))


def turn_of(kept: object) -> Turn:
    """Return a turn as it was kept; one that cannot be read is as good as none: it orders, and nothing depends on it."""
    try:
        return Turn() if kept is None else msgspec.convert(kept, Turn)
    except msgspec.ValidationError:
        return Turn()


def kept_turn(turn: Turn) -> dict[str, Any]:
    """Return a turn as it is kept."""
    found: dict[str, Any] = msgspec.to_builtins(turn)
    return found
