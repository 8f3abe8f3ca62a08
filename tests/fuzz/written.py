"""Files as people write them, and what must be told of those that are none."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import yaml

from tests.fuzz import mutate


def as_yaml(document: Any, rng: random.Random) -> str:
    """Return a document as YAML, or as the JSON that is YAML too, now and then with its text changed."""
    written = json.dumps(document)
    if rng.random() < 0.2 and len(written) < 5000 and written.count("[") + written.count("{") < 100:
        written = yaml.safe_dump(document)
    return mutate.text(written, rng) if rng.random() < 0.3 else written


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
    return path


def one_sentence(error: Exception) -> None:
    assert str(error).strip()
    assert "Traceback" not in str(error)
