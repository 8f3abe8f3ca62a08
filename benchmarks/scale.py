"""Scale: many services, long histories, several workers: ``python -m benchmarks.scale services|values|history|workers``.

``services``: CPU time an event of ingest and rollup with 50 and with 10,000 services. ``values``: CPU time a round of working
values out. ``history``: memory of one worker's state after 13 months of 500 services with every KPI of the built-in catalogue.
``workers``: how much more two workers fold than one.
"""

from __future__ import annotations

import argparse
import gc
import random
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import psutil
from msgspec.structs import replace as changed

from agents.app import _collect_rarely
from agents.taking import MOST_CELLS, GatheringAgent
from benchmarks.peer.catalogue import peer_catalogue
from benchmarks.workload import TOPIC, events, produce
from cli.embedded.instance import get_json, make_topics, worker_child
from cli.embedded.kafka import EmbeddedKafka, free_port
from cli.settings import Settings
from pipeline.catalogue import model
from pipeline.catalogue.loader import load_catalogue
from pipeline.engine.ingest import IngestPartition
from pipeline.engine.plan import build_plan
from pipeline.engine.rollup import RollupPartition
from pipeline.events.families import TYPES, event_topic

_FETCH = 27_000
_encode = msgspec.json.Encoder().encode


def page_views(services: int, count: int, now: float) -> Iterator[list[tuple[int, int, bytes]]]:
    """Yield fetches of page views of the ten minutes up to now, spread unevenly over services."""
    rng = random.Random(7)
    for first in range(0, count, _FETCH):
        fetch = []
        for i in range(first, min(first + _FETCH, count)):
            at = datetime.fromtimestamp(now - 600 + 600 * i / count, UTC).isoformat(timespec="milliseconds")
            event = {
                "specversion": "1.0", "id": f"{rng.getrandbits(96):024x}", "source": "bench", "type": "page.viewed",
                "subject": f"svc-{int(services * rng.random() ** 1.5):03d}", "time": at,
                "data": {"user": f"u{rng.randrange(20_000)}", "status": 200, "duration_ms": rng.randrange(1, 2_000)},
            }  # fmt: skip
            fetch.append((i, int(now * 1000), _encode(event)))
        yield fetch


def cpu_each(services: int, count: int, *, gather: bool) -> tuple[float, float]:
    """Return microseconds of CPU an event in ingest and in rollup.

    Args:
        services: that the page views are spread over.
        count: of page views.
        gather: flush as a worker that is behind does: after some seconds, or once so many cells changed as may wait; else
            after every fetch.
    """
    plan = build_plan(peer_catalogue(services))
    engine, rollup = IngestPartition(plan, TOPIC, 0), RollupPartition(plan, 0)
    _collect_rarely()
    folded = rolled = since_flush = 0.0
    told, left = 0, count
    for fetch in page_views(services, count, time.time()):
        left -= len(fetch)
        began = time.process_time()
        engine.fold(fetch)
        since_flush += time.process_time() - began
        if gather and left and since_flush < GatheringAgent.behind_s and engine.changed_cells < MOST_CELLS:
            continue
        began = time.process_time()
        out = engine.take()
        folded += since_flush + time.process_time() - began
        since_flush = 0.0
        began = time.process_time()
        rollup.fold([(told + i, 0, value) for i, (_, _, value) in enumerate(out.partials)])
        rollup.mark()
        told += len(out.partials)
        rollup.take_chunks()
        rolled += time.process_time() - began
    return folded / count * 1e6, rolled / count * 1e6


def services(counts: list[int], amounts: list[int]) -> None:
    print("| events | services | flush | ingest µs an event | rollup µs an event | × fewest |")
    print("| --- | --- | --- | --- | --- | --- |")
    for amount in amounts:
        for gather, name in ((False, "a fetch"), (True, "gathered")):
            base = None
            for number in counts:
                found = min((cpu_each(number, amount, gather=gather) for _ in range(2)), key=sum)
                base = base or sum(found)
                row = (
                    f"| {amount:,} | {number:,} | {name} | {found[0]:.2f} | {found[1]:.2f} | {sum(found) / base:.2f} |"
                )
                print(row, flush=True)


# --- working values out ---


