"""The producer and what stands before it, on real Kafka."""

import json
import socket
import threading
import zlib
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from kafka import KafkaConsumer, TopicPartition

from cli.embedded.kafka import EmbeddedKafka, free_port
from connectors.cursors import read_cursors, write_cursor
from connectors.outbox import Outbox
from connectors.producer import BATCH_BYTES, BATCH_EVENTS, EventProducer
from pipeline.errors import ServiceUnavailable
from pipeline.events.envelope import MAX_MESSAGE_BYTES, OutEvent, encode
from pipeline.topics import DEAD_LETTERS

USAGE = "csf.events.usage"


def view(source, number, **data):
    return OutEvent(
        id=str(number), source=source, type="page.viewed", time=datetime(2026, 11, 1, tzinfo=UTC), subject="web",
        data={"user": f"u{number % 50}", **data},
    )  # fmt: skip


def read(bootstrap, topic, wanted):
    """Return the records of a topic whose value holds a text."""
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
    places = [TopicPartition(topic, p) for p in consumer.partitions_for_topic(topic)]
    consumer.assign(places)
    ends = consumer.end_offsets(places)
    consumer.seek_to_beginning(*places)
    found = []
    while any(consumer.position(p) < ends[p] for p in places):
        for records in consumer.poll(500).values():
            found += [r for r in records if wanted.encode() in r.value]
    consumer.close()
    return found


@pytest.mark.kafka
def test_batches_are_bounded_ordered_and_on_the_partition_of_their_key(bootstrap):
    source = uuid4().hex
    producer = EventProducer(bootstrap)
    for n in range(5000):
        event = view(source, n)
        assert producer.add(USAGE, f"web|{event.data['user']}", encode(event))
    producer.flush()
    producer.close()
    records = read(bootstrap, USAGE, source)
    seen = {}
    for record in records:
        events = json.loads(record.value)
        assert len(events) <= BATCH_EVENTS
        assert len(record.value) <= BATCH_BYTES + 2
        assert dict(record.headers)["content-type"] == b"application/cloudevents-batch+json"
        for event in events:
            user = event["data"]["user"]
            assert record.partition == zlib.crc32(f"web|{user}".encode()) % 2
            seen.setdefault(user, []).append(int(event["id"]))
    assert sum(map(len, seen.values())) == 5000
    assert all(ids == sorted(ids) for ids in seen.values())
    assert len(records) < 10


@pytest.mark.kafka
def test_a_batch_is_sent_before_it_grows_too_large(bootstrap):
    source = uuid4().hex
    producer = EventProducer(bootstrap)
    for n in range(10):
        producer.add(USAGE, "web|one", encode(view(source, n, path="x" * 250_000)))
    producer.flush()
    producer.close()
    records = read(bootstrap, USAGE, source)
    assert all(len(r.value) < MAX_MESSAGE_BYTES for r in records)
    assert [e["id"] for r in records for e in json.loads(r.value)] == [str(n) for n in range(10)]


@pytest.mark.kafka
def test_a_single_event_is_a_message_of_its_own(bootstrap):
    source = uuid4().hex
    producer = EventProducer(bootstrap)
    assert producer.send(USAGE, view(source, 1), key="web|u1")
    producer.flush()
    producer.close()
    (record,) = read(bootstrap, USAGE, source)
    assert (record.key, json.loads(record.value)["id"]) == (b"web|u1", "1")
    assert record.partition == zlib.crc32(b"web|u1") % 2


@pytest.mark.kafka
@pytest.mark.parametrize("size", [MAX_MESSAGE_BYTES + 1, 20_000_000])
def test_an_event_that_is_too_large_leaves_a_dead_letter_and_the_next_one_passes(bootstrap, size):
    source = uuid4().hex
    producer = EventProducer(bootstrap)
    assert not producer.send(USAGE, view(source, 1, path="x" * size), key="web|u1")
    assert producer.send(USAGE, view(source, 2), key="web|u1")
    producer.flush()
    producer.close()
    assert producer.refused == 1
    (passed,) = read(bootstrap, USAGE, source)
    assert json.loads(passed.value)["id"] == "2"
    (letter,) = [json.loads(r.value) for r in read(bootstrap, DEAD_LETTERS, source)]
    assert letter["reason"] == "oversize"
    assert letter["topic"] == USAGE
    assert letter["source"] == source
    assert letter["size"] > size
    assert len(letter["event"]) == 1024
    assert len(letter["sha256"]) == 64


