"""``make chaos``: a long run. ``python -m tests.chaos.run --store influx --faults 200 --seed 7`` repeats one."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from random import SystemRandom

from connectors.simulator import catalogue_dir
from pipeline.catalogue.loader import load_catalogue
from tests.chaos.deployment import Deployment
from tests.chaos.letters import letters, save
from tests.chaos.schedule import Schedule
from tests.chaos.verdict import judge, read_log


def chaos(folder: Path, store: str, seed: int, events: int, faults: int, workers: int, rate: float) -> list[str]:
    """Feed a deployment while faults strike; return what differs from the oracle in the end."""
    catalogue = load_catalogue(catalogue_dir())
    sent = letters(seed, events, catalogue.organisation.zone)
    save(folder / "letters", sent)
    deployment = Deployment(folder, store, workers, folder / "letters", rate)
    try:
        for worker in (*deployment.workers, deployment.feeder):
            worker.start()
        schedule = Schedule(seed, faults, long=faults >= 50)
        schedule.run(deployment)
        deployment.settle(300)
        messages = read_log(deployment.kafka.bootstrap)
        opened = deployment.open_store()
        archives = sorted(folder.glob("worker-*/archive"))
        verdict = judge(catalogue, messages, opened, archives, seed, gaps=schedule.archive_struck)
        opened.close()
        workers_ever = [*deployment.workers, *deployment.retired]
        codes = {code for worker in workers_ever for code in worker.codes}
        print(
            f"{len(sent):,} letters, {len(messages):,} messages, {schedule.kills} kills of {len(schedule.steps)} faults, "
            f"{sum(w.starts for w in workers_ever)} starts of workers, exit codes {sorted(codes)}; "
            f"{verdict.values:,} values, {verdict.statuses:,} statuses and {verdict.archived:,} archived messages compared: "
            f"{len(verdict.differences)} differences",
            flush=True,
        )
        return verdict.differences
    finally:
        deployment.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", choices=["sqlite", "influx"], default="sqlite")
    parser.add_argument("--seed", type=int, default=None, help="repeats a run; a new one by default")
    parser.add_argument("--events", type=int, default=60_000)
    parser.add_argument("--faults", type=int, default=180)
    parser.add_argument("--rate", type=float, default=200.0, help="events a second")
    parser.add_argument("--keep", type=Path, help="a folder to keep everything in")
    arguments = parser.parse_args()
    seed = SystemRandom().randrange(10**6) if arguments.seed is None else arguments.seed
    workers = 1 if arguments.store == "sqlite" else 3
    print(f"seed {seed}, store {arguments.store}, {workers} workers", flush=True)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="csf-chaos-") as temporary:
        folder = arguments.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        found = chaos(folder, arguments.store, seed, arguments.events, arguments.faults, workers, arguments.rate)
    print(f"{time.monotonic() - started:.0f} s")
    for line in found:
        print(line)
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
