"""``make chaos``: a long run. ``python -m tests.chaos.run --store influx --kills 100 --seed 7 --at 1764133200`` repeats one."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from random import SystemRandom

from connectors.simulator import catalogue_dir
from pipeline.catalogue.loader import load_catalogue
from tests.chaos.clock import Clock
from tests.chaos.deployment import Deployment
from tests.chaos.letters import letters, save
from tests.chaos.schedule import carry_out, schedule
from tests.chaos.verdict import judge, read_log

#: From so many kills on, the broker is away for a minute and the store for ten.
_LONG = 50


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One run: the same plan sends the same events and strikes with the same faults.

    Attributes:
        store: ``sqlite`` or ``influx``.
        seed: chooses events, disorder, faults and victims.
        kills: how many faults are SIGKILLs; others come with them.
        events: about how many events are sent.
        at: what the clocks say at the start, epoch seconds, a whole hour; None: the time of day.
        real_clock: clocks do not jump.
        hours: values of hours that are compared, of the many there are.
        kill_s: events are fed at a rate at which one kill and the faults that come with it may take so long, seconds.
    """

    store: str
    seed: int
    kills: int
    events: int
    at: int | None = None
    real_clock: bool = False
    hours: int = 2_000
    kill_s: float = 3.0


def chaos(folder: Path, plan: Plan) -> list[str]:
    """Feed a deployment while faults strike; return what differs from the oracle in the end."""
    catalogue = load_catalogue(catalogue_dir())
    clock = Clock(folder, plan.at, real=plan.real_clock)
    servers = plan.store != "sqlite"
    steps = schedule(plan.seed, plan.kills, servers=servers, clocks=clock.jumps, long=plan.kills >= _LONG)
    sent = letters(plan.seed, plan.events, catalogue.organisation.zone, int(clock.time()) // 3600 * 3600)
    save(folder / "letters", sent)
    rate = len(sent) / (plan.kills * plan.kill_s)
    deployment = Deployment(folder, plan.store, 3 if servers else 1, folder / "letters", rate, clock)
    try:
        for one in (*deployment.workers, deployment.feeder):
            one.start()
        faults = carry_out(steps, deployment)
        print("faults are over, events " + ("still come" if deployment.feeder.wanted else "are all sent"), flush=True)
        deployment.settle(1_200)
        log = read_log(deployment.kafka.bootstrap)
        store = deployment.open_store()
        archives = [deployment.archive(number) for number in range(len(deployment.workers))]
        verdict = judge(catalogue, log, store, archives, plan.seed, gaps=faults.archive_struck, hours=plan.hours)
        store.close()
        ever = [*deployment.workers, *deployment.retired]
        codes = {code for worker in ever for code in worker.codes}
        print(
            f"{len(sent):,} letters, {len(log.messages):,} messages; {faults.kills} kills ({faults.sigkills} processes) of "
            f"{faults.struck.total()} faults: {', '.join(f'{kind} {n}' for kind, n in sorted(faults.struck.items()))}\n"
            f"{sum(w.starts for w in ever)} starts of workers, exit codes {sorted(codes)}; "
            f"exits {verdict.exits}; {verdict.values:,} values, {verdict.statuses:,} statuses, {verdict.revisions:,} "
            f"revisions and {verdict.archived:,} archived messages compared: {len(verdict.differences)} differences",
            flush=True,
        )
        return verdict.differences
    finally:
        deployment.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", choices=["sqlite", "influx"], default="sqlite")
    parser.add_argument("--seed", type=int, default=None, help="repeats a run; a new one by default")
    parser.add_argument(
        "--at", type=int, default=None, help="what the clocks say at the start, as the run to repeat said"
    )
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--events", type=int, default=60_000)
    parser.add_argument("--real-clock", action="store_true", help="clocks do not jump; needs no C compiler")
    parser.add_argument("--keep", type=Path, help="a folder to keep everything in")
    given = parser.parse_args()
    seed = SystemRandom().randrange(10**6) if given.seed is None else given.seed
    at = int(time.time()) // 3600 * 3600 if given.at is None and not given.real_clock else given.at
    plan = Plan(
        store=given.store, seed=seed, kills=given.kills, events=given.events, at=at, real_clock=given.real_clock
    )  # fmt: skip
    again = "--real-clock" if given.real_clock else f"--at {at}"
    print(
        f"to repeat: python -m tests.chaos.run --store {plan.store} --seed {seed} --kills {plan.kills} "
        f"--events {plan.events} {again}",
        flush=True,
    )
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="csf-chaos-") as temporary:
        folder = given.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        found = chaos(folder, plan)
    print(f"{time.monotonic() - started:.0f} s, seed {seed}: {'differs' if found else 'as the oracle says'}")
    for line in found:
        print(line)
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
