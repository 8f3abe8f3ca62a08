"""Distinct counts: exact up to 4,096 values, then HyperLogLog read only through a union.

The state is a function of the set of values alone, so order and split do not matter. HyperLogLog: Flajolet,
Fusy, Gandouet, Meunier 2007, with linear counting in the small range; p = 12 gives a standard error of 1.6 %.
"""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Iterable
from hashlib import blake2b
from typing import Any

EXACT_LIMIT = 4096
P = 12
M = 1 << P
_ALPHA = 0.7213 / (1 + 1.079 / M)
_REST_BITS = 64 - P
_REST_MASK = (1 << _REST_BITS) - 1

Distinct = set[int] | bytearray


#: Hashes remembered: users come again and again. A plain dictionary costs half of what an LRU cache does.
_REMEMBERED = 65_536
_hashes: dict[str, int] = {}


def hash64(text: str) -> int:
    """Return the 64-bit hash of a value's text."""
    known = _hashes.get(text)
    if known is None:
        if len(_hashes) >= _REMEMBERED:
            _hashes.clear()
        known = _hashes[text] = int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")
    return known


def _little(hashes: array[int]) -> array[int]:
    """Return hashes in little-endian order, whatever the machine's."""
    if sys.byteorder == "big":
        hashes.byteswap()
    return hashes


def _register(registers: bytearray, values: Iterable[int]) -> bytearray:
    """Note values in registers, in place: the greatest rank of each register counts."""
    for value in values:
        index = value >> _REST_BITS
        rank = _REST_BITS + 1 - (value & _REST_MASK).bit_length()
        registers[index] = max(registers[index], rank)
    return registers


def _to_registers(values: set[int]) -> bytearray:
    return _register(bytearray(M), values)


def distinct_of(texts: set[str]) -> Distinct:
    """Return the state of distinct texts."""
    hashes: set[Any] = set(map(_hashes.get, texts))
    if None in hashes:  # some are not remembered
        hashes = set(map(hash64, texts))
    return hashes if len(hashes) <= EXACT_LIMIT else _to_registers(hashes)


class DistinctAggregator:
    """State: a set of hashes, or a bytearray of registers; contribution: one hash."""

    def add(self, state: Distinct | None, contribution: int, sign: int) -> Distinct:
        """Add one hash, in place.

        Raises:
            ValueError: a distinct count cannot take a value back.
        """
        if sign < 0:
            raise ValueError("a distinct count cannot take a value back")
        if state is None:
            return {contribution}
        if isinstance(state, set):
            state.add(contribution)
            return state if len(state) <= EXACT_LIMIT else _to_registers(state)
        _register(state, (contribution,))
        return state

    def merge(self, left: Distinct | None, right: Distinct | None) -> Distinct | None:
        """Return the union."""
        if left is None:
            return right
        if right is None:
            return left
        if isinstance(left, set) and isinstance(right, set):
            both = left | right
            return both if len(both) <= EXACT_LIMIT else _to_registers(both)
        if isinstance(left, set):
            left, right = right, left
        registers = left if isinstance(left, bytearray) else bytearray(M)
        if isinstance(right, set):
            return _register(bytearray(registers), right)
        return bytearray(map(max, registers, right))

    def absorb(self, left: Distinct | None, right: Distinct) -> Distinct:
        """Return the union, in the left state where it can be."""
        if left is None:
            return right.copy()
        if isinstance(left, set):
            if isinstance(right, set):
                left |= right
                return left if len(left) <= EXACT_LIMIT else _to_registers(left)
            return _register(bytearray(right), left)
        if isinstance(right, set):
            return _register(left, right)
        left[:] = bytes(map(max, left, right))
        return left

    def pack(self, state: Distinct) -> Any:
        """Return 8-byte hashes in any order (True) or registers (False)."""
        if isinstance(state, set):
            return [True, _little(array("Q", state)).tobytes()]
        return [False, bytes(state)]

    def unpack(self, data: Any) -> Distinct:
        """Return the set or the registers."""
        exact, raw = data
        if exact:
            hashes = array("Q")
            hashes.frombytes(raw)
            return set(_little(hashes))
        return bytearray(raw)


def cardinality(state: Distinct | None) -> float:
    """Return the number of distinct values (an estimate above the exact limit)."""
    if state is None:
        return 0.0
    if isinstance(state, set):
        return float(len(state))
    estimate = _ALPHA * M * M / sum(2.0**-r for r in state)
    zeros = state.count(0)
    if estimate <= 2.5 * M and zeros:
        return M * math.log(M / zeros)
    return estimate