def test_a_broker_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setattr("connectors.producer._BOOTSTRAP_MS", 300)
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{held.getsockname()[1]}"
        with pytest.raises(ServiceUnavailable, match=f"Kafka at {address} does not take events"):
            EventProducer(address)


@pytest.mark.kafka
def test_a_topic_that_is_not_there_is_named(bootstrap):
    producer = EventProducer(bootstrap, settings={"max_block_ms": 2000})
    with pytest.raises(ServiceUnavailable, match=r"has no topic csf\.events\.nothing; a worker creates it"):
        producer.send("csf.events.nothing", view("s", 1), key="k")
    producer.close()


@pytest.mark.kafka
def test_cursors_are_kept_and_read_back(bootstrap):
    name = uuid4().hex
    write_cursor(bootstrap, name, {"rows": 1})
    write_cursor(bootstrap, name, {"rows": 2})
    assert read_cursors(bootstrap)[name] == {"rows": 2}


class Flaky:
    """A producer whose brokers are away for some flushes."""

    def __init__(self, failures):
        self.failures, self.sent, self.stored = failures, [], []
        self.gate = threading.Event()

    def send(self, topic, event, key=None):
        self.sent.append((topic, key, event))

    def flush(self):
        self.gate.wait(20)
        if self.failures:
            self.failures -= 1
            self.sent = []
            raise ServiceUnavailable("away")
        self.stored += self.sent
        self.sent = []


def test_the_outbox_keeps_order_through_an_outage():
    producer, said = Flaky(failures=1), []
    outbox = Outbox(producer, said.append)
    producer.gate.set()
    for n in range(2500):
        outbox.put("t", "k", n)
    while len(producer.stored) < 2500:
        assert outbox._thread.is_alive()
        outbox._thread.join(0.02)
    assert outbox.close() == 0
    assert [event for _, _, event in producer.stored] == list(range(2500))
    assert said == ["away; trying again"]
    assert outbox.lost == 0


def test_the_outbox_gives_up_the_oldest_and_counts_them():
    producer, said = Flaky(failures=0), []
    outbox = Outbox(producer, said.append, limit=100)
    for n in range(250):
        outbox.put("t", "k", n)
    producer.gate.set()
    assert outbox.close() == 0
    stored = [event for _, _, event in producer.stored]
    assert stored[-100:] == list(range(150, 250))
    assert outbox.lost == 150
    assert said


@pytest.mark.kafka
def test_events_of_an_outage_arrive_when_the_broker_is_back(tmp_path):
    from agents.topics import ensure_topics, topic_specs

    port, source = free_port(), uuid4().hex
    kafka = EmbeddedKafka(tmp_path / "kafka", port)
    kafka.start()
    said, outbox = [], None
    try:
        ensure_topics(kafka.bootstrap, topic_specs(group="test", partitions=2))
        producer = EventProducer(kafka.bootstrap, settings={"request_timeout_ms": 2000}, delivery_timeout_s=4)
        outbox = Outbox(producer, said.append)
        outbox.put(USAGE, "web|u1", view(source, 0))
        while outbox.pending:
            outbox._thread.join(0.05)
        kafka.stop()
        for n in range(1, 20):
            outbox.put(USAGE, "web|u1", view(source, n))
        while not said:
            outbox._thread.join(0.05)
        kafka = EmbeddedKafka(tmp_path / "kafka", port)
        kafka.start()
        while outbox.pending:
            outbox._thread.join(0.05)
        found = [json.loads(r.value)["id"] for r in read(kafka.bootstrap, USAGE, source)]
        assert list(dict.fromkeys(found)) == [str(n) for n in range(20)]
    finally:
        if outbox is not None:
            outbox.close(1)
        kafka.stop()
    assert "trying again" in said[0]


@pytest.mark.kafka
def test_equal_bad_rows_are_two_dead_letters_and_one_sent_again_is_the_same(bootstrap):
    producer, text = EventProducer(bootstrap), uuid4().hex
    for row in (7, 8, 8):
        producer.bury("", "unmappable-row", f"row {row}", text.encode(), file="f.csv", row=row)
    producer.flush()
    producer.close()
    assert [r.key.rpartition(b"|")[2] for r in read(bootstrap, DEAD_LETTERS, text)] == [b"7", b"8", b"8"]
