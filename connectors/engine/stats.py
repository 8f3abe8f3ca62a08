"""What a connector says about itself: requests, waits, events, failures, the last success of every stream."""

from __future__ import annotations

import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge

from pipeline.sources import Figures

_EVENTS = "Events acknowledged by the brokers"
#: Vendor's ids without a service that are told of one stream.
_MOST_UNMAPPED = 20


class Stats:
    """Counters of one connector, for ``/metrics``.

    Args:
        source: whose they are, a label.
        registry: where they are shown; a new one where none is given.
        clock: epoch seconds.
    """

    def __init__(
        self, source: str, registry: CollectorRegistry | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self.registry = registry or CollectorRegistry()
        self.source = source
        #: the figures by stream
        self.figures: dict[str, Figures] = {}
        self._clock = clock
        self._current = ""
        self._requests = self._counter("requests", "Requests by what came of them: a status, or failed", "outcome")
        self._waits = self._counter("rate_limit_waits", "Waits that the source asked for")
        self._waited = self._counter("rate_limit_wait_seconds", "Seconds the source asked to be left alone")
        self._events = self._counter("events", _EVENTS, "stream", "type")
        self._refused = self._counter("refused_records", "Records that are no events", "stream")
        self._truncated = self._counter("truncated_records", "Records a limit of the source hides, at least", "stream")
        self._failures = self._counter("failed_polls", "Polls that did not come to their end", "stream")
        self._forgotten = self._counter("forgotten_entities", "Unfinished entities given up: too many", "stream")
        self._without = self._gauge(
            "answers_without_records", "Answers since the start with nothing at the declared path of records, until one has some", "stream"
        )  # fmt: skip
        self._success = self._gauge("last_success_timestamp_seconds", "When a poll last came to its end", "stream")
        self._until = self._gauge("delivered_until_timestamp_seconds", "Until when everything was delivered", "stream")
        self._poll = self._gauge("poll_seconds", "Seconds between two polls of a stream")
        self._open = self._gauge("unfinished_entities", "Entities that are asked for again", "stream")

    def _counter(self, name: str, what: str, *labels: str) -> Counter:
        return Counter(f"csf_connector_{name}", what, ("source", *labels), registry=self.registry)

    def _gauge(self, name: str, what: str, *labels: str) -> Gauge:
        return Gauge(f"csf_connector_{name}", what, ("source", *labels), registry=self.registry)

    def every(self, seconds: float) -> None:
        """Note how far polls are apart."""
        self._poll.labels(self.source).set(seconds)

    def of(self, stream: str) -> Figures:
        """Return the figures of a stream."""
        return self.figures.setdefault(stream, Figures())

    def turn(self, stream: str) -> None:
        """Note that a stream is polled now: requests and waits from here on are its."""
        self._current = stream
        self.of(stream).asked_at = self._clock()

    def request(self, outcome: str) -> None:
        """Count a request."""
        self.of(self._current).requests += 1
        self._requests.labels(self.source, outcome).inc()

    def waited(self, seconds: float) -> None:
        """Count a wait that the source asked for, and that begins now."""
        figures = self.of(self._current)
        figures.waits += 1
        figures.waited_s += seconds
        figures.waits_until = self._clock() + seconds
        self._waits.labels(self.source).inc()
        self._waited.labels(self.source).inc(seconds)

    def events(self, stream: str, kind: str, number: int) -> None:
        """Count events that the brokers acknowledged."""
        self.of(stream).events += number
        self._events.labels(self.source, stream, kind).inc(number)

    def refused(self, stream: str) -> None:
        """Count a record that is no event."""
        self.of(stream).refused += 1
        self._refused.labels(self.source, stream).inc()

    def truncated(self, stream: str, number: int) -> None:
        """Count records that a limit of the source hides."""
        figures = self.of(stream)
        figures.truncated += number
        figures.truncated_at = self._clock()
        self._truncated.labels(self.source, stream).inc(number)

    def failed(self, stream: str, why: str = "") -> None:
        """Count a poll that did not come to its end; ``why``, in one sentence, without secrets."""
        figures = self.of(stream)
        figures.failures += 1
        figures.error, figures.error_at, figures.waits_until = why, self._clock(), None
        self._failures.labels(self.source, stream).inc()

    def forgotten(self, stream: str, number: int) -> None:
        """Count unfinished entities that were given up."""
        self.of(stream).forgotten += number
        self._forgotten.labels(self.source, stream).inc(number)

    def without_records(self, stream: str, number: int) -> None:
        """Note how many answers had nothing at the path of the records, none before or after having had some."""
        self._without.labels(self.source, stream).set(number)

    def succeeded(self, stream: str, now: float, until: float, unfinished: int) -> None:
        """Note a poll that came to its end."""
        figures = self.of(stream)
        figures.success_at, figures.until, figures.failures, figures.waits_until = now, until, 0, None
        self._success.labels(self.source, stream).set(now)
        self._until.labels(self.source, stream).set(until)
        self._open.labels(self.source, stream).set(unfinished)

    def unmapped(self, stream: str, ids: dict[str, int]) -> None:
        """Note vendor's ids that ``services`` does not name, with their records."""
        known = self.of(stream).unmapped
        for name, number in ids.items():
            if name in known or len(known) < _MOST_UNMAPPED:
                known[name] = known.get(name, 0) + number
