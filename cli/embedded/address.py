"""Where the instance of a data directory is."""

from __future__ import annotations

from pathlib import Path

from cli.embedded.instance import read_state
from pipeline.errors import ConfigError


def bootstrap_of(data_dir: Path | None) -> str:
    """Return the address of the Kafka that runs in a data directory.

    Raises:
        ConfigError: none runs there.
    """
    state = None if data_dir is None else read_state(data_dir)
    if state is None:
        raise ConfigError(
            f"nothing runs on {data_dir}: start it with `csf up --data-dir {data_dir}`, or name --bootstrap"
        )
    return state.bootstrap
