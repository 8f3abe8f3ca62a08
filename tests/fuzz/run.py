"""How a target is run: so many inputs from a seed, each guarded against hanging, the first failure shown with its input."""

from __future__ import annotations

import os
import random
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

#: Inputs of a target; ``make fuzz`` sets 100,000.
INPUTS = int(os.environ.get("FUZZ_INPUTS", "2000"))
SEED = int(os.environ.get("FUZZ_SEED", "20261126"))
#: An input that takes more time of the processor hangs: it is orders of magnitude above what any takes, however busy
#: the machine is.
_HANGS_S = 20.0
#: Memory above what the process had when it began, bytes.
_MEMORY = 1 << 30


class Hangs(BaseException):
    """An input took far too long; no handler of the code under test may take this for its own error."""


@contextmanager
def bounded() -> Iterator[None]:
    """End an input that hangs, and let an allocation fail that is out of all proportion."""

    def ring(_number: int, _frame: Any) -> None:
        raise Hangs

    with open("/proc/self/statm") as f:
        used = int(f.read().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    was = signal.signal(signal.SIGPROF, ring)
    resource.setrlimit(resource.RLIMIT_AS, (used + _MEMORY, before[1]))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, was)
        resource.setrlimit(resource.RLIMIT_AS, before)


def fuzz(make: Callable[[random.Random], Any], check: Callable[[Any], None], inputs: int | None = None) -> None:
    """Make inputs and check each; the failure names seed and input."""
    with bounded():
        for number in range(INPUTS if inputs is None else inputs):
            seed = f"{SEED}/{number}"
            given = make(random.Random(seed))
            signal.setitimer(signal.ITIMER_PROF, _HANGS_S)
            try:
                check(given)
            except BaseException as e:
                shown = repr(given)
                message = f"input {seed}: {type(e).__name__}: {e}\n{shown[:3000]}"
                raise AssertionError(message) from e
            finally:
                signal.setitimer(signal.ITIMER_PROF, 0)
