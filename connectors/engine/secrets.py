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
    try:
        value = Path(str(said["file"])).read_text("utf-8").strip()
    except (OSError, ValueError) as e:
        raise ConfigError(f"{where}: {said['file']} cannot be read: {getattr(e, 'strerror', None) or e}") from None
    if not value:
        raise ConfigError(f"{where}: {said['file']} is empty")
    return value


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
