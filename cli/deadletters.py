"""``csf dead-letters``: events that could not be used, with the reason, and the way back."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError

from cli.embedded.instance import Instance, running
from cli.options import bootstrap_option, config_option, data_dir_option, format_option
from cli.output import print_rows, say
from cli.settings import load_settings
from pipeline.errors import ConfigError, ServiceUnavailable
from pipeline.events.families import EVENT_TOPICS
from pipeline.topics import DEAD_LETTERS

COLUMNS = ["key", "time", "reason", "detail", "topic", "partition", "offset", "index", "size", "event"]
_SHOWN = 120
_MOST_PARTITIONS = 2**31


@click.group("dead-letters")
def dead_letters() -> None:
    """Events that could not be used: list them, and replay them once the cause is gone."""


def read_letters(instance: Instance) -> Iterator[dict[str, Any]]:
    """Yield every dead letter once (a replayed batch may have written one twice), oldest first.

    Raises:
        ServiceUnavailable: the brokers do not answer.
    """
    seen: set[str] = set()
    try:
        consumer = KafkaConsumer(
            bootstrap_servers=instance.bootstrap, enable_auto_commit=False, auto_offset_reset="earliest",
            **instance.kafka_settings,
        )  # fmt: skip
        try:
            places = [TopicPartition(DEAD_LETTERS, p) for p in consumer.partitions_for_topic(DEAD_LETTERS) or ()]
            consumer.assign(places)
            ends = consumer.end_offsets(places)
            consumer.seek_to_beginning(*places)
            while any(consumer.position(place) < ends[place] for place in places):
                for messages in consumer.poll(1000).values():
                    for message in messages:
                        letter = _letter(message)
                        if letter["key"] not in seen:
                            seen.add(letter["key"])
                            yield letter
        finally:
            consumer.close()
    except KafkaError as e:
        raise ServiceUnavailable(f"dead letters cannot be read from Kafka at {instance.bootstrap}: {e}") from None


def _letter(message: Any) -> dict[str, Any]:
    try:
        letter: dict[str, Any] = msgspec.json.decode(message.value, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        letter = {"reason": "unreadable", "detail": "this dead letter is no JSON", "size": len(message.value)}
    key = (message.key or b"").decode(errors="replace") or f"{DEAD_LETTERS}|{message.partition}|{message.offset}"
    return {**letter, "key": key}


def _shown(letter: dict[str, Any]) -> dict[str, object]:
    text = letter.get("event") or letter.get("event_base64") or ""
    return {**letter, "event": text}


@dead_letters.command("list")
@config_option
@data_dir_option
@bootstrap_option
@format_option
@click.option("--reason", help="Only those with this reason.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1), help="The newest so many.")
def list_letters(
    config: Path | None, data_dir: Path | None, bootstrap: str | None, fmt: str, reason: str | None, limit: int
) -> None:
    """List dead letters, the newest last."""
    settings = load_settings(config, data_dir=data_dir, bootstrap=bootstrap)
    settings.check_events()
    with running(settings, worker=False) as instance:
        found = [_shown(x) for x in read_letters(instance) if reason in {None, x.get("reason")}]
    rows = found[-limit:]
    if fmt == "table":
        rows = [{**r, "event": str(r["event"])[:_SHOWN], "detail": str(r.get("detail"))[:_SHOWN]} for r in rows]
        print_rows(rows, ["time", "reason", "detail", "topic", "offset", "event"], fmt)
        say(f"{len(found)} dead letters" + (f", the newest {limit} shown" if len(found) > limit else ""), err=True)
    else:
        print_rows(rows, COLUMNS, fmt)


@dead_letters.command("replay")
@config_option
@data_dir_option
@bootstrap_option
@click.option("--reason", help="Only those with this reason.")
@click.option("--key", "keys", multiple=True, help="Only these (key column of --format json); may be repeated.")
@click.option("--all", "everything", is_flag=True, help="Every dead letter.")
def replay_letters(
    config: Path | None, data_dir: Path | None, bootstrap: str | None, reason: str | None, keys: tuple[str, ...],
    everything: bool,
) -> None:  # fmt: skip
    """Send dead letters to their topic again, once what was wrong is mended."""
    if not (reason or keys or everything):
        raise ConfigError("name what to replay: --reason, --key or --all")
    settings = load_settings(config, data_dir=data_dir, bootstrap=bootstrap)
    settings.check_events()
    with running(settings, worker=False) as instance:
        chosen = [
            x for x in read_letters(instance)
            if everything or (reason is not None and x.get("reason") == reason) or x["key"] in keys
        ]  # fmt: skip
        sent, kept = _send(instance, chosen)
    say(f"{sent} dead letters were sent again; {kept} hold no whole event or no topic and stay where they are")


def replayable(letter: dict[str, Any]) -> tuple[str, int | None, bytes] | None:
    """Return topic, partition and bytes of the event that a dead letter holds whole, None where it does not."""
    topic, partition, encoded = letter.get("topic"), letter.get("partition"), letter.get("event_base64")
    try:
        raw = b64decode(encoded) if encoded else str(letter.get("event", "")).encode()
    except (ValueError, TypeError):
        return None
    whole = len(raw) == letter.get("size") and isinstance(topic, str) and topic in EVENT_TOPICS
    sane = partition is None or (type(partition) is int and 0 <= partition < _MOST_PARTITIONS)
    return (str(topic), partition, raw) if whole and sane else None


def _send(instance: Instance, letters: list[dict[str, Any]]) -> tuple[int, int]:
    sent = kept = 0
    try:
        producer = KafkaProducer(bootstrap_servers=instance.bootstrap, acks="all", **instance.kafka_settings)
        try:
            for letter in letters:
                found = replayable(letter)
                if found is None:
                    kept += 1
                    continue
                topic, partition, raw = found
                key = str(letter["key"]).encode()
                producer.send(topic, raw, key=key, partition=partition, headers=[("csf-replay", key)])
                sent += 1
            producer.flush(60)
        finally:
            producer.close()
    except KafkaError as e:
        raise ServiceUnavailable(f"dead letters cannot be sent to Kafka at {instance.bootstrap}: {e}") from None
    return sent, kept
