"""Debian's Prometheus and Alertmanager for tests, on loopback, with a configuration of their own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.services.processes import Server, free_port, program

_RUNNING: list[Server] = []


def start_prometheus(
    targets: list[str],
    dir: Path,  # noqa: A002 - as agreed
    alertmanager: str | None = None,
    blackbox: tuple[str, dict[str, str]] | None = None,
    flags: Sequence[str] = (),
) -> str:
    """Start a Prometheus that scrapes ``host:port`` targets each half second; return its base URL.

    ``alertmanager`` is the ``host:port`` alerts go to; ``blackbox`` the ``host:port`` of an exporter, and the service of
    each URL that it probes, in the job ``blackbox`` as the exporter's own documentation sets it up; ``flags`` are further
    ones of the command. ``stop_all`` ends it.
    """
    dir.mkdir(parents=True, exist_ok=True)
    port = free_port()
    # JSON is YAML.
    configuration: dict[str, Any] = {
        "global": {"scrape_interval": "500ms", "scrape_timeout": "500ms"},
        "scrape_configs": [{"job_name": "csf", "static_configs": [{"targets": targets}]}],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager] if alertmanager else []}]}]},
    }
    if blackbox is not None:
        exporter, probed = blackbox
        configuration["scrape_configs"].append({
            "job_name": "blackbox", "metrics_path": "/probe", "params": {"module": ["http_2xx"]},
            # the exporter keeps half a second of the time-out for itself
            "scrape_interval": "1s", "scrape_timeout": "1s",
            "static_configs": [{"targets": [url], "labels": {"service": service}} for url, service in probed.items()],
            "relabel_configs": [
                {"source_labels": ["__address__"], "target_label": "__param_target"},
                {"source_labels": ["__param_target"], "target_label": "instance"},
                {"target_label": "__address__", "replacement": exporter},
            ],
        })  # fmt: skip
    file = dir / "prometheus.yml"
    file.write_text(json.dumps(configuration))
    base = f"http://127.0.0.1:{port}"
    server = Server(
        [
            program("prometheus"),
            f"--config.file={file}",
            f"--storage.tsdb.path={dir / 'prometheus'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=warn",
            *flags,
        ],
        dir / "prometheus.log",
        f"{base}/-/ready",
    )
    server.start()
    _RUNNING.append(server)
    return base


def start_alertmanager(dir: Path, webhook: dict[str, object] | None = None) -> str:  # noqa: A002 - as start_prometheus
    """Start an Alertmanager; return its base URL. ``stop_all`` ends it.

    ``webhook`` is where it sends what it gets, as its configuration says it; without one it keeps it.
    """
    dir.mkdir(parents=True, exist_ok=True)
    port = free_port()
    file = dir / "alertmanager.yml"
    receiver = {"name": "only", **({"webhook_configs": [webhook]} if webhook else {})}
    route = {"receiver": "only", "group_by": ["service"], "group_wait": "0s", "group_interval": "1s"}
    file.write_text(json.dumps({"route": route, "receivers": [receiver]}))
    base = f"http://127.0.0.1:{port}"
    server = Server(
        [
            program("prometheus-alertmanager"),
            f"--config.file={file}",
            f"--storage.path={dir / 'alertmanager'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=",
            "--log.level=warn",
        ],
        dir / "alertmanager.log",
        f"{base}/-/ready",
    )
    server.start()
    _RUNNING.append(server)
    return base


def start_blackbox(dir: Path) -> str:  # noqa: A002 - as start_prometheus
    """Start a blackbox exporter with the modules that Debian configures; return its ``host:port``. ``stop_all`` ends it."""
    dir.mkdir(parents=True, exist_ok=True)
    address = f"127.0.0.1:{free_port()}"
    name = "prometheus-blackbox-exporter"
    command = [program(name), "--config.file=/etc/prometheus/blackbox.yml", f"--web.listen-address={address}"]
    server = Server(command, dir / "blackbox.log", f"http://{address}/-/healthy")
    server.start()
    _RUNNING.append(server)
    return address


def stop_all() -> None:
    """End every server started here."""
    while _RUNNING:
        _RUNNING.pop().stop()
