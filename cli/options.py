"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path

import click

config_option = click.option(
    "--config", type=click.Path(path_type=Path, dir_okay=False), help="Settings file [default: DATA_DIR/csf.yaml]."
)
data_dir_option = click.option(
    "--data-dir", type=click.Path(path_type=Path, file_okay=False), help="Data directory (CSF_DATA_DIR)."
)
format_option = click.option(
    "--format", "fmt", type=click.Choice(["table", "json", "csv"]), default="table", show_default=True,
    help="How to print.",
)  # fmt: skip
bootstrap_option = click.option("--bootstrap", help="Brokers, host:port,... [default: those of the data directory].")
