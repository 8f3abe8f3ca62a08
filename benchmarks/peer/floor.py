"""The floor: what the client library, the decoder and a dictionary cost without anything around them.

``floor.py BOOTSTRAP TOPIC N``: per (service, minute) count, errors, sum, a histogram for p95, distinct users. No consumer
group, no commits, no duplicates dropped, no state that outlives it. Prints events, seconds and CPU seconds as JSON.
"""

from __future__ import annotations

import json
import math
import resource
import sys
import time
from collections import defaultdict

import msgspec
from confluent_kafka import Consumer, TopicPartition


class Data(msgspec.Struct):
    user: str
    duration_ms: int
    status: int


class Event(msgspec.Struct):
    subject: str
    time: str
    data: Data


class Row:
    __slots__ = ("count", "errors", "histogram", "total", "users")

    def __init__(self) -> None:
        self.count = self.errors = self.total = 0
        self.histogram: defaultdict[int, int] = defaultdict(int)
        self.users: set[str] = set()


#: bucket of a duration in whole milliseconds, 2.5 % wide
BUCKETS = [0, *(int(math.log(d) / math.log(1.05)) for d in range(1, 30_002))]


def main(bootstrap: str, topic: str, count: int) -> None:
    # librdkafka waits a second where its queue is full, which halves the rate: five milliseconds
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap, "group.id": "floor", "enable.auto.commit": False,
            "auto.offset.reset": "earliest", "fetch.queue.backoff.ms": 5,
        }
    )  # fmt: skip
    partitions = consumer.list_topics(topic, 10).topics[topic].partitions
    consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
    decode = msgspec.json.Decoder(Event).decode
    rows: defaultdict[tuple[str, str], Row] = defaultdict(Row)
    seen, started, used = 0, 0.0, 0.0
    while seen < count:
        messages = consumer.consume(10_000, 0.1)
        if messages and not seen:
            started, used = time.perf_counter(), cpu()
        for message in messages:
            event = decode(message.value())
            data, row = event.data, rows[event.subject, event.time[:16]]
            row.count += 1
            row.errors += data.status >= 500
            row.total += data.duration_ms
            row.histogram[BUCKETS[data.duration_ms]] += 1
            row.users.add(data.user)
        seen += len(messages)
    print(json.dumps({"events": seen, "seconds": time.perf_counter() - started, "cpu": cpu() - used}))
    consumer.close()


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
