"""The Kafka topics of an installation: as data, and made so before any worker starts.

Nothing is left to the broker's defaults or to automatic creation: event topics, ``csf.partials``, ``csf.alert-inputs``
and the changelog must have equal partition counts, because one worker owns the same partition number of all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError, TopicAlreadyExistsError

from pipeline.errors import ConfigError, ServiceUnavailable
from pipeline.events.envelope import MAX_MESSAGE_BYTES
from pipeline.events.families import EVENT_TOPICS
from pipeline.topics import ALERT_INPUTS, ALERTS, CURSORS, DEAD_LETTERS, KPIS, PARTIALS

if TYPE_CHECKING:
    from agents.config import KafkaSecurity

STATE_TABLE = "state"
_HOUR_MS = 3_600_000
_NOTES_MS = 90 * 24 * _HOUR_MS
_MIB = 2**20
#: Brokers that do not answer at all are told of after this, ms.
_BOOTSTRAP_MS = 10_000


@dataclass(frozen=True)
class TopicSpec:
    """One topic: its name, number of partitions and settings that differ from the broker's."""

    name: str
    partitions: int
    config: dict[str, str]


def changelog_topic(group: str) -> str:
    """Return the topic that keeps the state of a group's workers."""
    return f"{group}-{STATE_TABLE}-changelog"


def topic_specs(
    *, group: str = "csf", partitions: int = 4, retention_hours: int = 168, retention_bytes: int = -1
) -> list[TopicSpec]:
    """Return every topic of an installation.

    Args:
        group: the workers' consumer group.
        partitions: partitions of event topics, partials and changelog.
        retention_hours: how long events and partials are kept; must outlast the longest stop of all workers.
        retention_bytes: bytes kept a partition of those at most; -1: no limit.
    """
    base = {"message.timestamp.type": "LogAppendTime", "segment.bytes": str(64 * _MIB)}
    kept = {
        "cleanup.policy": "delete",
        "retention.ms": str(retention_hours * _HOUR_MS),
        "retention.bytes": str(retention_bytes),
    }
    # room for the envelope of a batch around the longest message
    events = {**base, **kept, "max.message.bytes": str(MAX_MESSAGE_BYTES + 64 * 1024)}
    large = {"max.message.bytes": str(8 * _MIB)}
    # the value before a change outlives an unfinished flush: compaction leaves the last hour alone
    compact = {
        "cleanup.policy": "compact", "min.compaction.lag.ms": str(_HOUR_MS), "delete.retention.ms": str(24 * _HOUR_MS),
    }  # fmt: skip
    letters = {"cleanup.policy": "delete", "retention.ms": str(30 * 24 * _HOUR_MS), "retention.bytes": str(512 * _MIB)}
    return [
        *(TopicSpec(name, partitions, events) for name in EVENT_TOPICS),
        TopicSpec(PARTIALS, partitions, {**base, **kept, **large}),
        TopicSpec(
            changelog_topic(group), partitions,
            {**base, **compact, **large, "segment.bytes": str(32 * _MIB), "min.cleanable.dirty.ratio": "0.3"},
        ),
        TopicSpec(DEAD_LETTERS, 1, {**base, **letters}),
        TopicSpec(KPIS, 1, {**base, **compact}),
        TopicSpec(ALERT_INPUTS, partitions, {**base, **kept}),
        # notes of notifications have keys of their own: what is old goes, the store keeps it
        TopicSpec(ALERTS, 1, {**base, **compact, "cleanup.policy": "compact,delete", "retention.ms": str(_NOTES_MS)}),
        TopicSpec(CURSORS, 1, {**base, **compact}),
    ]  # fmt: skip


def client_settings(security: KafkaSecurity) -> dict[str, Any]:
    """Return kafka-python's keyword arguments for a security setting."""
    settings: dict[str, Any] = {"security_protocol": security.protocol, "bootstrap_timeout_ms": _BOOTSTRAP_MS}
    if security.protocol.startswith("SASL"):
        settings |= {
            "sasl_mechanism": security.mechanism,
            "sasl_plain_username": security.username,
            "sasl_plain_password": security.password,
        }
    for name, path in (
        ("ssl_cafile", security.ca_file),
        ("ssl_certfile", security.cert_file),
        ("ssl_keyfile", security.key_file),
    ):
        if path is not None:
            settings[name] = str(path)
    return settings


def ensure_topics(
    bootstrap: str,
    specs: list[TopicSpec],
    *,
    replication: int = 1,
    settings: dict[str, Any] | None = None,
) -> list[str]:
    """Create the topics that are missing and check the others; return the names of the new ones.

    Raises:
        ConfigError: a topic exists with another number of partitions.
        ServiceUnavailable: the broker does not answer or refuses.
    """
    try:
        admin = KafkaAdminClient(bootstrap_servers=bootstrap.split(","), **(settings or {}))
    except (KafkaError, OSError, ValueError) as e:
        raise ServiceUnavailable(f"Kafka at {bootstrap} does not answer ({e}); is it running?") from None
    try:
        found = {t["name"]: len(t["partitions"]) for t in admin.describe_topics() if t["partitions"]}
        missing = [s for s in specs if s.name not in found]
        for spec in specs:
            if found.get(spec.name, spec.partitions) != spec.partitions:
                raise ConfigError(
                    f"topic {spec.name} has {found[spec.name]} partitions, {spec.partitions} are wanted: "
                    f"set partitions to {found[spec.name]}, the number is fixed once topics exist"
                )
        if missing:
            _create(admin, missing, replication)
    except KafkaError as e:
        raise ServiceUnavailable(f"Kafka at {bootstrap} cannot create the topics: {e}") from None
    finally:
        admin.close()
    return [s.name for s in missing]


def _create(admin: KafkaAdminClient, specs: list[TopicSpec], replication: int) -> None:
    wanted = {
        s.name: {"num_partitions": s.partitions, "replication_factor": replication, "configs": s.config} for s in specs
    }
    try:
        admin.create_topics(wanted, wait_for_metadata=True)
    except TopicAlreadyExistsError:  # another worker started at the same moment
        return


def topic_id(bootstrap: str, name: str, settings: dict[str, Any] | None = None) -> str | None:
    """Return the identity of a topic, which one of the same name made later does not have; None where it is not told."""
    try:
        admin = KafkaAdminClient(bootstrap_servers=bootstrap.split(","), **(settings or {}))
        try:
            return next((str(t["topic_id"]) for t in admin.describe_topics([name]) if t.get("topic_id")), None)
        finally:
            admin.close()
    except (KafkaError, OSError, ValueError):
        return None