def evaluate(number: int, share: float, events_a_round: int, rounds: int = 10) -> tuple[float, float, float]:
    """Return CPU milliseconds a round to fold partials, to work out what is urgent, and the rest, for services of 40 teams.

    Args:
        number: of services.
        share: of them that have events in a round of 0.4 s.
        events_a_round: page views.
        rounds: measured, after ten minutes in which all had events.
    """
    named = {
        f"svc-{i:05d}": model.Service(id=f"svc-{i:05d}", name=f"svc-{i}", team=f"team-{i % 40}") for i in range(number)
    }
    plan = build_plan(changed(peer_catalogue(1), services=named))
    engine, rollup = IngestPartition(plan, TOPIC, 0), RollupPartition(plan, 0)
    rng, at, offset, told = random.Random(7), time.time() // 86_400 * 86_400 + 43_200, 0, 0

    def fold(seconds: float, count: int, among: list[str]) -> float:
        nonlocal at, offset, told
        log = []
        for i in range(count):
            moment = at + seconds * i / count
            event = {
                "specversion": "1.0", "id": f"{rng.getrandbits(96):024x}", "source": "bench", "type": "page.viewed",
                "subject": rng.choice(among), "time": datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds"),
                "data": {"user": f"u{rng.randrange(20_000)}", "status": 200, "duration_ms": rng.randrange(1, 2_000)},
            }  # fmt: skip
            log.append((offset, int(moment * 1000), _encode(event)))
            offset += 1
        engine.fold(log)
        at += seconds
        partials = [(told + i, 0, value) for i, (_, _, value) in enumerate(engine.take().partials)]
        told += len(partials)
        began = time.process_time()
        rollup.fold(partials)
        rollup.mark()
        return time.process_time() - began

    for _ in range(10):
        fold(60, 2 * number, list(named))
    while rollup.pending:
        rollup.evaluate(10**9)
    _collect_rarely()
    spent = [0.0, 0.0, 0.0]
    for _ in range(rounds):
        spent[0] += fold(0.4, events_a_round, rng.sample(list(named), max(1, int(number * share))))
        for part, urgent_only in ((1, True), (2, False)):
            began = time.process_time()
            rollup.evaluate(10**9, urgent_only=urgent_only)
            spent[part] += time.process_time() - began
    folded, urgent, rest = (s / rounds * 1e3 for s in spent)
    return folded, urgent, rest


def values(number: int) -> None:
    print("| services | with events in a round | fold, ms | urgent, ms | rest, ms |\n| --- | --- | --- | --- | --- |")
    for share in (0.02, 0.2, 1.0):
        found = evaluate(number, share, int(4 * share * number))
        print(f"| {number:,} | {share:.0%} | {found[0]:.1f} | {found[1]:.1f} | {found[2]:.1f} |", flush=True)


# --- a long history ---


def day_of(service: str, day: datetime, rng: random.Random) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Yield (type, attributes, data) of one service's day: something for every KPI."""
    at = (day + timedelta(hours=10, minutes=rng.randrange(60))).isoformat()
    later = (day + timedelta(hours=12)).isoformat()
    number, user = f"{service}-{day:%Y%m%d}", f"u{rng.randrange(5_000)}"
    yield "uptime.checked", {}, {"up": True, "check": "home", "interval_s": 86_400}
    for n in range(3):
        yield (
            "page.viewed",
            {"n": n},
            {"user": f"u{rng.randrange(5_000)}", "status": 200, "duration_ms": rng.randrange(1, 2_000)},
        )
    yield "task.finished", {}, {"user": user, "completed": True}
    yield "request.measured", {}, {"latency_ms": rng.randrange(5, 900), "status": 200, "count": 50}
    yield (
        "survey.answered",
        {},
        {
            "kind": rng.choice(["csat", "ces", "nps", "change_feedback"]),
            "score": rng.randrange(1, 6),
            "respondent": user,
        },
    )
    if rng.random() < 0.3:
        data = {
            "number": number,
            "state": "closed",
            "opened_at": at,
            "updated_at": later,
            "resolved_at": later,
            "closed_at": later,
            "priority": 3,
        }
        yield "incident.updated", {}, {**data, "acknowledged_at": at, "made_sla": True}
        yield (
            "change.updated",
            {},
            {"number": number, "updated_at": later, "deployed_at": later, "committed_at": at, "outcome": "successful"},
        )
        yield (
            "feature.updated",
            {},
            {"number": number, "updated_at": later, "requested_at": at, "delivered_at": later, "outcome": "delivered"},
        )
        yield (
            "security_incident.updated",
            {},
            {"number": number, "detected_at": at, "updated_at": later, "responded_at": later, "resolved_at": later},
        )
    yield "scaling.completed", {}, {"direction": "up", "requested_at": at, "ready_at": later}
    yield "prediction.scored", {}, {"model": "demand", "predicted": 10, "actual": rng.randrange(8, 13)}
    yield "decision.evaluated", {}, {"metric": "sales", "baseline": 10, "outcome": 12, "unit": "EUR"}
    yield "record.synced", {}, {"from": "crm", "to": "dwh", "changed_at": at, "available_at": later}
    yield (
        "reconciliation.completed",
        {},
        {"from": "crm", "to": "dwh", "compared": 100, "matched": 99, "mismatched": 1, "missing": 0},
    )


def told_all(rollup: RollupPartition) -> None:
    """Count everything asked for as told: to tell 13 months of 500 services takes an hour, and what waits is no state."""
    agenda = rollup._agenda
    rollup._asking.expand()
    for entries in (agenda.next_urgent(), agenda.next_due(), agenda.next_cards(1.0)):
        for _ in entries:
            pass


