"""Alerts of one rule part by the tier and team of their service, at a real mail server and a real webhook receiver."""

import asyncio
from collections.abc import Iterator
from functools import partial
from types import SimpleNamespace

import msgspec
import pytest

from agents.notifying import Channels, Outcome
from pipeline.alerts.outbox import Delivery
from pipeline.catalogue import alerts as a
from pipeline.catalogue.model import Catalogue, Service
from tests.alerts.receiver import Receiver
from tests.alerts.samples import DELAY, T0, World, catalogue
from tests.services.mail import MailServer

SERVICES = [
    Service(id="shop", name="Shop", team="web", tier=1),
    Service(id="blog", name="Blog", team="web", tier=3),
    Service(id="mail", name="Mail", team="work", tier=1),
    Service(id="wiki", name="Wiki", team="work", tier=3),
]
ROUTES = (
    a.Route(id="quick", match=a.Match(tier=[1], team=["web"]), channels=["mail", "pager"]),
    a.Route(id="web", match=a.Match(team=["web"]), channels=["mail"]),
    a.Route(id="first", match=a.Match(tier=[1]), channels=["pager"]),
    a.Route(id="rest", channels=["log"]),
)
#: to whom the one rule is told, by service
EXPECTED = {"shop": {"mail", "pager"}, "blog": {"mail"}, "mail": {"pager"}, "wiki": {"log"}}


class Ends:
    """The other sides of the channels: a mail server and two receivers."""

    def __init__(self) -> None:
        self.mail, self.pager, self.log = MailServer(), Receiver(), Receiver()

    def channels(self) -> dict[str, a.Channel]:
        mail = a.Channel(id="mail", kind="apprise", url_env="CSF_TEST_MAIL")
        hooks = [a.Channel(id=n, kind="webhook", url=r.url) for n, r in (("pager", self.pager), ("log", self.log))]
        return {channel.id: channel for channel in (mail, *hooks)}

    def told(self, kind: str) -> dict[str, set[str]]:
        """Return the channels by which each service's raise or clear came; fails where one came twice."""
        words = {"raise": "[FIRING", "clear": "[RESOLVED"}
        subjects = [subject for subject, _ in self.mail.texts() if subject.startswith(words[kind])]
        found: list[tuple[str, str]] = [(s.split("] ")[1].partition(":")[0].lower(), "mail") for s in subjects]
        for name, hook in (("pager", self.pager), ("log", self.log)):
            found += [(scope.removeprefix("service:"), name) for told, _, scope in hook.told() if told == kind]
        assert len(found) == len(set(found)), found
        return {service: {channel for s, channel in found if s == service} for service, _ in found}

    def close(self) -> None:
        self.mail.shutdown()
        self.mail.server_close()
        self.pager.close()
        self.log.close()


def _not_between_mails(seconds: float) -> None:
    raise AssertionError(f"waits {seconds:.1f} s before the next mail")


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ends]:
    ends = Ends()
    address = f"mailto://127.0.0.1:{ends.mail.port}/?from=csf@example.org&to=ops@example.org&mode=insecure"
    monkeypatch.setenv("CSF_TEST_MAIL", address)
    monkeypatch.setattr("apprise.url.time", SimpleNamespace(sleep=_not_between_mails))
    yield ends
    ends.close()


def parted(ends: Ends) -> Catalogue:
    found = catalogue(DELAY, routes=ROUTES)
    return msgspec.structs.replace(found, services={s.id: s for s in SERVICES}, channels=ends.channels())


async def sent(world: World, now: float) -> None:
    """Decide at an instant and a second later, and let every channel send what waits for it."""
    engine = world.engine
    engine.advance(now)
    engine.advance(now + 1)
    channels = Channels(world.catalogue.channels.values())

    async def done(delivery: Delivery, outcome: Outcome) -> None:
        engine.done(delivery.number, outcome.state, now, outcome.why)

    for name in world.catalogue.channels:
        await channels.empty(partial(engine.next_for, name), done, lambda: now + 1)
    await channels.close()
    assert not engine.deliveries


def test_the_same_rule_is_told_to_whom_tier_and_team_say(ends: Ends) -> None:
    world = World(parted(ends))
    for service in EXPECTED:
        world.tell("delay", 200, T0, scope=f"service:{service}")
    world.clock(T0 + 60)
    asyncio.run(sent(world, T0 + 60))
    assert ends.told("raise") == EXPECTED
    for service in EXPECTED:
        world.tell("delay", 10, T0 + 120, scope=f"service:{service}")
    asyncio.run(sent(world, T0 + 120))
    assert ends.told("clear") == EXPECTED
    texts = [text for _, text in ends.mail.texts()]
    assert [text.count("Team: web (tier 1)") for text in texts if "Shop" in text] == [1, 1]
