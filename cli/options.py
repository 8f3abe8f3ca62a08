"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from cli.settings import demo_dir, load_settings

_F = TypeVar("_F", bound=Callable[..., Any])

#: read before --data-dir, whose default may stand in it
config_option = click.option(
    "--config", type=click.Path(path_type=Path, dir_okay=False), help="Settings file [default: DATA_DIR/csf.yaml].",
    is_eager=True,
)  # fmt: skip


def own_data_dir_option(command: _F) -> _F:
    """Add --data-dir, for what starts or fills an installation."""
    return click.option(
        "--data-dir", type=click.Path(path_type=Path, file_okay=False), help="Data directory (CSF_DATA_DIR)."
    )(command)


def data_dir_option(command: _F) -> _F:
    """Add --data-dir and --demo, for what looks at an installation: --demo means that of the simulated organisation."""
    command = click.option(
        "--data-dir", type=click.Path(path_type=Path, file_okay=False), callback=_meant,
        help="Data directory (CSF_DATA_DIR).",
    )(command)  # fmt: skip
    return click.option(
        "--demo", is_flag=True, is_eager=True, expose_value=False, callback=_remember,
        help="The simulated organisation of `csf up`.",
    )(command)  # fmt: skip


def _remember(context: click.Context, _option: click.Parameter, demo: bool) -> None:
    context.meta[__name__] = demo


def _meant(context: click.Context, _option: click.Parameter, data_dir: Path | None) -> Path | None:
    """Return the directory that is meant: with --demo the demonstration beside the one that is named or configured."""
    if not context.meta.get(__name__):
        return data_dir
    return demo_dir(load_settings(context.params.get("config"), data_dir=data_dir).data_dir)


format_option = click.option(
    "--format", "fmt", type=click.Choice(["table", "json", "csv"]), default="table", show_default=True,
    help="How to print.",
)  # fmt: skip
bootstrap_option = click.option("--bootstrap", help="Brokers, host:port,... [default: those of the data directory].")