def history(months: int, number: int) -> None:
    """Fold days of history a service and say what the state takes."""
    catalogue = load_catalogue()
    named = {
        f"svc-{i:04d}": model.Service(id=f"svc-{i:04d}", name=f"svc-{i}", team=f"team-{i % 40}") for i in range(number)
    }
    plan = build_plan(changed(catalogue, services=named))
    rng, process = random.Random(7), psutil.Process()
    gc.collect()
    before = process.memory_info().rss
    ingests: dict[str, IngestPartition] = {}
    rollup, told, count, chunks = RollupPartition(plan, 0), 0, 0, 0
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    days = [today - timedelta(days=n) for n in range(months * 30 + months // 2, 0, -1)]
    for at, day in enumerate(days):
        logs: dict[str, list[tuple[int, int, bytes]]] = {}
        arrival = int((day + timedelta(hours=14)).timestamp() * 1000)
        for service in named:
            for kind, extra, data in day_of(service, day, rng):
                topic = event_topic(TYPES[kind][0])
                time_at = (day + timedelta(hours=12)).isoformat()
                event = {
                    "specversion": "1.0",
                    "id": f"{service}|{kind}|{at}|{extra}",
                    "source": "bench",
                    "type": kind,
                    "subject": service,
                    "time": time_at,
                    "data": data,
                }
                log = logs.setdefault(topic, [])
                log.append((at * 10**6 + len(log), arrival, _encode(event)))
                count += 1
        for topic, log in logs.items():
            engine = ingests.setdefault(topic, IngestPartition(plan, topic, 0))
            engine.fold(log)
            out = engine.take()
            chunks += sum(len(value or b"") for _, value in out.chunks)
            rollup.fold([(told + i, 0, value) for i, (_, _, value) in enumerate(out.partials)])
            told += len(out.partials)
        rollup.take_chunks()
        told_all(rollup)
        if at % 30 == 29:
            print(f"  month {at // 30 + 1}: {(process.memory_info().rss - before) / 2**20:,.0f} MB", flush=True)
    gc.collect()
    exits = {topic: engine.take().exits for topic, engine in ingests.items()}
    odd = {t: e.reasons for t, e in exits.items() if e.kpi + e.ignored != e.received}
    used = (process.memory_info().rss - before) / 2**20
    print(
        f"{months} months, {number} services, {len(plan.catalogue.kpis)} KPIs: {count:,} events, state of ingest and rollup {used:,.0f} MB"
    )
    if odd:
        print(f"not all events count: {odd}")


# --- workers ---


def workers(count: int) -> None:
    """Fold what waits with one and with two workers; InfluxDB or SQLite is not at work, each keeps its own store."""
    rates = []
    for number in (1, 2):
        with tempfile.TemporaryDirectory(prefix="csf-scale-") as folder:
            base = replace(Settings(), data_dir=Path(folder), partitions=4, archive=False)
            kafka = EmbeddedKafka(Path(folder) / "kafka", free_port())
            kafka.start(lambda text: print(text, flush=True))
            try:
                make_topics(base, kafka.bootstrap)
                produce(kafka.bootstrap, TOPIC, events(count), base.partitions)
                rates.append(count / until_folded(base, kafka, number, count))
            finally:
                kafka.stop()
        print(f"{number} workers: {rates[-1]:,.0f} events/s", flush=True)
    print(f"two workers fold {rates[1] / rates[0]:.2f} times what one does")


def until_folded(base: Settings, kafka: EmbeddedKafka, number: int, count: int) -> float:
    """Start workers and return the seconds from the first that is ready to the last event folded."""
    children, ports = [], []
    for i in range(number):
        folder = base.data_dir / f"worker-{i}"
        folder.mkdir()
        settings = replace(base, data_dir=folder, http_port=free_port())
        ports.append(settings.http_port)
        child = worker_child(settings, kafka.bootstrap)
        child.start()
        children.append(child)
    try:
        started = None
        while True:
            folded = 0
            for port in ports:
                try:
                    at = get_json(f"http://127.0.0.1:{port}/api/v1/progress?fresh=1")["positions"]
                    folded += sum(n for name, n in at.items() if name.startswith(TOPIC + "/"))
                except (OSError, ValueError, KeyError):
                    continue
            if folded and started is None:
                started, first = time.perf_counter(), folded
            if folded >= count and started is not None:
                return (time.perf_counter() - started) * count / (count - first)
            time.sleep(0.05)
    finally:
        for child in children:
            child.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["services", "values", "history", "workers"])
    parser.add_argument("--events", type=int, help="of services: one amount instead of two; of workers: 270,000 else")
    parser.add_argument("--services", type=int, default=500)
    parser.add_argument("--months", type=int, default=13)
    arguments = parser.parse_args()
    if arguments.what == "services":
        # one event a service and minute at 10,000 services, and what 4,500 a second are
        services([50, 500, 1_000, 10_000], [arguments.events] if arguments.events else [81_000, 2_700_000])
    elif arguments.what == "values":
        values(arguments.services)
    elif arguments.what == "history":
        history(arguments.months, arguments.services)
    else:
        workers(arguments.events or 270_000)


if __name__ == "__main__":
    main()
