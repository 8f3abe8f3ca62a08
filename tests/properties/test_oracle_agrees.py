"""Whatever the history, zone, partitions, batches, deaths and clocks: the engine's numbers are the oracle's."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.catalogue.model import CSF_IDS
from tests.oracle.oracle import Oracle
from tests.properties.compare import closings, differences
from tests.properties.harness import Cluster
from tests.properties.histories import NOW, ZONES, Sent, catalogue, closes, histories, tick, write

#: how many examples: what the profile of ``tests/conftest.py`` says
_fully = settings(suppress_health_check=list(HealthCheck))


def _wrong(cluster: Cluster, zone: str) -> list[str]:
    oracle = Oracle(catalogue(zone), cluster.messages())
    return differences(cluster, oracle) + closings(cluster, catalogue(zone), cluster.messages(), oracle.now_ms)


@_fully
@given(
    sent=histories(), zone=st.sampled_from(ZONES), partitions=st.integers(1, 3), rollups=st.sampled_from([1, 3, 8]),
    closed=closes,
)  # fmt: skip
def test_the_engine_gives_the_numbers_of_the_oracle(
    sent: list[Sent], zone: str, partitions: int, rollups: int, closed: list[tuple[str, int]]
) -> None:
    assert _wrong(write(sent, zone, partitions, rollups, closed).run(), zone) == []


def disturbed(cluster: Cluster, rng: Random) -> Cluster:
    """Fold and evaluate in small steps taken in any order, with machines dying between any two effects."""
    for _ in range(10_000):
        open_places = [p for p in sorted(cluster.log) if cluster.machine(p).position + 1 < len(cluster.log[p])]
        if not open_places:
            break
        place = rng.choice(open_places)
        while rng.random() < 0.5:  # more than one batch waits for a flush
            cluster.gather(
                place, cluster.machine(place).position + 1 + rng.choice([1, 1, 2, 5]), back=rng.choice([0, 0, 2])
            )
        upto = cluster.machine(place).position + 1 + rng.choice([1, 2, 5, 100])
        cluster.fetch(
            place, upto, back=rng.choice([0, 0, 3]), flush=rng.random() > 0.1, emit=rng.choice([1, 1, 1, 2, 0])
        )
        if rng.random() < 0.1:
            cluster.crash(rng.choice(sorted(cluster.log)))
        number = rng.randrange(cluster.rollups)
        if rng.random() < 0.3:
            cluster.consume(
                number, flush=rng.random() > 0.2, evaluate=rng.random() > 0.2, turns=rng.choice([None, 1, 2])
            )
    # a machine that died between flush and emit tells what it holds once it lives again
    for place in sorted(cluster.log):
        cluster.fetch(place, len(cluster.log[place]), back=1)
    for number in range(cluster.rollups):
        cluster.consume(number)
    return cluster


@_fully
@given(
    sent=histories(), partitions=st.integers(1, 3), rollups=st.sampled_from([1, 3, len(CSF_IDS)]), closed=closes,
    seed=st.integers(0, 10**6),
)  # fmt: skip
def test_nobody_can_tell_that_machines_died(
    sent: list[Sent], partitions: int, rollups: int, closed: list[tuple[str, int]], seed: int
) -> None:
    cluster = disturbed(write(sent, "Europe/Zurich", partitions, rollups, closed), Random(seed))
    assert _wrong(cluster, "Europe/Zurich") == []


@_fully
@given(sent=histories(), jumps=st.lists(st.tuples(st.integers(0, 40), st.integers(-3000, 3000)), max_size=4))
def test_brokers_clocks_may_jump(sent: list[Sent], jumps: list[tuple[int, int]]) -> None:
    """Arrivals that go backwards or ahead: what counts is what the log says."""
    jumped = list(sent)
    for at, minutes in jumps:
        if at < len(jumped):
            jumped[at] = replace(jumped[at], arrival=jumped[at].arrival + timedelta(minutes=minutes))
    assert _wrong(write(jumped, "UTC", 2, 3, by_arrival=False).run(), "UTC") == []


@_fully
@given(
    sent=histories(), zone=st.sampled_from(ZONES), rollups=st.sampled_from([1, 8]),
    steps=st.lists(st.sampled_from([1, 20, 40, 60, 290, 3_500, 30_000, 90_000, 200_000]), min_size=1, max_size=6),
    crash=st.booleans(),
)  # fmt: skip
def test_values_are_right_also_when_only_time_moves_on(
    sent: list[Sent], zone: str, rollups: int, steps: list[int], crash: bool
) -> None:
    """What was told holds until the next step of its clock, and is told anew then."""
    cluster = write(sent, zone, 1, rollups).run()
    at = NOW
    for seconds in steps:
        at += timedelta(seconds=seconds)
        tick(cluster, at)
        for place in cluster.log:
            cluster.fetch(place, len(cluster.log[place]))
        for number in range(rollups):
            if crash:  # after the clock was made durable, before anything was told
                cluster.consume(number, evaluate=False)
            cluster.consume(number)
    assert _wrong(cluster, zone) == []
