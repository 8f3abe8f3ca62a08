"""Deliveries on their way to the brokers: sent together, and each answered once the brokers hold it."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field

from connectors.engine.outgoing import Sink
from connectors.spans import CONTROL
from connectors.webhook.parcel import Parcel
from connectors.webhook.remembered import Remembered
from pipeline.errors import ServiceUnavailable
from pipeline.events.envelope import OutEvent

#: Deliveries that may wait for the brokers, and their bytes: beyond it senders are told to come again.
MOST_WAITING, MOST_BYTES = 1000, 64 * 2**20


class Busy(Exception):
    """Too much waits for the brokers already."""


@dataclass(frozen=True)
class Delivery:
    """One delivery: whose, its digest and size, what it became."""

    source: str
    digest: bytes
    size: int
    parcel: Parcel
    #: done once the brokers hold it; fails where they do not take it
    acknowledged: Future[None] = field(default_factory=Future)


class Inbox:
    """Sends deliveries from a thread of its own: all that wait, then one flush, then the answers.

    Args:
        sink: where events go.
        remembered: learns what the brokers hold.
        complain: takes one sentence.
        on_ack: told how long the brokers took, seconds.
    """

    def __init__(
        self, sink: Sink, remembered: Remembered, complain: Callable[[str], None],
        on_ack: Callable[[float], None] = lambda _s: None,
    ) -> None:  # fmt: skip
        self._sink, self._remembered, self._complain, self._on_ack = sink, remembered, complain, on_ack
        self._waiting: deque[Delivery] = deque()
        self._said: deque[tuple[str, OutEvent]] = deque(maxlen=MOST_WAITING)
        #: what was to be said and the brokers did not take: it is as true later
        self._unsaid: list[tuple[str, OutEvent]] = []
        self._bytes = 0
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="inbox", daemon=True)
        self._thread.start()

    def put(self, delivery: Delivery) -> None:
        """Take a delivery.

        Raises:
            Busy: too much waits.
        """
        with self._changed:
            if len(self._waiting) >= MOST_WAITING or self._bytes + delivery.size > MOST_BYTES or self._closing:
                raise Busy
            self._waiting.append(delivery)
            self._bytes += delivery.size
            self._changed.notify()

    def say(self, key: str, event: OutEvent) -> None:
        """Send an event about the receiver itself; where that fails, again with what is sent next."""
        with self._changed:
            self._said.append((key, event))
            self._changed.notify()

    def close(self, timeout_s: float = 20.0) -> None:
        """Send what waits, and end."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._said and not self._closing:
                    self._changed.wait()
                turn, said = list(self._waiting), list(self._said)
                if not turn and not said:
                    return
                self._said.clear()
            self._send(turn, said)
            with self._changed:
                for delivery in turn:
                    self._waiting.popleft()
                    self._bytes -= delivery.size

    def _send(self, turn: list[Delivery], said: list[tuple[str, OutEvent]]) -> None:
        begun = time.monotonic()
        said = (self._unsaid + said)[-MOST_WAITING:]
        self._unsaid = said  # until the brokers hold it
        try:
            for delivery in turn:
                self._hand_over(delivery)
            for key, event in said:
                self._sink.send(CONTROL, event, key)
            self._sink.flush()
        except ServiceUnavailable as e:
            self._complain(f"{e}; senders are told to come again")
            for delivery in turn:
                delivery.acknowledged.set_exception(e)
            return
        except Exception as e:  # whatever it was, nobody is told that the brokers hold it
            self._complain(f"a fault of the receiver: {type(e).__name__}: {e}")
            for delivery in turn:
                delivery.acknowledged.set_exception(e)
            return
        self._unsaid = []
        self._on_ack(time.monotonic() - begun)
        try:
            self._remembered.add((d.source, d.digest) for d in turn)
        except sqlite3.Error as e:
            self._complain(f"what was taken is remembered until a restart only: {e}")
        for delivery in turn:
            delivery.acknowledged.set_result(None)

    def _hand_over(self, delivery: Delivery) -> None:
        for event in delivery.parcel.events:
            self._sink.add(event.topic, event.key, event.raw, delivery.source)
        for letter in delivery.parcel.letters:
            self._sink.bury("", letter.reason, letter.detail, letter.raw, source=delivery.source)
