"""``csf worker``: one worker process on configured brokers and store."""

from __future__ import annotations

import logging
from pathlib import Path

import click

from cli.options import config_option, own_data_dir_option
from cli.output import OneLineFormatter
from cli.reaching import check_kafka
from cli.settings import load_settings
from pipeline.errors import ConfigError


@click.command()
@config_option
@own_data_dir_option
@click.option("--bootstrap", help="Brokers, host:port,... (CSF_BOOTSTRAP).")
@click.option("--port", type=click.IntRange(0, 65535), help="Port of console, API and metrics (CSF_HTTP_PORT).")
def worker(config: Path | None, data_dir: Path | None, bootstrap: str | None, port: int | None) -> int:
    """Run one worker: it folds events into KPIs, writes them, and serves console, API and metrics."""
    from agents.app import run_worker  # noqa: PLC0415 - Faust takes a second to load
    from cli.report_source import ChildReports  # noqa: PLC0415 - likewise

    handler = logging.StreamHandler()
    handler.setFormatter(OneLineFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    for noisy in ("faust", "mode", "aiokafka", "kafka"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    # each of its attempts to connect; what comes of them is told in a sentence
    logging.getLogger("kafka.net").setLevel(logging.CRITICAL)
    settings = load_settings(config, data_dir=data_dir, bootstrap=bootstrap, http_port=port)
    if settings.bootstrap is None:
        raise ConfigError("csf worker needs brokers: set CSF_BOOTSTRAP or --bootstrap (csf up brings its own)")
    try:
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as e:
        raise ConfigError(f"{settings.data_dir} cannot be used: {e.strerror}; name another with --data-dir") from None
    check_kafka(settings.bootstrap, settings.security())
    return run_worker(settings.worker_config(settings.bootstrap, ChildReports(settings)))
