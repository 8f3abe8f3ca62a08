"""Which fault comes when: chosen by a seed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from tests.chaos.deployment import Deployment
from tests.chaos.faults import ALWAYS, LONG, OF_CLOCKS, OF_SERVERS, Faults

#: The longest time between two faults, and the longest that something is away, seconds.
PAUSE_S, AWAY_S = 2.5, 8.0
#: One fault in so many waits until a worker answers, so that faults also meet a deployment at work.
_BREATH = 4
_BREATH_S = 15.0


@dataclass(frozen=True)
class Step:
    """A fault to come: after how long a wait, which, whom, for how long.

    Attributes:
        breath: wait also until a worker answers.
        long: as ``Faults.strike`` has it.
    """

    wait_s: float
    kind: str
    whom: float
    seconds: float
    breath: bool = False
    long: bool = False


def schedule(seed: int, kills: int, *, servers: bool, clocks: bool, long: bool) -> list[Step]:
    """Return faults until there were so many kills; the same arguments give the same faults.

    Args:
        seed: chooses faults, victims and pauses.
        kills: how many faults are SIGKILLs.
        servers: the store is a server and there may be many workers.
        clocks: clocks can be made to jump.
        long: with the broker away and paused for a minute and the store away for ten, somewhere in between.
    """
    rng = Random(seed)
    kinds = ALWAYS | (OF_SERVERS if servers else {}) | (OF_CLOCKS if clocks else {})
    return _with_long(rng, list(_steps(rng, kinds, kills))) if long else list(_steps(rng, kinds, kills))


def _steps(rng: Random, kinds: dict[str, int], kills: int) -> Iterator[Step]:
    while kills > 0:
        kind = rng.choices(list(kinds), list(kinds.values()))[0]
        kills -= kind.startswith("kill")
        yield Step(rng.uniform(0.2, PAUSE_S), kind, rng.random(), rng.uniform(1.0, AWAY_S), rng.random() < 1 / _BREATH)


def _with_long(rng: Random, steps: list[Step]) -> list[Step]:
    for kind, seconds in LONG.items():
        steps.insert(rng.randrange(len(steps)), Step(PAUSE_S, kind, 0.0, seconds, long=True))
    return steps


def carry_out(steps: list[Step], deployment: Deployment) -> Faults:
    """Let all of it happen while everything is supervised; say what was done."""
    faults = Faults(deployment)
    for number, step in enumerate(steps, start=1):
        deployment.watch(step.wait_s)
        left = _BREATH_S if step.breath else 0.0
        while left > 0 and not any(deployment.get(n, "/api/v1/progress") for n in range(len(deployment.workers))):
            deployment.watch(0.3)
            left -= 0.3
        faults.strike(step.kind, step.whom, step.seconds, long=step.long)
        print(f"  {number}/{len(steps)} {step.kind} ({step.seconds:.1f} s)", flush=True)
    return faults
