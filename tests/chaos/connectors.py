"""Connectors that are killed at random while their source changes, fails and makes them wait; then the log is judged.

Two instances of one connector share four streams of a vendor that is not there: tickets that change (by time), checks of
which many bear one time (keyset), sizes that are only shown as they are (differences), deployments that are listed by
their creation only (asked for again until they are final). The brokers are real.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import SystemRandom
from typing import Any

import yaml

from agents.topics import ensure_topics, topic_specs
from cli.embedded.kafka import EmbeddedKafka, free_port
from connectors.cursors import read_cursors
from pipeline.events.families import event_topic
from pipeline.topics import DEAD_LETTERS
from tests.chaos.changing import DECLARATION, ChangingVendor
from tests.chaos.supervised import Supervised
from tests.connectors.test_producer import read
from tests.connectors.vendor import serving

_NAME = "chaos"
_SOURCE = f"{DECLARATION['name']}/{_NAME}"
#: What the judge waits for at the end: longer than a killed member stays a member.
_SETTLE_S = 120.0


@dataclass(frozen=True)
class Plan:
    """A run: it is repeated by its seed as far as a machine repeats itself."""

    seed: int
    seconds: float
    instances: int = 2


@dataclass
class Found:
    """What a run showed: what differs, and counts to be told."""

    differences: list[str]
    counts: dict[str, int]
    kills: int


def chaos(folder: Path, plan: Plan) -> Found:
    """Run, kill, settle, judge."""
    kafka = EmbeddedKafka(folder / "kafka", free_port())
    kafka.start()
    try:
        ensure_topics(kafka.bootstrap, topic_specs(group="chaos", partitions=4))
        vendor = ChangingVendor(plan.seed)
        with serving(vendor) as served:
            instances = [_instance(folder, kafka.bootstrap, served.address, n) for n in range(plan.instances)]
            kills = _killed(vendor, instances, plan)
            _settle(folder, kafka.bootstrap, vendor, instances)
            return Found(*judge(kafka.bootstrap, vendor), kills=kills)
    finally:
        kafka.stop()


def _instance(folder: Path, bootstrap: str, address: str, number: int) -> Supervised:
    (folder / "vendor.yaml").write_text(yaml.safe_dump(DECLARATION))
    entry = {
        "name": _NAME, "connector": "vendor.yaml", "options": {"address": address}, "poll_s": 0.5, "timeout_s": 2,
        "since": datetime.fromtimestamp(time.time() - 5, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }  # fmt: skip
    if number == 0:
        (folder / "connectors.yaml").write_text(yaml.safe_dump([entry]))
    return Supervised(_command(folder, bootstrap), dict(os.environ), folder / f"connector-{number}.log")


def _command(folder: Path, bootstrap: str) -> list[str]:
    return [
        sys.executable, "-m", "cli", "connector", "run", _NAME, "--config", str(folder / "connectors.yaml"),
        "--bootstrap", bootstrap, "--data-dir", str(folder / "data"),
    ]  # fmt: skip


def _killed(vendor: ChangingVendor, instances: list[Supervised], plan: Plan) -> int:
    """Kill instances at random while the vendor changes; return how often."""
    rng = random.Random(plan.seed)
    over = threading.Event()
    changing = threading.Thread(target=vendor.change_until, args=(over,))
    changing.start()
    kills = 0
    try:
        for each in instances:
            each.start()
        end = time.monotonic() + plan.seconds
        due = [time.monotonic() + rng.uniform(3, 15) for _ in instances]
        while time.monotonic() < end:
            for n, each in enumerate(instances):
                if time.monotonic() >= due[n]:
                    kills += each.send(signal.SIGKILL)
                    due[n] = time.monotonic() + rng.choice([rng.uniform(0.2, 3), rng.uniform(3, 30)])
                each.supervise()
            over.wait(0.05)
    finally:
        over.set()
        changing.join()
    return kills


def _settle(folder: Path, bootstrap: str, vendor: ChangingVendor, instances: list[Supervised]) -> None:
    """End the instances, and let one read to the end of what the vendor did."""
    for each in instances:
        each.end(signal.SIGKILL)
    vendor.calm()
    wanted = time.time()
    end = time.monotonic() + _SETTLE_S
    while time.monotonic() < end:
        time.sleep(2)  # what is left for the next poll: the lag of the declaration
        done = subprocess.run([*_command(folder, bootstrap), "--once"], capture_output=True, text=True, check=False)
        places = {n: v for n, v in read_cursors(bootstrap).items() if n.startswith(_SOURCE) and "|" not in n}
        reached = [datetime.fromisoformat(v["until"]).timestamp() for v in places.values()]
        if done.returncode == 0 and len(reached) == len(DECLARATION["streams"]) and min(reached) >= wanted:
            return
    raise AssertionError(f"the connector does not come to an end: {done.returncode} {done.stderr[-2000:]}")


def judge(bootstrap: str, vendor: ChangingVendor) -> tuple[list[str], dict[str, int]]:
    """Return what differs between the log and what the vendor did, and counts."""
    events: dict[str, list[dict[str, Any]]] = defaultdict(list)
    places: dict[str, set[int]] = defaultdict(set)
    for topic in ("incident", "change", "uptime", "scaling", "control", "letters"):
        name = DEAD_LETTERS if topic == "letters" else event_topic(topic)
        for record in read(bootstrap, name, _SOURCE):
            said = json.loads(record.value)
            for event in said if isinstance(said, list) else [said]:
                events[topic].append(event)
                if topic in {"incident", "change"}:
                    places[event["data"]["number"]].add(record.partition)
    wrong = [f"{name} lies in partitions {sorted(p)}" for name, p in places.items() if len(p) > 1]
    if events["letters"]:
        wrong.append(f"{len(events['letters'])} dead letters, the first: {events['letters'][0]}")
    wrong += _of_entities("ticket", events["incident"], vendor.tickets, "updated_at")
    wrong += _of_entities("deployment", events["change"], vendor.deployments, "updated_at")
    wrong += _of_checks(events["uptime"], vendor.checks)
    wrong += _of_sizes(events["scaling"], vendor)
    wrong += _of_coverage(events["control"])
    counts = {topic: len(each) for topic, each in events.items()}
    counts |= {f"{topic} distinct": len({e["id"] for e in each}) for topic, each in events.items()}
    return wrong, counts


def _of_entities(
    what: str, events: list[dict[str, Any]], history: dict[str, list[dict[str, Any]]], order: str
) -> list[str]:
    """Every entity's last state is told, each told state was one, and one state has one id."""
    wrong: list[str] = []
    told: dict[str, dict[str, str]] = defaultdict(dict)  # number → version → id
    for event in events:
        number, version = (
            event["data"]["number"],
            event["data"]["original_state"] if what == "ticket" else event["data"]["outcome"],
        )
        if told[number].setdefault(f"{event['data'][order]} {version}", event["id"]) != event["id"]:
            wrong.append(f"{what} {number}: a state has two ids")
        if not any(
            version == state["state"] and _same(event["data"][order], state["updated"]) for state in history[number]
        ):
            wrong.append(f"{what} {number}: {version} at {event['data'][order]} was never so")
    for number, states in history.items():
        if not told[number]:
            wrong.append(f"{what} {number} is lost")
        elif not any(
            v.endswith(f" {states[-1]['state']}") and _same(v.split()[0], states[-1]["updated"]) for v in told[number]
        ):
            wrong.append(f"{what} {number}: its last state is lost: {states[-1]}; told: {list(told[number])}")
    return wrong


