"""A short run of the chaos with a fixed seed; ``make chaos`` is the long one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.faults import ALWAYS, LONG, OF_CLOCKS, OF_SERVERS
from tests.chaos.run import Plan, chaos
from tests.chaos.schedule import schedule


@pytest.mark.timeout(900)
def test_kills_leave_no_trace_on_sqlite(tmp_path: Path) -> None:
    plan = Plan(store="sqlite", seed=5, kills=5, events=1_500, real_clock=True, hours=300, kill_s=3)
    assert chaos(tmp_path, plan) == []


@pytest.mark.services
@pytest.mark.timeout(900)
def test_kills_stops_and_jumping_clocks_leave_no_trace_on_influxdb(tmp_path: Path) -> None:
    assert chaos(tmp_path, Plan(store="influx", seed=5, kills=8, events=2_500, hours=300)) == []


def test_a_seed_names_its_faults_and_a_long_schedule_has_every_kind() -> None:
    steps = schedule(7, 100, servers=True, clocks=True, long=True)
    assert steps == schedule(7, 100, servers=True, clocks=True, long=True)
    assert sum(s.kind.startswith("kill") for s in steps) == 100
    assert {s.kind for s in steps} == ALWAYS.keys() | OF_SERVERS.keys() | OF_CLOCKS.keys()
    assert {s.kind for s in steps if s.seconds >= 60} == LONG.keys()
