"""A channel that is away for an hour, by simulated time: everything once and in order when it is back, or expired by policy."""

import asyncio
from collections import Counter

import msgspec
import pytest

from agents.notifying import Channels, Outcome
from pipeline.alerts.journal import channel_states
from pipeline.alerts.messages import Message
from pipeline.alerts.outbox import NEVER_TOLD, Delivery, State
from pipeline.catalogue import alerts as a
from pipeline.errors import ServiceUnavailable
from pipeline.values import AlertNote
from tests.alerts.samples import ALL, DELAY, T0, World, catalogue

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

    def notes(self) -> list[AlertNote]:
        return list(self.world.engine.notes.values())

    def outcomes(self) -> Counter[str]:
        return Counter(note.kind for note in self.notes())


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


def test_what_is_older_than_the_policy_is_expired_and_its_end_told_to_nobody() -> None:
    office = Office(expire_after="30m")
    asyncio.run(office.day())
    ended = {kind: [n for n in office.notes() if n.kind == kind] for kind in ("delivered", "expired", "dropped")}
    # the clear of 600 s and the raise of 1,260 s are too old when the channel is back; the clear of 1,800 s is that raise's
    assert {kind: len(notes) for kind, notes in ended.items()} == {"delivered": 9, "expired": 2, "dropped": 1}
    assert {n.why for n in ended["expired"]} == {"older than 30m: channel 'mail' answers with 503"}
    assert [(n.why, n.alerts, n.about) for n in ended["dropped"]] == [
        (NEVER_TOLD, ("delay_high|service:shop",), "[RESOLVED] Shop: delay_high")
    ]
    assert {n.ref for n in ended["delivered"]} == {message.id for message in office.sender.got}
    assert [told.kind for message in office.sender.got for told in message.alerts] == [
        "raise", *["raise", "clear"] * 4,
    ]  # fmt: skip
    assert [c.state for c in channel_states(office.notes(), ["mail"])] == ["ok"]
    assert not office.world.engine.outbox.untold


def ended(world: World, state: State, channel: str = "mail") -> Message | None:
    """End the oldest delivery of a channel; return what it would be sent."""
    delivery = world.engine.next_for(channel)
    if delivery is None:
        return None
    world.engine.done(delivery.number, state, T0)
    world.flush()
    return delivery.message


def decided(world: World, at: int) -> None:
    for now in (at, at + 1):
        world.engine.advance(now)
    world.flush()


@pytest.mark.parametrize("state", ["failed", "expired"])
@pytest.mark.parametrize("die", [False, True])
def test_the_end_of_what_was_never_told_is_taken_out_of_a_notification(state: State, die: bool) -> None:
    """Also where the machine dies in between, and never for another channel, or once a reminder has come."""
    both = msgspec.structs.replace(ALL, channels=["mail", "hook"], repeat="10m", group_by=("csf",))
    hook = a.Channel(id="hook", kind="webhook", url="http://127.0.0.1:9/")
    found = catalogue(DELAY, routes=(both,))
    world = World(msgspec.structs.replace(found, channels={**found.channels, "hook": hook}))
    world.tell("delay", 200, T0)
    world.clock(T0 + 60)
    decided(world, T0 + 60)
    ended(world, state)
    ended(world, "delivered", "hook")
    world.tell("delay", 200, T0 + 70, scope="service:mail")
    world.tell("delay", 10, T0 + 129)
    world.clock(T0 + 130)
    decided(world, T0 + 130)
    if die:
        world.crash()
    told = ended(world, "delivered")
    assert told is not None
    assert [(t.kind, t.scope) for t in told.alerts] == [("raise", "service:mail")]
    assert told.title == "[FIRING critical] Mail: delay_high"
    assert "RESOLVED" not in told.body
    beside = ended(world, "delivered", "hook")
    assert beside is not None
    assert beside.id == told.id
    assert [(t.kind, t.scope) for t in beside.alerts] == [("raise", "service:mail"), ("clear", "service:shop")]
    notes = [(n.kind, n.channel, n.alerts) for n in world.engine.notes.values()]
    assert ("dropped", "mail", ("delay_high|service:shop",)) in notes
    assert ("delivered", "mail", ("delay_high|service:mail",)) in notes
    assert not world.engine.outbox.untold


def test_a_reminder_that_came_is_ended_too() -> None:
    world = World(catalogue(DELAY, routes=(msgspec.structs.replace(ALL, repeat="10m"),)))
    world.tell("delay", 200, T0)
    world.clock(T0 + 60)
    decided(world, T0 + 60)
    ended(world, "failed")
    world.clock(T0 + 700)
    decided(world, T0 + 700)
    reminder = ended(world, "delivered")
    assert reminder is not None
    assert reminder.alerts[0].kind == "remind"
    world.tell("delay", 10, T0 + 710)
    world.clock(T0 + 710)
    decided(world, T0 + 710)
    clear = ended(world, "delivered")
    assert clear is not None
    assert [t.kind for t in clear.alerts] == ["clear"]


def test_what_a_channel_that_is_no_more_was_not_told_is_forgotten() -> None:
    world = World(catalogue(DELAY))
    world.tell("delay", 200, T0)
    world.clock(T0 + 60)
    decided(world, T0 + 60)
    ended(world, "failed")
    assert world.engine.outbox.untold == {("mail", "delay_high", "service:shop")}
    world.restart(msgspec.structs.replace(catalogue(DELAY, routes=()), channels={}))
    world.flush()
    assert not world.engine.outbox.untold
    assert not [chunk for chunk in world.chunks if chunk.startswith(b"u|")]


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
