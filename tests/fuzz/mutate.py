"""Valid inputs made invalid: by structure (a value, a key, a type), and by bytes."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Sequence
from typing import Any

#: what breaks parsers: limits, signs, formats that are nearly right, things that other languages obey
TEXTS = (
    "", " ", "\x00", "\n", "\r\n", "\t", "a\x00b", "\ud800", "\ufeff", "\u2028", "\u202e", "\x1b[2J", "é", "𝔘", "١٢٣", "²",
    "NaN", "Infinity", "-0", "1e400", "9" * 400, "-" + "9" * 400, "0x10", "1_000", "true", "null", "None", "~", "{}", "[]",
    "=1+1", "<img src=x onerror=alert(1)>", "' OR 1=1 --", '") |> drop()', "${jndi}", "%s%n", "{0.__class__}", "../../etc/passwd",
    "2026-02-30T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.999999-14:00", "2026-10-25T02:30:00",
    "0001-01-01T00:00:00Z", "1900-01-01T00:00:00Z", "1969-12-31T23:59:59Z", "2026-10-01T00:00:00Z", "2026-13", "0000-01", "9999-12", "1970-01-01T00:00:00+00:00", "-5-5", "5-5", "0-0", "1-5",
    "-" + "9" * 400 + "-1", "1-" + "9" * 400, "١-٥", "a" * 300, "|", "a|b|c", ",", '"', "\\", "org", "team:", "service:",
)  # fmt: skip
NUMBERS: tuple[Any, ...] = (
    0, -0.0, 1, -1, 0.1, 1e-320, 1e12, 1e12 + 1, -1e12, 1e15, 1e308, -1e308, 2**31, 2**53 + 1, 2**63 - 1, 2**63, 2**64, -(2**63) - 1,
    10**30, float("nan"), float("inf"), float("-inf"), 65_536, 1_000_001, 86_400, 253_402_300_800, -62_135_596_801,
)  # fmt: skip
OTHERS: tuple[Any, ...] = (None, True, False, [], {}, [[]], {"": {}}, [None], {"a": 1})


def nasty(rng: random.Random) -> Any:
    """Return a value that breaks parsers."""
    pick = rng.random()
    if pick < 0.45:
        return rng.choice(TEXTS)
    if pick < 0.8:
        return rng.choice(NUMBERS)
    if pick < 0.97:
        return copy.deepcopy(rng.choice(OTHERS))
    deep: Any = 1
    for _ in range(rng.choice((5, 60, 150))):
        deep = [deep] if rng.random() < 0.5 else {"a": deep}
    return deep


def places(document: Any, found: list[tuple[Any, Any]] | None = None) -> list[tuple[Any, Any]]:
    """Return every (container, key) of a document."""
    found = [] if found is None else found
    if isinstance(document, dict):
        for key, value in document.items():
            found.append((document, key))
            places(value, found)
    elif isinstance(document, list):
        for index, value in enumerate(document):
            found.append((document, index))
            places(value, found)
    return found


def mutated(document: Any, rng: random.Random, most: int = 3) -> Any:
    """Return a document with some of its values, keys or types changed."""
    document = copy.deepcopy(document)
    for _ in range(rng.randint(1, most)):
        spots = places(document)
        if not spots:
            return nasty(rng)
        container, key = rng.choice(spots)
        pick = rng.random()
        if pick < 0.5:
            container[key] = nasty(rng)
        elif pick < 0.62:
            del container[key]
        elif pick < 0.72:
            other, at = rng.choice(spots)
            try:
                container[key] = copy.deepcopy(other[at])
            except (KeyError, IndexError):
                container[key] = None
        elif pick < 0.82 and isinstance(container, dict):
            container[str(rng.choice(TEXTS))] = container.pop(key)
        elif pick < 0.9:
            container[key] = str(container[key])
        elif isinstance(container, list):
            container.extend(copy.deepcopy(container[key]) for _ in range(rng.choice((1, 2, 40))))
        elif isinstance(container[key], str):
            container[key] = text(container[key], rng)
        else:
            container[key] = [container[key]]
    return document


def text(given: str, rng: random.Random) -> str:
    """Return a text with some characters changed."""
    for _ in range(rng.randint(1, 4)):
        at, upto = sorted((rng.randint(0, len(given)), rng.randint(0, len(given))))
        pick = rng.random()
        if pick < 0.35:
            given = given[:at] + rng.choice(TEXTS) + given[at:]
        elif pick < 0.55:
            given = given[:at] + given[at + rng.choice((1, 1, 3)) :]
        elif pick < 0.65:
            given = given[:at] + given[upto:]
        elif pick < 0.75:
            given = given[:upto] + given[at:upto] + given[upto:]
        elif pick < 0.9:
            given = given[:at] + chr(rng.choice((rng.randint(0, 127), rng.randint(0, 0x2FF)))) + given[at + 1 :]
        else:
            given = given[:at] + str(rng.choice(NUMBERS)) + given[upto:]
    return given


def data(given: bytes, rng: random.Random) -> bytes:
    """Return bytes with some of them changed."""
    out = bytearray(given)
    for _ in range(rng.randint(1, 4)):
        at = rng.randint(0, len(out))
        pick = rng.random()
        if pick < 0.4 and out:
            out[at % len(out)] ^= 1 << rng.randint(0, 7)
        elif pick < 0.55:
            out[at:at] = rng.randbytes(rng.choice((1, 2, 8)))
        elif pick < 0.7:
            del out[at : at + rng.choice((1, 2, 8, 64))]
        elif pick < 0.8:
            del out[at:]
        elif pick < 0.9:
            out[at : at + 4] = rng.choice(
                (b"\xff\xff\xff\xff", b"\x00\x00\x00\x00", b"\x7f\xff\xff\xff", b"\x80\x00\x00\x00")
            )
        else:
            out[at:at] = out[: rng.randint(0, len(out))]
    return bytes(out)


def json_bytes(document: Any, rng: random.Random) -> bytes:
    """Return a document as JSON, now and then with bytes changed, NaN and lone surrogates included."""
    raw = json.dumps(document, ensure_ascii=rng.random() < 0.7).encode("utf-8", "surrogatepass")
    return data(raw, rng) if rng.random() < 0.3 else raw


def one_of(samples: Sequence[Any], rng: random.Random) -> Any:
    """Return one sample."""
    return samples[rng.randrange(len(samples))]
