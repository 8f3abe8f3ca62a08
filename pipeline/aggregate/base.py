"""What an aggregator is: four pure functions over a plain, mergeable state.

``merge`` is associative and commutative with None as identity; the state after any order, split or
duplication-free replay of the same contributions is the same. ``VERSION`` is part of every base key, so
states of different versions never meet.
"""

from __future__ import annotations

from typing import Any, Protocol

#: Raised by one whenever the meaning of a stored state changes.
VERSION = 1

#: One millionth: every value is an integer count of these.
MICRO = 1_000_000

State = Any
Contribution = Any


class Aggregator(Protocol):
    """Folds contributions of one kind of base."""

    def add(self, state: State | None, contribution: Contribution, sign: int) -> State:
        """Return the state with a contribution added (sign 1) or taken back (sign -1); may change it in place."""

    def merge(self, left: State | None, right: State | None) -> State | None:
        """Return the merged state; never changes its arguments."""

    def absorb(self, left: State | None, right: State) -> State:
        """Return the merged state as ``merge`` does; may change the left one in place, keeps no hold of the right."""

    def replace(self, whole: State, old: State, new: State) -> State | None:
        """Return what a whole is once one of the states it was merged of is another; may change it in place.

        None where only merging all of them again can tell; the whole is not to be used any more then.
        """

    def pack(self, state: State) -> Any:
        """Return the state as msgpack-able data."""

    def unpack(self, data: Any) -> State:
        """Return the state that was packed."""


def pack_int(number: int) -> int | str:
    """Return an integer in a form msgpack holds exactly (text beyond 64 bits)."""
    return number if -(2**63) <= number < 2**63 else str(number)
