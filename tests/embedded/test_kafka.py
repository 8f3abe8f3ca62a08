"""The embedded broker: its jars, its port, its end, and what it keeps."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from agents.topics import ensure_topics, topic_specs
from cli.embedded import jars
from cli.embedded.kafka import EmbeddedKafka, free_port
from pipeline.errors import ConfigError

pytestmark = pytest.mark.kafka
TOPIC = "csf.events.usage"


def test_records_outlive_kill_9(kafka: EmbeddedKafka) -> None:
    ensure_topics(kafka.bootstrap, topic_specs(partitions=2))
    producer = KafkaProducer(bootstrap_servers=kafka.bootstrap, acks="all")
    for i in range(5000):
        producer.send(TOPIC, str(i).encode(), partition=i % 2)
    producer.flush()
    producer.close()
    kafka.kill()
    kafka.start()
    consumer = KafkaConsumer(bootstrap_servers=kafka.bootstrap, enable_auto_commit=False)
    places = [TopicPartition(TOPIC, p) for p in range(2)]
    consumer.assign(places)
    assert sum(consumer.end_offsets(places).values()) == 5000
    consumer.close()


def test_a_taken_port_is_named_before_anything_starts(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"port {port} on 127.0.0.1 is taken .* --kafka-port"):
            EmbeddedKafka(tmp_path / "k", port).start()
    assert not (tmp_path / "k").exists()


def test_it_dies_with_its_parent_even_by_kill_9(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from cli.embedded.kafka import EmbeddedKafka, free_port\n"
        "k = EmbeddedKafka(Path(sys.argv[1]), free_port()); k.start(); print(k.process.pid, flush=True); time.sleep(600)"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "k")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        broker = psutil.Process(int(parent.stdout.readline()))
        os.kill(parent.pid, signal.SIGKILL)
    broker.wait(timeout=30)  # raises if it lives on
    assert not broker.is_running()


def test_a_jar_that_is_not_the_pinned_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jar").write_bytes(b"not what was pinned")
    with pytest.raises(ConfigError, match=r"a\.jar is not the pinned jar"):
        jars.verify(tmp_path, {"a.jar": "0" * 64})
    with pytest.raises(ConfigError, match=r"b\.jar is missing"):
        jars.verify(tmp_path, {"b.jar": "0" * 64})
    assert len(jars.expected()) > 40


def test_a_broker_that_cannot_start_says_why(tmp_path: Path) -> None:
    broker = EmbeddedKafka(tmp_path / "k", free_port())
    broker.folder.mkdir()
    (broker.folder / "logs").write_text("in the way")
    started = time.monotonic()
    with pytest.raises(Exception, match=r"Kafka (cannot prepare|ended while starting)"):
        broker.start()
    assert time.monotonic() - started < 60
