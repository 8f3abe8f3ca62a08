"""What waits to be told by each channel, and what a channel was never told, so that its end is no news there.

Pure: what became of a delivery is told in; nothing here sends.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

import msgspec

from pipeline.alerts.messages import Message, Told, put_together

State = Literal["delivered", "failed", "expired", "dropped"]
#: (channel, rule, scope)
Untold = tuple[str, str, str]
NEVER_TOLD = "its raise did not get here, so that its end would be news of something never told"


class Delivery(msgspec.Struct, frozen=True, array_like=True):
    """A notification on its way to one channel.

    Attributes:
        number: deliveries of a channel go out in this order.
        at: when it was decided, epoch seconds.
    """

    number: int
    channel: str
    at: float
    message: Message


class Outbox:
    """Deliveries that are not made yet, and the alerts whose raise a channel refused or let expire."""

    def __init__(self) -> None:
        #: by number
        self.deliveries: dict[int, Delivery] = {}
        self.untold: set[Untold] = set()

    def next_for(self, channel: str) -> Delivery | None:
        """Return the oldest delivery that waits for a channel, None where none does.

        It goes without the clears of what the channel was never told; nothing may be left of it.
        """
        first = min((d for d in self.deliveries.values() if d.channel == channel), key=lambda d: d.number, default=None)
        if first is None or not (idle := self._idle(first)):
            return first
        message = first.message
        told = tuple(each for each in message.alerts if each not in idle)
        return msgspec.structs.replace(first, message=put_together(message.id, message.at, told))

    def end(self, number: int, state: State) -> tuple[tuple[Told, ...], tuple[Told, ...], set[Untold]]:
        """Take a delivery off; note which of its alerts its channel does not know of.

        Returns:
            Its alerts that this is the end of, those that were not told since their raise never was, and what changed
            in ``untold``.
        """
        delivery = self.deliveries.pop(number)
        idle = self._idle(delivery)
        left = () if state == "dropped" else tuple(t for t in delivery.message.alerts if t not in idle)
        before = set(self.untold)
        for told in delivery.message.alerts:
            key = (delivery.channel, told.rule, told.scope)
            if told.kind == "raise" and state in {"failed", "expired"}:
                self.untold.add(key)
            elif told.kind == "clear" or state == "delivered":
                self.untold.discard(key)
        return left, tuple(idle), before ^ self.untold

    def keep(self, channels: Collection[str]) -> set[Untold]:
        """Forget what channels that are no more were not told; return what changed in ``untold``."""
        gone = {key for key in self.untold if key[0] not in channels}
        self.untold -= gone
        return gone

    def _idle(self, delivery: Delivery) -> list[Told]:
        return [
            told
            for told in delivery.message.alerts
            if told.kind == "clear" and (delivery.channel, told.rule, told.scope) in self.untold
        ]
