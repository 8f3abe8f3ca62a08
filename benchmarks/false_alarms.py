"""How often a stable KPI's month is called a movement: simulated histories in which nothing ever changes.

    .venv/bin/python -m benchmarks.false_alarms [--histories 2000] [--seed 20261101]

Every history is drawn by one law from its first month to its last, so each movement is a false alarm. Prints a Markdown
table: the share of months called a movement, by what the KPI is and how many months are known; and another of how many
real steps are named in their month.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from itertools import cycle, islice

from numpy.random import Generator, default_rng

from pipeline.catalogue.loader import load_catalogue
from pipeline.catalogue.model import Kpi
from pipeline.report.kpireport import Point
from pipeline.report.measures import days_of
from pipeline.report.movement import assess

SEED = 20261101
HISTORIES = 2000
#: known months, the reported one among them
KNOWN = (2, 5, 8, 13)

Draw = Callable[[Kpi, Generator], Callable[[str], Point]]


def names(n: int) -> list[str]:
    """Return the names of n months, the last October 2026."""
    last = 2026 * 12 + 9
    return [f"{m // 12}-{m % 12 + 1:02d}" for m in range(last - n + 1, last + 1)]


def share(kpi: Kpi, chance: Generator) -> Callable[[str], Point]:
    """A share of answers or visits: binomial, of a number that itself varies."""
    p, size = chance.uniform(0.02, 0.98), chance.choice([60, 400, 3000])

    def month(name: str) -> Point:
        n = round(size * chance.uniform(0.8, 1.2))
        hits = int(chance.binomial(n, p))
        return Point(month=name, value=100 * hits / n, numerator=hits, denominator=n, count=n)

    return month


def count(kpi: Kpi, chance: Generator) -> Callable[[str], Point]:
    """A count of events: Poisson, by the days of the month."""
    rate = chance.choice([0.02, 0.1, 1.0, 10.0])

    def month(name: str) -> Point:
        n = int(chance.poisson(rate * days_of(name)))
        return Point(month=name, value=float(n), numerator=float(n), count=n)

    return month


def clustered(kpi: Kpi, chance: Generator) -> Callable[[str], Point]:
    """A count of events that come in clusters: negative binomial, three times as spread as Poisson."""
    rate = chance.choice([1.0, 10.0])

    def month(name: str) -> Point:
        mean = rate * days_of(name)
        n = int(chance.negative_binomial(mean / 2, 1 / 3))
        return Point(month=name, value=float(n), numerator=float(n), count=n)

    return month


def mean(kpi: Kpi, chance: Generator) -> Callable[[str], Point]:
    """A mean of many values: normal."""
    centre, spread = chance.uniform(5, 50), chance.uniform(0.2, 3)
    return lambda name: Point(month=name, value=chance.normal(centre, spread), count=1000, reported=True)


def skewed(kpi: Kpi, chance: Generator) -> Callable[[str], Point]:
    """A median or mean of times with a long tail: log-normal."""
    spread = chance.uniform(0.1, 0.4)
    return lambda name: Point(month=name, value=8 * chance.lognormal(0, spread), count=40, reported=True)


#: What is simulated: its name, the KPI whose direction and measure it has, and its law.
KINDS: list[tuple[str, str, Draw]] = [
    ("share (binomial)", "csat", share),
    ("count (Poisson)", "incidents", count),
    ("count in clusters", "incidents", clustered),
    ("mean (normal)", "ces", mean),
    ("time (log-normal)", "mttr", skewed),
]


def alarms(histories: int, known: int, seed: int) -> dict[str, tuple[int, int]]:
    """Return for each kind how many histories there were, and in how many the last month was called a movement."""
    catalogue = load_catalogue()
    found = {name: (0, 0) for name, _, _ in KINDS}
    for i, (name, kpi_id, law) in enumerate(islice(cycle(KINDS), histories)):
        kpi, chance = catalogue.kpis[kpi_id], default_rng([seed, known, i])
        month = law(kpi, chance)
        said = assess(kpi, [month(m) for m in names(known)]).movement
        n, called = found[name]
        found[name] = n + 1, called + (said in {"improved", "worsened"})
    return found


def found_steps(histories: int, size: float, seed: int) -> float:
    """Return the share of steps of so many standard deviations, after twelve stable months, named in their month."""
    kpi = load_catalogue().kpis["ces"]
    named = 0
    for i in range(histories):
        chance = default_rng([seed, 1000, i])
        values = [*map(float, chance.normal(50, 1, 12)), float(chance.normal(50 + size, 1))]
        months = [Point(month=m, value=v, count=1000, reported=True) for m, v in zip(names(13), values, strict=True)]
        named += assess(kpi, months).movement in {"improved", "worsened"}
    return named / histories


def steps(histories: int, seed: int) -> str:
    """Return how many real steps are named, as a Markdown table."""
    sizes = (1, 2, 3, 4, 5)
    shares = " | ".join(f"{100 * found_steps(histories, size, seed):.0f}%" for size in sizes)
    head = " | ".join(str(size) for size in sizes)
    return f"| step, standard deviations | {head} |\n| --- |{' ---: |' * len(sizes)}\n| named in its month | {shares} |"


def table(histories: int, seed: int) -> str:
    """Return the shares as a Markdown table."""
    columns = {known: alarms(histories, known, seed) for known in KNOWN}
    lines = ["| | " + " | ".join(f"{k} months known" for k in KNOWN) + " |", "| --- |" + " ---: |" * len(KNOWN)]
    for name in [*(n for n, _, _ in KINDS), "all"]:
        cells = []
        for found in columns.values():
            picked = list(found.values()) if name == "all" else [found[name]]
            cells.append(f"{100 * sum(c for _, c in picked) / sum(n for n, _ in picked):.1f}%")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--histories", type=int, default=HISTORIES)
    parser.add_argument("--seed", type=int, default=SEED)
    given = parser.parse_args()
    print(table(given.histories, given.seed), steps(given.histories, given.seed), sep="\n\n")


if __name__ == "__main__":
    main()
