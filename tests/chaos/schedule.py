"""Which fault comes when: chosen by a seed, carried out on a deployment."""

from __future__ import annotations

import signal
import time
from random import Random

from tests.chaos.deployment import Deployment

#: Faults and how often each is chosen.
FAULTS = {
    "kill worker": 6, "end worker": 2, "pause worker": 3, "kill feeder": 3, "kill broker": 2, "pause broker": 2,
    "store away": 2, "archive away": 1, "disk full": 1, "worker leaves": 2, "kill everything": 1,
}  # fmt: skip
#: A long schedule has one of each of these, seconds.
LONG = {"pause broker": 60.0, "store away": 120.0}


class Schedule:
    """Faults at random moments, one after the other.

    Args:
        seed: the same seed chooses the same faults, victims and pauses.
        faults: how many.
        pause_s: the longest time between two faults; ``away_s`` the longest that something is away.
        long: with the broker unreachable for a minute and the store down for two.
    """

    def __init__(
        self, seed: int, faults: int, pause_s: float = 3.0, away_s: float = 8.0, *, long: bool = False
    ) -> None:
        rng = Random(seed)
        kinds = rng.choices(list(FAULTS), list(FAULTS.values()), k=faults)
        self.steps = [(rng.uniform(0.3, pause_s), kind, rng.random(), rng.uniform(1.0, away_s)) for kind in kinds]
        for kind, seconds in LONG.items() if long else ():
            self.steps.insert(rng.randrange(len(self.steps)), (pause_s, kind, 0.0, seconds))
        self.kills = 0
        #: the archive could not be written for a while, which leaves gaps in it that Kafka still has
        self.archive_struck = False

    def run(self, deployment: Deployment) -> None:
        """Carry all of it out while everything is supervised; say what was done."""
        for wait, kind, whom, seconds in self.steps:
            end = time.monotonic() + wait
            while time.monotonic() < end:
                deployment.supervise()
                time.sleep(0.05)
            self._strike(deployment, kind, int(whom * len(deployment.workers)), seconds)
            print(f"  {kind} (worker {int(whom * len(deployment.workers))}, {seconds:.1f} s)", flush=True)

    def _strike(self, deployment: Deployment, kind: str, number: int, seconds: float) -> None:
        worker = deployment.workers[number]
        self.kills += kind.startswith("kill")
        self.archive_struck |= kind in {"archive away", "disk full"}
        match kind:
            case "kill worker":
                worker.send(signal.SIGKILL)
            case "end worker":
                worker.send(signal.SIGTERM)
            case "pause worker":
                # longer than the broker's patience: it wakes as a zombie
                deployment.pause(worker, seconds * 3)
            case "kill feeder":
                deployment.feeder.send(signal.SIGKILL)
            case "kill broker":
                deployment.kafka.kill()
            case "pause broker":
                deployment.pause_broker(seconds)
            case "store away":
                deployment.store_away(seconds)
            case "archive away":
                deployment.archive_away(number, seconds)
            case "disk full":
                deployment.fill_disk(number, seconds)
            case "worker leaves":
                deployment.leave(worker, seconds)
            case "kill everything":
                for one in (*deployment.workers, deployment.feeder):
                    one.send(signal.SIGKILL)
                deployment.kafka.kill()
            case _:
                raise AssertionError(kind)
