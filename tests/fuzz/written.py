"""Files as people write them, and what must be told of those that are none."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import yaml
from yaml.constructor import SafeConstructor
from yaml.cyaml import CParser
from yaml.resolver import Resolver

from pipeline.catalogue import reading
from tests.fuzz import mutate

#: Of so many texts one is parsed as the program does it, by Python; the others in C, which is ten times as fast.
_PARSED_SLOWLY = 20


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


class _Quick(CParser, reading._Loader):  # type: ignore[misc]
    """The program's own loader on a parser in C: keys, scalars and their rules are the program's."""

    def __init__(self, stream: str) -> None:
        CParser.__init__(self, stream)
        SafeConstructor.__init__(self)
        Resolver.__init__(self)


def parse_quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have most YAML parsed in C. The parser is not ours; what is made of what it says is, and stays the same."""
    slow = reading._Loader

    def loader(stream: str) -> yaml.SafeLoader:
        return slow(stream) if hash(stream) % _PARSED_SLOWLY == 0 else _Quick(stream)

    monkeypatch.setattr(reading, "_Loader", loader)
