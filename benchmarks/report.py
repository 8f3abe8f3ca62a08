"""``python -m benchmarks.report``: a month's report of an organisation of 500 services and 13 months, on one core.

A store is filled with every KPI of every service, team and the organisation; then one process, pinned to one core, reads it,
builds the report and renders each form. Aims: HTML in under 2 s, PDF in under 10 s, below 400 MB.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from pipeline.catalogue.loader import load_catalogue
from pipeline.catalogue.model import Catalogue, Kpi, Service
from pipeline.evaluate.judge import judge
from pipeline.report.build import build_report
from pipeline.report.inputs import months_to
from pipeline.stores.sqlite import SqliteStore
from pipeline.time.calendar import Calendar
from pipeline.values import CsfStatus, Exits, KpiValue
from reports.reading import ReportReader
from reports.rendering import FORMATS, render

MONTH, TEAMS = "2026-10", 25
AIM_S = {"html": 2.0, "pdf": 10.0}
AIM_MB = 400.0


def catalogue(services: int) -> Catalogue:
    """Return the built-in catalogue with that many services."""
    named = {
        f"service-{n:04d}": Service(id=f"service-{n:04d}", name=f"Service number {n}", team=f"team-{n % TEAMS:02d}")
        for n in range(services)
    }
    return msgspec.structs.replace(load_catalogue(), services=named)


def scopes(services: int) -> list[str]:
    return [
        "org",
        *(f"team:team-{n:02d}" for n in range(TEAMS)),
        *(f"service:service-{n:04d}" for n in range(services)),
    ]


def value(kpi: Kpi, scope: str, start: int, end: int, rng: random.Random) -> KpiValue:
    """Return a value near its target with a sample that says something; one in fifty is unknown."""
    target = kpi.target if kpi.target is not None else 50.0
    found = None if rng.random() < 0.02 else abs(target * rng.gauss(1.0, 0.15)) + (0.5 if target == 0 else 0.0)
    if found is not None and kpi.unit == "%":
        found = min(100.0, found)
    count = rng.randrange(200, 5_000)
    status, score = judge(kpi, found, count, kpi.target)
    return KpiValue(
        csf=kpi.csf, kpi=kpi.id, scope=scope, period="month", start=start, end=end, value=found, unit=kpi.unit,
        numerator=None if found is None else found * count, denominator=float(count), count=count, coverage=rng.uniform(0.9, 1.0),
        target=kpi.target, status=status, score=score, state="closed", revision=1, definition_version=kpi.version,
    )  # fmt: skip


def fill(path: Path, known: Catalogue, services: int) -> int:
    """Fill a store; return how many values it holds."""
    rng, calendar, written = random.Random(5), Calendar("UTC"), 0
    store = SqliteStore(path)

    def month(start: int) -> Iterator[KpiValue]:
        for scope in scopes(services):
            for kpi in known.kpis.values():
                yield value(kpi, scope, start, calendar.next_month(start), rng)

    for start in months_to(calendar, calendar.parse_month(MONTH)):
        batch = list(month(start))
        statuses = [
            CsfStatus(csf=csf, scope="org", period="month", start=start, end=calendar.next_month(start), status="at_risk",
                      score=rng.uniform(50, 90), known_weight=1.0, total_weight=1.0)
            for csf in known.csfs
        ]  # fmt: skip
        store.write_values(batch)
        store.write_statuses(statuses)
        written += len(batch)
    clock = calendar.next_month(calendar.parse_month(MONTH)) + 5 * 86_400
    store.write_exits([Exits(topic="csf.events.usage", partition=0, received=written, kpi=written, clock=clock)])
    store.close()
    return written


def measure(path: Path, services: int, form: str) -> None:
    """Print as JSON what reading, building and one form took in this process, pinned to one core."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    known, took = catalogue(services), {}
    began = time.process_time()
    store = SqliteStore(path)
    inputs = ReportReader(store, known, time.time()).read(MONTH, "org")
    took["read"] = time.process_time() - began
    began = time.process_time()
    report = build_report(known, inputs)
    took["build"] = time.process_time() - began
    store.close()
    del inputs
    began = time.process_time()
    size = len(render(report, form))
    took[form] = time.process_time() - began
    rss_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sys.stdout.write(json.dumps({"cpu_s": took, "bytes": size, "rss_mb": rss_mb}))


def main() -> None:
    """Fill a store, measure in a process of its own, tell what misses its aim."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--services", type=int, default=500)
    parser.add_argument("--measure", nargs=2, metavar=("STORE", "FORM"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.measure:
        measure(Path(asked.measure[0]), asked.services, asked.measure[1])
        return
    missed = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kpis.sqlite"
        written = fill(path, catalogue(asked.services), asked.services)
        print(f"{asked.services} services, 13 months, {written:,} values; CPU seconds\n")
        print("| form | read | build | render | KB | peak RSS MB |\n| --- | ---: | ---: | ---: | ---: | ---: |")
        for form in FORMATS:
            command = [
                sys.executable,
                "-m",
                "benchmarks.report",
                "--services",
                str(asked.services),
                "--measure",
                str(path),
                form,
            ]
            found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            read, build, render_s = (found["cpu_s"][step] for step in ("read", "build", form))
            print(
                f"| {form} | {read:.2f} | {build:.2f} | {render_s:.2f} | {found['bytes'] / 1000:,.0f} | {found['rss_mb']:.0f} |"
            )
            if render_s > AIM_S.get(form, render_s):
                missed.append(f"{form} takes {render_s:.1f} s, more than {AIM_S[form]:g}")
            if found["rss_mb"] > AIM_MB:
                missed.append(f"{form} peaks at {found['rss_mb']:.0f} MB, above {AIM_MB:g}")
    for sentence in missed:
        print(f"MISSED: {sentence}")
    sys.exit(bool(missed))


if __name__ == "__main__":
    main()
