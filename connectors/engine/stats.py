"""What a connector says about itself: requests, waits, events, failures, the last success of every stream."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge

_EVENTS = "Events acknowledged by the brokers"


class Stats:
    """Counters of one connector, for ``/metrics``.

    Args:
        source: whose they are, a label.
        registry: where they are shown; a new one where none is given.
    """

    def __init__(self, source: str, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self._source = source
        self._requests = self._counter("requests", "Requests by what came of them: a status, or failed", "outcome")
        self._waits = self._counter("rate_limit_waits", "Waits that the source asked for")
        self._waited = self._counter("rate_limit_wait_seconds", "Seconds the source asked to be left alone")
        self._events = self._counter("events", _EVENTS, "stream", "type")
        self._refused = self._counter("refused_records", "Records that are no events", "stream")
        self._truncated = self._counter("truncated_records", "Records a limit of the source hides, at least", "stream")
        self._failures = self._counter("failed_polls", "Polls that did not come to their end", "stream")
        self._forgotten = self._counter("forgotten_entities", "Unfinished entities given up: too many", "stream")
        self._success = self._gauge("last_success_timestamp_seconds", "When a poll last came to its end", "stream")
        self._until = self._gauge("delivered_until_timestamp_seconds", "Until when everything was delivered", "stream")
        self._open = self._gauge("unfinished_entities", "Entities that are asked for again", "stream")

    def _counter(self, name: str, what: str, *labels: str) -> Counter:
        return Counter(f"csf_connector_{name}", what, ("source", *labels), registry=self.registry)

    def _gauge(self, name: str, what: str, *labels: str) -> Gauge:
        return Gauge(f"csf_connector_{name}", what, ("source", *labels), registry=self.registry)

    def request(self, outcome: str) -> None:
        """Count a request."""
        self._requests.labels(self._source, outcome).inc()

    def waited(self, seconds: float) -> None:
        """Count a wait that the source asked for."""
        self._waits.labels(self._source).inc()
        self._waited.labels(self._source).inc(seconds)

    def events(self, stream: str, kind: str, number: int) -> None:
        """Count events that the brokers acknowledged."""
        self._events.labels(self._source, stream, kind).inc(number)

    def refused(self, stream: str) -> None:
        """Count a record that is no event."""
        self._refused.labels(self._source, stream).inc()

    def truncated(self, stream: str, number: int) -> None:
        """Count records that a limit of the source hides."""
        self._truncated.labels(self._source, stream).inc(number)

    def failed(self, stream: str) -> None:
        """Count a poll that did not come to its end."""
        self._failures.labels(self._source, stream).inc()

    def forgotten(self, stream: str, number: int) -> None:
        """Count unfinished entities that were given up."""
        self._forgotten.labels(self._source, stream).inc(number)

    def succeeded(self, stream: str, now: float, until: float, unfinished: int) -> None:
        """Note a poll that came to its end."""
        self._success.labels(self._source, stream).set(now)
        self._until.labels(self._source, stream).set(until)
        self._open.labels(self._source, stream).set(unfinished)
