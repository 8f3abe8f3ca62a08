"""The world as a stream: the same for the same seed, in order, valid, complete, bounded, and live without a seam."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from itertools import islice, pairwise

import pytest

from connectors.simulator import catalogue_dir
from connectors.simulator.organisation import SERVICES, ZONE
from connectors.simulator.world import World
from pipeline.catalogue.loader import load_catalogue
from pipeline.catalogue.records import ENTITY_TYPES
from pipeline.errors import ConfigError
from pipeline.events.families import FAMILIES, TYPES
from tests.simulator.conftest import ANCHOR, SEED, Told


def digest(world: World, start: int, end: int) -> str:
    h = hashlib.sha256()
    for item in world.events(start, end):
        h.update(repr(item).encode())
    return h.hexdigest()


def test_same_seed_same_bytes() -> None:
    first, second = World(11, ANCHOR, months=1), World(11, ANCHOR, months=1)
    assert digest(first, first.start, ANCHOR) == digest(second, second.start, ANCHOR)
    other = World(12, ANCHOR, months=1)
    assert digest(other, other.start, ANCHOR) != digest(first, first.start, ANCHOR)


def test_events_come_in_order_and_ids_are_unique(told: list[Told]) -> None:
    assert all(a.at <= b.at for a, b in pairwise(told))
    assert len({(t.event.source, t.event.id) for t in told}) == len(told)
    assert all(t.event.id.startswith(f"sim-{SEED}-{t.event.type}-") for t in told)


def test_history_begins_and_ends_where_it_should(world: World, told: list[Told]) -> None:
    assert told[0].at >= world.start
    assert told[0].at - world.start < 60
    assert 0 < ANCHOR - told[-1].at < 60


def test_all_families_and_types_are_told(told: list[Told]) -> None:
    # ticks and barriers are written into every partition by those who know the partitions
    by_runtime = {"clock.ticked", "month.closed"}
    assert {t.event.type for t in told} == set(TYPES) - by_runtime
    assert {t.family for t in told} == set(FAMILIES)


def test_volume(told: list[Told]) -> None:
    assert 250_000 < len(told) < 400_000
    by_family = Counter(t.family for t in told)
    assert min(by_family.values()) > 1_000
    assert max(by_family.values()) < 0.45 * len(told)
    assert sum(t.size for t in told) / len(told) < 400


def test_subjects_are_services_of_the_demo_catalogue(told: list[Told]) -> None:
    catalogue = load_catalogue(catalogue_dir())
    assert catalogue.organisation.zone == ZONE
    assert {s.id: (s.team, s.tier) for s in catalogue.services.values()} == {
        s.id: (s.team, s.tier) for s in SERVICES.values()
    }
    for service in catalogue.services.values():
        if service.required_checks:
            assert service.required_checks == list(SERVICES[service.id].checks)
    assert {t.event.subject for t in told} == {*SERVICES, ""}
    assert all(t.event.subject for t in told if t.event.type != "source.polled")
    reporting = {t.event.subject for t in told if t.event.type == "session.ended"}
    assert reporting == {s.id for s in catalogue.services.values() if s.sessions == "reported"}


def test_entities_are_told_in_order_under_one_key(told: list[Told]) -> None:
    updates: dict[tuple[str, str], list[Told]] = defaultdict(list)
    for t in told:
        if t.event.type in ENTITY_TYPES - {"survey.answered", "maintenance.scheduled"}:
            updates[t.event.type, t.data.number].append(t)
    for story in updates.values():
        assert len({t.key for t in story}) == 1
        assert all(a.event.sequence < b.event.sequence for a, b in pairwise(story))
        assert all(a.data.updated_at < b.data.updated_at for a, b in pairwise(story))
        assert all(t.data.updated_at.timestamp() == t.at for t in story)


def test_incidents_live_a_plausible_life(told: list[Told]) -> None:
    lives: dict[str, list[Told]] = defaultdict(list)
    for t in told:
        if t.event.type == "incident.updated":
            lives[t.data.number].append(t)
    states = Counter(t.data.state for life in lives.values() for t in life)
    assert set(states) == {"new", "in_progress", "on_hold", "resolved", "closed", "cancelled"}
    for life in lives.values():
        last = life[-1].data
        assert life[0].data.state == "new"
        assert life[0].data.updated_at == last.opened_at
        if last.closed_at is not None:
            assert last.opened_at < last.resolved_at < last.closed_at
            assert last.made_sla is not None
            taken = min(t.data.updated_at for t in life if t.data.state != "new")
            assert last.opened_at < taken < last.resolved_at
            assert last.acknowledged_at in {taken, None}
    last_states = [life[-1].data for life in lives.values()]
    assert any(d.reopen_count for d in last_states)
    assert any(d.major for d in last_states)
    moved = [life for life in lives.values() if len({t.event.subject for t in life}) > 1]
    assert moved, "some incidents begin at the wrong service"


def test_outages_have_consequences(world: World, told: list[Told]) -> None:
    """The payment release of month 5: a failed change, failing checks, a major incident, a hotfix within a day."""
    outage = next(o for o in world.outages.plan(5) if o.service == "payments" and o.cause == "release" and o.major)
    near = [t for t in told if outage.start - 600 <= t.at <= outage.end + 86_400 and t.event.subject == "payments"]
    assert any(t.event.type == "uptime.checked" and t.data.up is False for t in near)
    assert any(t.event.type == "incident.updated" and t.data.major for t in near)
    changes = [t for t in near if t.event.type == "change.updated"]
    failed = {t.data.number for t in changes if t.data.outcome == "rolled_back"}
    assert failed
    assert any(t.data.outcome == "successful" and t.at > outage.end and t.data.number not in failed for t in changes)


def test_analytics_gap_is_not_covered(world: World, told: list[Told]) -> None:
    days = [d for d in world.calendar.days(4) if d.number in {11, 12}]
    first, last = days[0].start, days[-1].end
    assert not [t for t in told if first <= t.at < last and t.family == "usage"]
    spans = [
        (t.data.from_.timestamp(), t.data.to.timestamp())
        for t in told
        if t.event.type == "source.polled" and t.data.source == "analytics"
    ]
    assert all(a[1] == b[0] or (a[1], b[0]) == (first, last) for a, b in pairwise(spans))
    assert (spans[0][0], spans[-1][1]) == (world.start, ANCHOR)


@pytest.mark.parametrize("after", [0, 45, 3600, 40_000])
def test_live_goes_on_without_gap_or_overlap(world: World, after: int) -> None:
    """Starting again at any second gives what an uninterrupted run gives from there."""
    seam = ANCHOR + after
    whole = list(world.events(ANCHOR - 7200, seam + 900))
    before = list(World(SEED, ANCHOR).events(ANCHOR - 7200, seam))
    fresh = list(World(SEED, ANCHOR).events(seam, seam + 900))
    assert before + fresh == whole
    assert {seam} <= {i[0] for i in whole} | {i[0] + 1 for i in whole}


def test_live_rate_moves_the_page(world: World) -> None:
    live = list(world.events(ANCHOR + 60, ANCHOR + 660))
    assert 4 < len(live) / 600 < 20
    assert len({i[0] for i in live}) == 600


def test_live_goes_on_for_months() -> None:
    world = World(SEED, ANCHOR, months=0)
    later = ANCHOR + 100 * 86_400
    assert len(list(islice(world.tell(later), 2000))) == 2000


def test_shorter_history_is_the_end_of_the_story() -> None:
    assert World(SEED, ANCHOR, months=2).calendar.first_month == 12
    with pytest.raises(ConfigError, match="choose 0 to 13"):
        World(SEED, ANCHOR, months=14)
