"""Gathering: what several batches changed is flushed at once while more wait, at once when none does, and never twice."""

import asyncio
from types import SimpleNamespace

import pytest

from agents import taking
from agents.taking import GatheringAgent


class Clock:
    now = 0.0

    def monotonic(self):
        return self.now


class Agent(GatheringAgent):
    """Notes what it folds and flushes."""

    name = "gathering"

    def __init__(self, ctx):
        super().__init__(ctx)
        self.folded, self.flushed = [], []
        self.cells = {}

    async def _batch(self, event, batch, epoch):
        partition = event.message.partition
        self.folded.append((partition, event.number))
        self._folded(event, epoch, lambda: self.cells.get(partition, 0), 0.5, [(b"key", None)] if event.bad else ())

    async def _flush(self, waiting):
        self.flushed.append((waiting.at[1], waiting.event.number, len(waiting.letters), waiting.folding_s))


class World:
    """An agent, its queue, and the clock; whether more waits is what ``more`` says."""

    def __init__(self, monkeypatch):
        self.clock, self.queue = Clock(), asyncio.Queue()
        monkeypatch.setattr(taking, "time", self.clock)
        ready = asyncio.Event()
        ready.set()
        self.table = SimpleNamespace(epoch=1, ready=ready)
        self.ctx = SimpleNamespace(table=self.table, backlog=False, ended=asyncio.Event(), owns=lambda _message: True)
        self.agent = Agent(self.ctx)

    async def take(self, partition, number, *, more, bad=False):
        message = SimpleNamespace(topic="t", partition=partition, value=None)
        while not self.queue.empty():
            self.queue.get_nowait()
        if more:
            self.queue.put_nowait("a batch")
        await self.agent._take(SimpleNamespace(message=message, number=number, bad=bad))
        await self.agent._taken(self.queue)


@pytest.fixture
def world(monkeypatch):
    return World(monkeypatch)


def test_what_waits_is_flushed_as_soon_as_nothing_more_is_to_be_folded(world):
    async def story():
        await world.take(0, 1, more=True)
        await world.take(1, 2, more=True, bad=True)
        await world.take(0, 3, more=True)
        assert world.agent.flushed == []
        await world.take(1, 4, more=False)

    asyncio.run(story())
    assert world.agent.flushed == [(0, 3, 0, 1.0), (1, 4, 1, 1.0)]


def test_a_batch_with_nothing_behind_it_is_flushed_at_once(world):
    async def story():
        for number in range(3):
            await world.take(0, number, more=False)

    asyncio.run(story())
    assert [number for _, number, _, _ in world.agent.flushed] == [0, 1, 2]


@pytest.mark.parametrize(("behind", "seconds"), [(False, 0.25), (True, 4.0)])
def test_nothing_waits_for_longer_than_it_may_and_longer_when_behind(world, behind, seconds):
    async def story():
        world.ctx.backlog = behind
        await world.take(0, 1, more=True)
        world.clock.now = 0.9 * seconds
        await world.take(0, 2, more=True)
        await world.take(1, 3, more=True)
        assert world.agent.flushed == []
        world.clock.now = 1.1 * seconds
        await world.take(1, 4, more=True)

    asyncio.run(story())
    assert [(p, number) for p, number, _, _ in world.agent.flushed] == [(0, 2)], "the other began to wait later"


def test_too_many_changed_cells_wait_for_nothing(world):
    async def story():
        world.agent.cells = {0: 60_000}
        await world.take(0, 1, more=True)
        assert world.agent.flushed == []
        world.agent.cells[1] = 60_000
        await world.take(1, 2, more=True)

    asyncio.run(story())
    assert [p for p, *_ in world.agent.flushed] == [0], "the oldest, and no more than is needed"


def test_what_was_folded_in_an_epoch_that_is_over_is_not_flushed(world):
    async def story():
        await world.take(0, 1, more=True)
        await world.take(1, 1, more=True)
        world.table.epoch = 2
        await world.take(1, 1, more=False)

    asyncio.run(story())
    assert [(p, number) for p, number, _, _ in world.agent.flushed] == [(1, 1)]
    assert world.agent.flushed[0][3] == 0.5, "what was folded before is folded again"


def test_partitions_are_given_away_with_nothing_waiting(world):
    async def story():
        await world.take(0, 1, more=True)
        await world.agent.finish()

    asyncio.run(story())
    assert [p for p, *_ in world.agent.flushed] == [0]


def test_a_process_that_ends_begins_no_flush(world):
    async def story():
        await world.take(0, 1, more=True)
        world.ctx.ended.set()
        await world.agent.finish()

    asyncio.run(story())
    assert world.agent.flushed == []