def _same(one: str, other: str) -> bool:
    return datetime.fromisoformat(one) == datetime.fromisoformat(other)


def _of_checks(events: list[dict[str, Any]], checks: list[dict[str, Any]]) -> list[str]:
    """Every check is told, under one id: what is told twice under one id counts once."""
    ids = {e["id"]: (e["data"]["check"], datetime.fromisoformat(e["time"])) for e in events}
    told = Counter(ids.values())
    made = Counter((c["name"], datetime.fromisoformat(c["at"])) for c in checks)
    wrong = [f"check {name} of {at} is lost" for name, at in made.keys() - told.keys()]
    wrong += [f"check {name} of {at} counts {n} times" for (name, at), n in told.items() if n > made[name, at]]
    return wrong


def _of_sizes(events: list[dict[str, Any]], vendor: ChangingVendor) -> list[str]:
    """The steps of a workload are one chain from its first size to its last, none twice."""
    steps = {e["id"]: e for e in events}
    wrong: list[str] = []
    for name, size in vendor.sizes.items():
        chain = sorted((e for e in steps.values() if e["subject"] == name), key=lambda e: e["time"])
        said = [(e["data"]["from"], e["data"]["to"]) for e in chain]
        if any(a[1] != b[0] for a, b in itertools.pairwise(said)) or (said and said[-1][1] != size):
            wrong.append(f"sizes of {name} are no chain to {size}: {said}")
    return wrong


def _of_coverage(events: list[dict[str, Any]]) -> list[str]:
    """What was polled leaves no hole, in every stream."""
    spans: dict[str, list[tuple[datetime, datetime]]] = defaultdict(list)
    for event in events:
        data = event["data"]
        spans[data["source"]].append((datetime.fromisoformat(data["from"]), datetime.fromisoformat(data["to"])))
    wrong = [f"{len(spans)} streams say what was polled"] if len(spans) != len(DECLARATION["streams"]) else []
    for stream, each in spans.items():
        each.sort()
        reached = each[0][1]
        for start, end in each:
            if start > reached:
                wrong.append(f"{stream}: a hole from {reached} to {start}")
            reached = max(reached, end)
    return wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=None, help="repeats a run; a new one by default")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--keep", type=Path, help="a folder to keep everything in")
    given = parser.parse_args()
    seed = SystemRandom().randrange(10**6) if given.seed is None else given.seed
    print(f"to repeat: python -m tests.chaos.connectors --seed {seed} --minutes {given.minutes:g}", flush=True)
    with tempfile.TemporaryDirectory(prefix="csf-chaos-") as temporary:
        folder = given.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        found = chaos(folder, Plan(seed, given.minutes * 60))
    print(f"{found.kills} kills in {given.minutes:g} minutes; {found.counts}")
    print("nothing lost, nothing doubled" if not found.differences else f"{len(found.differences)} differences")
    for line in found.differences[:50]:
        print(line)
    sys.exit(bool(found.differences))


if __name__ == "__main__":
    main()
