"""A channel that is away for an hour, by simulated time: everything once and in order when it is back, or expired by policy."""

import asyncio
from collections import Counter

import pytest

from agents.notifying import Channels, Outcome
from pipeline.alerts.engine import Delivery
from pipeline.alerts.journal import channel_states
from pipeline.alerts.messages import Message
from pipeline.catalogue import alerts as a
from pipeline.errors import ServiceUnavailable
from tests.alerts.samples import DELAY, T0, World, catalogue

HOUR = 3_600


class Away:
    """A sender whose other side does not answer from one instant to another."""

    def __init__(self, clock: "Clock", start: int, end: int) -> None:
        self.clock, self.start, self.end = clock, start, end
        self.got: list[Message] = []
        self.tries = 0

    async def send(self, message: Message) -> None:
        self.tries += 1
        if self.start <= self.clock.now < self.end:
            raise ServiceUnavailable("channel 'mail' answers with 503")
        self.got.append(message)

    async def close(self) -> None:
        pass


class Clock:
    now = float(T0)

    def __call__(self) -> float:
        return self.now


class Office:
    """An engine, one channel, and the loop that joins them, second by second."""

    def __init__(self, expire_after: str = "24h") -> None:
        self.clock = Clock()
        self.world = World(catalogue(DELAY))
        channel = a.Channel(id="mail", kind="webhook", url="http://127.0.0.1:9/", expire_after=expire_after)
        self.sender = Away(self.clock, T0 + 100, T0 + 100 + HOUR)
        self.channels = self.join(channel)

    def join(self, channel: a.Channel) -> Channels:
        channels = Channels([channel])
        channels._senders["mail"] = self.sender
        return channels

    async def second(self) -> None:
        engine = self.world.engine
        engine.advance(self.clock.now)

        async def done(delivery: Delivery, outcome: Outcome) -> None:
            engine.done(delivery.number, outcome.state, self.clock.now, outcome.why)
            self.world.flush()

        await self.channels.empty(lambda: engine.next_for("mail"), done, self.clock)
        self.world.flush()
        self.clock.now += 1

    async def day(self, *, die_at: int | None = None) -> None:
        """Play two hours: every twenty minutes the value turns bad, ten minutes later good again."""
        for n in range(2 * HOUR):
            if n % 1_200 == 0:
                self.world.tell("delay", 200, int(self.clock.now))
            elif n % 1_200 == 600:
                self.world.tell("delay", 10, int(self.clock.now))
            elif n % 60 == 0:
                self.world.clock(self.clock.now)
            if n == die_at:
                self.world.crash()
            await self.second()

    def outcomes(self) -> Counter[str]:
        return Counter(note.kind for note in self.world.engine.notes.values())


@pytest.mark.parametrize("die_at", [None, 1_800])
def test_after_an_hour_all_are_delivered_once_and_in_order(die_at: int | None) -> None:
    office = Office()
    asyncio.run(office.day(die_at=die_at))
    kinds = [told.kind for message in office.sender.got for told in message.alerts]
    assert kinds == ["raise", "clear"] * 6
    at = [message.at for message in office.sender.got]
    assert at == sorted(at)
    assert len({message.id for message in office.sender.got}) == 12
    assert office.outcomes() == {"delivered": 12}
    assert office.sender.tries < 12 + 90  # with pauses of up to a minute, not again and again
    assert not office.world.engine.deliveries


def test_what_is_older_than_the_policy_is_expired_not_delivered_late() -> None:
    office = Office(expire_after="30m")
    asyncio.run(office.day())
    expired = [n for n in office.world.engine.notes.values() if n.kind == "expired"]
    assert office.outcomes() == {"delivered": 9, "expired": 3}
    assert {n.why for n in expired} == {"older than 30m: channel 'mail' answers with 503"}
    late = [n for n in office.world.engine.notes.values() if n.kind == "delivered"]
    assert {n.ref for n in late} == {message.id for message in office.sender.got}
    assert not {n.ref for n in expired} & {message.id for message in office.sender.got}
    assert [c.state for c in channel_states(office.world.engine.notes.values(), ["mail"])] == ["ok"]


def test_while_it_is_away_that_is_known() -> None:
    office = Office()

    async def half_an_hour() -> None:
        for _ in range(100):
            office.clock.now += 1
        office.world.tell("delay", 200, int(office.clock.now) - 60)
        office.world.clock(office.clock.now)
        for _ in range(1_800):
            await office.second()

    asyncio.run(half_an_hour())
    assert office.channels.trouble("mail") == "channel 'mail' answers with 503"
    assert office.channels.down_since("mail") == pytest.approx(T0 + 101, abs=2)
