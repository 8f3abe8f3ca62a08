"""A connector: sends letters at a rate, keeps its place in ``csf.cursors`` once they are stored, dies any time.

Run as ``python -m tests.chaos.feeder BOOTSTRAP FILE RATE``; what follows the kept place is sent again after a death.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from kafka import KafkaProducer

from connectors.control import close_month
from connectors.cursors import read_cursors
from connectors.producer import EventProducer
from connectors.simulator import catalogue_dir
from pipeline.catalogue.loader import load_catalogue
from pipeline.errors import ServiceUnavailable
from tests.chaos.letters import Letter, load

CURSOR = "chaos-feeder"
_STEP = 100


def run(bootstrap: str, letters: list[Letter], rate: float) -> None:
    """Send what follows the kept place."""
    done = int(read_cursors(bootstrap).get(CURSOR, {}).get("at", 0))
    zone = load_catalogue(catalogue_dir()).organisation.zone
    producer = EventProducer(bootstrap, delivery_timeout_s=40)
    raw = KafkaProducer(bootstrap_servers=bootstrap, acks="all", delivery_timeout_ms=20_000, request_timeout_ms=10_000)
    print(f"feeding from {done:,}", flush=True)
    while done < len(letters):
        started = time.monotonic()
        for letter in letters[done : done + _STEP]:
            if letter.kind == "close":
                producer.flush()
                close_month(bootstrap, letter.key, zone)
            elif letter.kind == "broken":
                place = producer.partition(letter.topic, letter.key)
                raw.send(letter.topic, letter.raw, partition=place).get(25)
            else:
                producer.add(letter.topic, letter.key, letter.raw)
        producer.flush()
        done = min(len(letters), done + _STEP)
        producer.keep(CURSOR, {"at": done})
        producer.flush()
        time.sleep(max(0.0, started + _STEP / rate - time.monotonic()))
    print("fed", flush=True)


if __name__ == "__main__":
    try:
        run(sys.argv[1], load(Path(sys.argv[2])), float(sys.argv[3]))
    except ServiceUnavailable as e:
        sys.exit(str(e))  # started again by whoever supervises
