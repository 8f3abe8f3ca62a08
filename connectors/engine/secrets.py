"""Secrets of a configuration: read from the environment or a file, never shown."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError

_HIDDEN = "***"
#: A shorter secret would blot out half of every message.
_SHORTEST_HIDDEN = 4


def read_secret(said: Any, where: str) -> str:
    """Return a secret that a configuration names as ``{env: NAME}`` or ``{file: PATH}``.

    Raises:
        ConfigError: it is written into the configuration itself, or is not where it is said to be.
    """
    if not (isinstance(said, dict) and len(said) == 1 and set(said) <= {"env", "file"}):
        raise ConfigError(
            f"{where}: name where the secret is: {{env: VARIABLE}} or {{file: PATH}}; it has no place in here"
        )
    if "env" in said:
        value = os.environ.get(str(said["env"]), "")
        if not value:
            raise ConfigError(f"{where}: the environment variable {said['env']} is not set")
        return value
    return read_file(Path(str(said["file"])), where)


def read_file(path: Path, where: str) -> str:
    """Return the secret in a file.

    Raises:
        ConfigError: there is none.
    """
    try:
        value = path.read_text("utf-8").strip()
    except (OSError, ValueError) as e:
        raise ConfigError(f"{where}: {path} cannot be read: {getattr(e, 'strerror', None) or e}") from None
    if not value:
        raise ConfigError(f"{where}: {path} is empty")
    return value


def write_secret(path: Path, value: str) -> None:
    """Replace the secret in a file, whole or not at all; only its owner may read it.

    Raises:
        ConfigError: it cannot be written.
    """
    beside = path.with_name(f".{path.name}.new")
    try:
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            out.write(value)
            out.flush()
            os.fsync(handle)
        beside.replace(path)
    except OSError as e:
        raise ConfigError(
            f"{path}: the new refresh token cannot be kept ({e.strerror}); make file and folder writable, since the old token ends with its use"
        ) from None


class Secrets:
    """What must not be shown, and texts without it."""

    def __init__(self, values: list[str]) -> None:
        self._values: list[str] = []
        for value in values:
            self.add(value)

    def add(self, value: str) -> None:
        """Take a further secret, such as a token that was given."""
        if len(value) >= _SHORTEST_HIDDEN and value not in self._values:
            self._values.append(value)

    def hidden(self, text: str) -> str:
        """Return a text in which no secret is left."""
        for value in self._values:
            text = text.replace(value, _HIDDEN)
        return text
