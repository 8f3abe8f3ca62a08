"""What a worker needs to know to run: one frozen value, made by the composition root."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from agents.console.reports import ReportSource
from agents.engines import Engines
from agents.guard import is_loopback
from pipeline.catalogue.model import Catalogue
from pipeline.errors import ConfigError
from pipeline.sources import StreamState
from pipeline.stores.port import KpiStore
from pipeline.stores.register import Register

_ADDRESS = re.compile(r"^(\[[0-9a-fA-F:]+\]|[A-Za-z0-9._-]+):(\d{1,5})$")
#: A shorter token could be guessed.
_LEAST_TOKEN = 16
_GROUP = re.compile(r"^[A-Za-z0-9._-]{1,100}$")


@dataclass(frozen=True)
class KafkaSecurity:
    """How to speak to the brokers.

    Attributes:
        protocol: Kafka's security protocol.
        mechanism, username, password: for the two SASL protocols.
        ca_file, cert_file, key_file: PEM files for the two SSL protocols; without ca_file the system's.
    """

    protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None


@dataclass(frozen=True, kw_only=True)
class WorkerConfig:
    """Settings of one worker process.

    Attributes:
        bootstrap: broker addresses, ``host:port``, separated by commas.
        catalogue: the loaded KPI catalogue.
        store_factory: opens the KPI store; called once in the worker (writing) and once for the console (reading).
        register_factory: opens the register of SIPs and comments for writing; None: the console has none.
        reports: builds and renders the reports of the console; None: it has none.
        connectors: gives the streams of connectors that are configured here, of which nothing may be known yet.
        group: consumer group and prefix of the state's changelog topic; workers of one installation share it.
        partitions: partitions of every event topic, of ``csf.partials`` and of the changelog; fixed at creation.
        replication: copies of every partition.
        http_host, http_port: where console, API and metrics are served; port 0 takes a free one.
        http_token: what other machines must present; needed when http_host is not loopback.
        http_names: further names by which a loopback address may be asked, such as a proxy's.
        archive_dir: where raw events are archived; None: not archived.
        archive_max_bytes: oldest archived files are removed above this; None: kept.
        tick_s: seconds between two clock ticks into every event partition.
        session_timeout_s: silence after which the broker gives a worker's partitions to another.
        stall_s: no progress in spite of lag for this long ends the process (exit code 70).
        close_months: write ``month.closed`` by the organisation's schedule.
        evaluate_limit: values worked out between two turns of the event loop.
        fetch_bytes: bytes fetched of one partition at a time at most.
        demo: the console marks what it shows as a demonstration.
        data_dir: where this worker keeps what only speeds it up (its membership); None: nowhere. One worker at a
            time uses it; another one on the same directory does without.
        engines: the state machines that the agents drive.
    """

    bootstrap: str
    catalogue: Catalogue
    store_factory: Callable[[], KpiStore]
    register_factory: Callable[[], Register] | None = None
    reports: ReportSource | None = None
    connectors: Callable[[], Sequence[StreamState]] = tuple
    group: str = "csf"
    partitions: int = 4
    replication: int = 1
    http_host: str = "127.0.0.1"
    http_port: int = 8080
    http_token: str | None = field(default=None, repr=False)
    http_names: tuple[str, ...] = ()
    archive_dir: Path | None = None
    archive_max_bytes: int | None = None
    tick_s: float = 10.0
    session_timeout_s: float = 6.0
    stall_s: float = 60.0
    close_months: bool = True
    evaluate_limit: int = 40
    fetch_bytes: int = 8 * 2**20
    demo: bool = False
    data_dir: Path | None = None
    security: KafkaSecurity = field(default_factory=KafkaSecurity)
    engines: Engines = field(default_factory=Engines)

    def __post_init__(self) -> None:
        for address in self.bootstrap.split(","):
            match = _ADDRESS.match(address.strip())
            if match is None or not 0 < int(match[2]) < 65536:
                raise ConfigError(f"bootstrap: '{address}' is no broker address; write host:port (kafka:9092)")
        if _GROUP.match(self.group) is None:
            raise ConfigError(f"group: '{self.group}' is no group name; use letters, digits, '.', '_' and '-'")
        if self.partitions < 1 or self.replication < 1:
            raise ConfigError("partitions and replication must be 1 or more")
        for name in ("tick_s", "session_timeout_s", "stall_s", "evaluate_limit", "fetch_bytes"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be greater than 0")
        if not self.http_token and not is_loopback(self.http_host):
            raise ConfigError(
                f"http_host {self.http_host} can be reached by other machines: set http_token too, or use 127.0.0.1"
            )
        if self.http_token is not None and len(self.http_token) < _LEAST_TOKEN:
            raise ConfigError(
                f"http_token has {len(self.http_token)} characters and can be guessed; use {_LEAST_TOKEN} or more "
                "(openssl rand -hex 32 makes one)"
            )
        if self.security.protocol.startswith("SASL") and not (self.security.username and self.security.password):
            raise ConfigError(f"security: {self.security.protocol} needs username and password")
