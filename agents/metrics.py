"""What a worker counts and times, for Prometheus. Labels come from the catalogue and the topics only."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from pipeline.alerts.engine import AlertEngine
from pipeline.values import Exits, KpiValue

#: Live values of these windows are shown as gauges.
_WINDOWS = ("1h", "30d")
#: Series of KPI values at most: services that importers register must not flood Prometheus.
_VALUE_SERIES = 5_000
#: Characters of a silence's reason that a label holds.
_REASON_LENGTH = 100
_SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """The metrics of one worker, in a registry of their own."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        self.received = Gauge(
            "csf_events_received", "Events taken from a source partition", ["topic"], registry=registry
        )
        self.exits = Gauge(
            "csf_events_exit", "Events by exit and reason", ["topic", "exit", "reason"], registry=registry
        )
        self.clock = Gauge("csf_partition_clock_seconds", "Largest arrival time seen", ["topic"], registry=registry)
        self.lag = Gauge("csf_lag_messages", "Messages not yet acknowledged", ["topic"], registry=registry)
        self.folded = Counter("csf_messages_folded", "Messages folded", ["topic"], registry=registry)
        self.pending = Gauge("csf_rollup_pending", "Values still to be evaluated", registry=registry)
        self.fold_seconds = Histogram(
            "csf_fold_seconds", "Folding one batch", ["agent"], registry=registry, buckets=_SECONDS
        )
        self.flush_seconds = Histogram("csf_flush_seconds", "One flush of state", registry=registry, buckets=_SECONDS)
        self.write_seconds = Histogram(
            "csf_store_write_seconds", "One store write", registry=registry, buckets=_SECONDS
        )
        self.written = Counter("csf_values_written", "KPI values written to the store", registry=registry)
        self.rejected = Counter("csf_values_rejected", "KPI values the store refused", registry=registry)
        self.store_retries = Counter("csf_store_retries", "Store writes tried again", registry=registry)
        self.archive_failures = Counter("csf_archive_failures", "Batches the archive lost", registry=registry)
        self.rebalances = Counter("csf_rebalances", "Times partitions were assigned", registry=registry)
        self.value = Gauge("csf_kpi_value", "Live KPI value", ["csf", "kpi", "scope", "window"], registry=registry)
        self.alert_inputs_unread = Counter(
            "csf_alert_inputs_unread", "Messages to alerting that cannot be read", registry=registry
        )
        self.alerts = Gauge(
            "csf_alert_firing", "Alerts that fire", ["rule", "csf", "scope", "severity"], registry=registry
        )
        self.notifications = Counter(
            "csf_notifications", "Notifications by what became of them", ["channel", "state"], registry=registry
        )
        self.notifications_waiting = Gauge(
            "csf_notifications_waiting", "Notifications not yet delivered", ["channel"], registry=registry
        )
        self.silences = Gauge(
            "csf_alert_silence_end_seconds", "When silences in force end", ["id", "by", "reason"], registry=registry
        )
        self.maintenance = Gauge(
            "csf_maintenance_end_seconds", "When planned maintenance that is on ends", ["service"], registry=registry
        )
        self.channel_down = Gauge(
            "csf_channel_failing", "1 where a channel takes no notifications, else 0", ["channel"], registry=registry
        )
        self._exits: dict[tuple[str, int], Exits] = {}
        self._series: set[tuple[str, str, str, str]] = set()

    def keep_exits(self, exits: Exits) -> None:
        """Take the absolute exit counts of a source partition."""
        self._exits[(exits.topic, exits.partition)] = exits

    def forget_partitions(self) -> None:
        """Forget what belonged to partitions that may be another worker's now."""
        self._exits.clear()

    def keep_values(self, values: Iterable[KpiValue]) -> None:
        """Take live values."""
        for v in values:
            if v.state != "live" or v.period not in _WINDOWS:
                continue
            labels = (v.csf, v.kpi, v.scope, v.period)
            if v.value is None:
                if labels in self._series:
                    self._series.discard(labels)
                    self.value.remove(*labels)
            elif labels in self._series or len(self._series) < _VALUE_SERIES:
                self._series.add(labels)
                self.value.labels(*labels).set(v.value)

    def keep_alerts(self, engine: AlertEngine, now: float) -> None:
        """Take the alerts that fire, the notifications that wait, and what holds raises back at ``now``, epoch seconds."""
        self.forget_alerts()
        book = engine.book
        for (name, scope), instance in book.instances.items():
            if instance.state == "firing":
                rule = book.rules[name]
                self.alerts.labels(name, book.csf_of(rule), scope, rule.severity).set(1)
        for delivery in engine.deliveries.values():
            self.notifications_waiting.labels(delivery.channel).inc()
        for silence in engine.desk.silences.values():
            if silence.start <= now < silence.end:
                self.silences.labels(silence.id, silence.by, silence.reason[:_REASON_LENGTH]).set(silence.end)
        for service, windows in engine.desk.maintenance.items():
            ends = [end for start, end in windows if start <= now < end]
            if ends:
                self.maintenance.labels(service).set(max(ends))

    def keep_channels(self, failing: dict[str, bool]) -> None:
        """Take whether each channel fails."""
        for channel, fails in failing.items():
            self.channel_down.labels(channel).set(fails)

    def forget_alerts(self) -> None:
        """Forget alerts: they are another worker's to show."""
        for gauge in (self.alerts, self.notifications_waiting, self.silences, self.maintenance, self.channel_down):
            gauge.clear()

    def render(self, lag: dict[str, int]) -> bytes:
        """Return everything in Prometheus' text format."""
        for gauge in (self.received, self.exits, self.clock, self.lag):
            gauge.clear()
        for topic, behind in lag.items():
            self.lag.labels(topic).set(behind)
        for (topic, _), exits in self._exits.items():
            self.received.labels(topic).inc(exits.received)
            for name in ("kpi", "dead_letter", "duplicate", "unmapped", "ignored"):
                by_reason = {r: n for r, n in exits.reasons.items() if r.startswith(f"{name}:")}
                self.exits.labels(topic, name, "").inc(getattr(exits, name) - sum(by_reason.values()))
                for reason, number in by_reason.items():
                    self.exits.labels(topic, name, reason.partition(":")[2]).inc(number)
        clocks: dict[str, float] = {}
        for (topic, _), exits in self._exits.items():
            clocks[topic] = max(clocks.get(topic, 0.0), exits.clock)
        for topic, at in clocks.items():
            self.clock.labels(topic).set(at)
        return generate_latest(self.registry)
