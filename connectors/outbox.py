"""Events of a live connector on their way to Kafka: kept in memory while the brokers do not answer."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from connectors.producer import EventProducer
from pipeline.errors import ServiceUnavailable
from pipeline.events.envelope import OutEvent

#: What is kept at most; beyond it the oldest are given up, and counted.
LIMIT = 100_000
_RETRY_S = 2.0
_ONE_TURN = 1000


class Outbox:
    """Takes events at once and sends them from a thread of its own; a broker that is away delays no check.

    Args:
        producer: where they go.
        complain: called with one sentence where something goes wrong.
        limit: events kept while the brokers do not answer.
    """

    def __init__(self, producer: EventProducer, complain: Callable[[str], None], limit: int = LIMIT) -> None:
        self._producer, self._complain, self._limit = producer, complain, limit
        self._waiting: deque[tuple[str, str, OutEvent]] = deque()
        self._changed = threading.Condition()
        self._closing = False
        #: events given up
        self.lost = 0
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)
        self._thread.start()

    def put(self, topic: str, key: str, event: OutEvent) -> None:
        """Take an event; never waits."""
        with self._changed:
            if len(self._waiting) >= self._limit:
                self._waiting.popleft()
                self.lost += 1
                if self.lost in {1, 10, 100} or self.lost % 1000 == 0:
                    self._complain(f"{self.lost} events were given up: {self._limit} wait for the brokers already")
            self._waiting.append((topic, key, event))
            self._changed.notify()

    @property
    def pending(self) -> int:
        """How many events the brokers have not acknowledged yet."""
        return len(self._waiting)

    def close(self, timeout: float = 20.0) -> int:
        """Send what waits, for so many seconds at most; return how many events are left."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(timeout)
        return self.pending

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._closing:
                    self._changed.wait()
                turn = [self._waiting[i] for i in range(min(_ONE_TURN, len(self._waiting)))]
                lost = self.lost
            if not turn:
                return
            try:
                for topic, key, event in turn:
                    self._producer.send(topic, event, key)
                self._producer.flush()
            except ServiceUnavailable as e:
                self._complain(f"{e}; trying again")
                with self._changed:
                    if self._closing:
                        return
                    self._changed.wait_for(lambda: self._closing, _RETRY_S)
                continue
            with self._changed:
                for _ in range(max(0, len(turn) - (self.lost - lost))):
                    self._waiting.popleft()
