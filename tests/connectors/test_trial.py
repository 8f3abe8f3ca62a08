"""What a trial shows: the newest event, whatever the windows are, and that nothing is there only where all was looked at."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from connectors.engine import trial as trying
from connectors.engine.trial import trials
from tests.connectors.desk import Desk, declared
from tests.connectors.pulling import on_bench
from tests.connectors.vendor import serving

HOURS = {"cursor": {"kind": "window", "step_s": 3600}}


@pytest.fixture
def tried(tmp_path, monkeypatch):
    """Return what tries a desk with one ticket, updated so long ago, and how often it asked."""
    monkeypatch.setenv("DESK_TOKEN", "s3cret-token")

    def run(*tickets, **stream):
        desk = Desk()
        for number, ago in enumerate(tickets):
            desk.put(f"T{number}", (datetime.now(UTC) - ago).strftime("%Y-%m-%dT%H:%M:%SZ"))
        with serving(desk) as vendor:
            options = {"options": {"address": vendor.address}, "auth": {"token": {"env": "DESK_TOKEN"}}}
            bench = on_bench(tmp_path, declared(**stream), **options)
            (trial,) = trials(bench.connector, bench.waits.append)
            return trial, len(vendor.asked)

    return run


def test_the_newest_hour_is_looked_at_first(tried):
    trial, asked = tried(timedelta(minutes=20), **HOURS)
    assert len(trial.events) == 1
    assert not trial.whole
    assert asked <= 4


def test_an_event_of_days_ago_is_found_hour_by_hour(tried):
    trial, asked = tried(timedelta(days=6), **HOURS)
    assert len(trial.events) == 1
    assert asked > 10


def test_nothing_is_said_to_be_there_where_all_of_it_was_looked_at(tried, monkeypatch):
    trial, _ = tried(timedelta(days=8), **HOURS)
    assert (trial.events, trial.whole) == ([], True)
    monkeypatch.setattr(trying, "_LOOKS", 5)
    trial, asked = tried(timedelta(days=8), **HOURS)
    assert (trial.events, trial.whole) == ([], False)
    assert asked < 50


def test_one_window_is_enough_where_it_is_long(tried):
    trial, asked = tried(timedelta(days=6), timedelta(days=1))
    assert len(trial.events) == 2
    assert asked <= 4
