"""Debian's Prometheus and Alertmanager for tests, on loopback, with a configuration of their own."""

import json
import shutil
from pathlib import Path

from tests.services.processes import Server, free_port

_RUNNING: list[Server] = []


def _program(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        message = f"{name} is missing: install Debian's package of that name (apt-get install {name})"
        raise AssertionError(message)
    return path


def start_prometheus(targets: list[str], dir: Path, alertmanager: str | None = None) -> str:  # noqa: A002 - as agreed
    """Start a Prometheus that scrapes ``host:port`` targets each half second; return its base URL.

    ``alertmanager`` is the ``host:port`` alerts go to. ``stop_all`` ends it.
    """
    dir.mkdir(parents=True, exist_ok=True)
    port = free_port()
    # JSON is YAML.
    configuration = {
        "global": {"scrape_interval": "500ms", "scrape_timeout": "500ms"},
        "scrape_configs": [{"job_name": "csf", "static_configs": [{"targets": targets}]}],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager] if alertmanager else []}]}]},
    }
    file = dir / "prometheus.yml"
    file.write_text(json.dumps(configuration))
    base = f"http://127.0.0.1:{port}"
    server = Server(
        [
            _program("prometheus"),
            f"--config.file={file}",
            f"--storage.tsdb.path={dir / 'prometheus'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=warn",
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
            _program("prometheus-alertmanager"),
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


def stop_all() -> None:
    """End every server started here."""
    while _RUNNING:
        _RUNNING.pop().stop()
