"""Page views as single CloudEvents: services, users, error shares and late events of a busy site, seeded."""

from __future__ import annotations

import random
import time
import zlib
from datetime import UTC, datetime

import msgspec
from kafka import KafkaProducer

from pipeline.events.families import event_topic

TOPIC = event_topic("usage")
SERVICES, USERS, SPAN_S = 50, 20_000, 600


def events(count: int, seed: int = 7) -> list[tuple[str, bytes]]:
    """Return (user, event) pairs over the last ten minutes, 1 % of them up to 90 s late, 0.5 % duplicates.

    A visitor stays on one service for about eight page views, some seconds apart, as on a real site.
    """
    rng = random.Random(seed)
    encode = msgspec.json.Encoder().encode
    start = time.time() - SPAN_S
    visits: list[tuple[float, str, str]] = []
    while len(visits) < count:
        user, service = f"u{int(USERS * rng.random() ** 1.5)}", f"svc-{int(SERVICES * rng.random() ** 1.5):03d}"
        at = rng.random() * SPAN_S
        for _ in range(1 + min(40, int(rng.expovariate(1 / 7)))):
            visits.append((at, user, service))
            at = min(SPAN_S - 1e-3, at + rng.expovariate(1 / 12))
    visits.sort()
    made: list[tuple[str, bytes]] = []
    for at, user, service in visits[:count]:
        if made and rng.random() < 0.005:
            made.append(made[rng.randrange(max(0, len(made) - 4000), len(made))])
            continue
        seen = start + at - (rng.random() * 90 if rng.random() < 0.01 else 0)
        event = {
            "specversion": "1.0", "id": f"{rng.getrandbits(96):024x}", "source": "bench", "type": "page.viewed",
            "subject": service, "time": datetime.fromtimestamp(seen, UTC).isoformat(timespec="milliseconds"),
            "csfteam": "bench", "datacontenttype": "application/json",
            "data": {
                "user": user, "session": f"{user}-{service}", "path": f"/p/{rng.randrange(200)}", "status": 200 if rng.random() < 0.97 else 500,
                "duration_ms": min(30_000, 1 + int(rng.lognormvariate(4.4, 0.8))),
            },
        }  # fmt: skip
        made.append((user, encode(event)))
    return made


def produce(bootstrap: str, topic: str, made: list[tuple[str, bytes]], partitions: int) -> None:
    """Write the events as single messages, a visitor's into one partition."""
    producer = KafkaProducer(bootstrap_servers=bootstrap, linger_ms=50, batch_size=524_288, acks=1)
    for user, raw in made:
        producer.send(topic, raw, key=user.encode(), partition=zlib.crc32(user.encode()) % partitions)
    producer.flush()
    producer.close()
