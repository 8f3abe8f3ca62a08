"""What a receiver says about itself: deliveries by what came of them, events, how long the brokers took."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class HookStats:
    """Counters of a receiver, for ``/metrics``."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self._deliveries = Counter(
            "csf_webhook_deliveries", "Deliveries by what came of them", ("hook", "outcome"), registry=self.registry
        )
        self._events = Counter(
            "csf_webhook_events", "Events acknowledged by the brokers", ("hook", "type"), registry=self.registry
        )
        self._refused = Counter(
            "csf_webhook_refused_records", "Records that are no events", ("hook",), registry=self.registry
        )
        self._left_out = Counter(
            "csf_webhook_left_out_records", "Records that senders left out", ("hook",), registry=self.registry
        )
        self._last = Gauge(
            "csf_webhook_last_delivery_timestamp_seconds",
            "When a delivery was last taken",
            ("hook",),
            registry=self.registry,
        )
        self._acks = Histogram(
            "csf_webhook_acknowledged_seconds", "How long the brokers took", buckets=_SECONDS, registry=self.registry
        )

    def delivery(self, hook: str, outcome: str) -> None:
        """Count a delivery by what came of it."""
        self._deliveries.labels(hook, outcome).inc()

    def taken(self, hook: str, types: dict[str, int], refused: int, left_out: int, now: float) -> None:
        """Count what the brokers hold of a delivery."""
        for kind, number in types.items():
            self._events.labels(hook, kind).inc(number)
        self._refused.labels(hook).inc(refused)
        self._left_out.labels(hook).inc(left_out)
        self._last.labels(hook).set(now)

    def acknowledged(self, seconds: float) -> None:
        """Count how long the brokers took for what was sent together."""
        self._acks.observe(seconds)
