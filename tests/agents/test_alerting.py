"""Alerting on real Kafka, with a worker that is killed: nobody misses a word, nobody hears one twice."""

import time

import pytest

from pipeline.alerts import inputs as i
from pipeline.signing import SIGNATURE, signature
from pipeline.stores.sqlite import SqliteStore
from tests.agents.harness import committed, until
from tests.alerts.receiver import Receiver
from tests.alerts.samples import value

pytestmark = pytest.mark.kafka
INPUTS = "csf.alert-inputs"
HIGH, OVER = ("raise", "delay_odd", "service:shop"), ("clear", "delay_odd", "service:shop")


@pytest.fixture
def receiver():
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture
def alerts(receiver, monkeypatch):
    monkeypatch.setenv("CSF_TEST_HOOK_KEY", "swordfish-and-more")
    return {"channels": {"hook": {"kind": "webhook", "url": receiver.url, "secret_env": "CSF_TEST_HOOK_KEY"}}}


class Said:
    """Says values of now, in order, and that a second went by: within one an alert changes once only."""

    def __init__(self, feeder):
        self._feeder = feeder

    def __call__(self, number, age=0.0, scope="service:shop"):
        at = time.time() - age
        told = i.ValueTold(clock=at, value=value("delay", number, int(at), scope=scope))
        for message in (told, i.ClockTold(csfs=["reliability"], clock=at + 1)):
            self._feeder.raw(INPUTS, 0, i.encode(message))


@pytest.fixture
def say(feeder):
    return Said(feeder)


def test_raise_and_clear_are_told_once_though_the_worker_is_killed(workers, alerts, receiver, say, tmp_path, bootstrap):
    worker = workers(alerts=alerts).recovered()
    say(70)
    until(lambda: receiver.told() == [HIGH], what="the raise")
    until(lambda: worker.metric('csf_notifications_total{channel="hook",state="delivered"}') == 1, what="recorded")
    firing = 'csf_alert_firing{csf="reliability",rule="delay_odd",scope="service:shop"'
    until(lambda: worker.metric(firing) == 1, what="shown as firing")
    until(lambda: len(set(committed(bootstrap, "test", INPUTS, 0))) == 1, what="committed")
    worker.kill()
    say(10)
    worker = workers(alerts=alerts).caught_up()
    until(lambda: len(receiver.told()) >= 2, what="the clear")
    worker.caught_up()
    assert receiver.told() == [HIGH, OVER]
    store = SqliteStore(tmp_path / "kpis.db", read_only=True)
    assert [(c.rule, c.state) for c in store.alerts()] == [("delay_odd", "firing"), ("delay_odd", "resolved")]
    store.close()
    for headers, body in zip(receiver.headers, receiver.bodies, strict=True):
        at = int(headers[SIGNATURE][2:].partition(",")[0])
        assert headers[SIGNATURE] == signature("swordfish-and-more", at, body)
    assert "swordfish" not in worker.output


def notes(path):
    store = SqliteStore(path, read_only=True)
    try:
        return [(n.kind, n.channel, n.about) for n in store.alert_notes()]
    finally:
        store.close()


def test_a_channel_that_was_away_gets_everything_once_and_in_order(workers, alerts, receiver, say, tmp_path):
    receiver.status = 503
    worker = workers(alerts=alerts).recovered()
    say(70)
    until(lambda: receiver.tries >= 1, what="a try")
    until(lambda: "503" in worker.get("/readyz")[1], what="the channel shown as a problem")
    say(10)
    say(70, scope="service:mail")
    waiting = 'csf_notifications_waiting{channel="hook"}'
    until(lambda: worker.metric(waiting) == 3, what="three waiting")
    assert worker.metric('csf_channel_failing{channel="hook"}') == 1
    until(
        lambda: notes(tmp_path / "kpis.db") == [("down", "hook", "3 waiting")], what="the channel's state in the store"
    )
    worker.kill()
    receiver.status = 200
    worker = workers(alerts=alerts).recovered()
    until(lambda: len(receiver.told()) == 3, what="all")
    until(lambda: worker.metric('csf_channel_failing{channel="hook"}') == 0, what="the channel shown as well")
    until(lambda: [k for k, *_ in notes(tmp_path / "kpis.db")].count("delivered") == 3, what="each written down")
    assert receiver.told() == [HIGH, OVER, ("raise", "delay_odd", "service:mail")]
    assert len({message["id"] for message in receiver.got}) == 3


def test_old_values_read_again_page_nobody(workers, alerts, receiver, say):
    for number in (70, 10, 70, 10):
        say(number, age=7_200)
    say(70, scope="service:mail")
    workers(alerts=alerts).caught_up()
    until(receiver.told, what="the one of now")
    assert receiver.told() == [("raise", "delay_odd", "service:mail")]


def test_a_refused_notification_is_failed_its_end_not_told_and_the_next_goes_on(workers, alerts, receiver, say):
    receiver.status = 403
    worker = workers(alerts=alerts).recovered()
    say(70)
    until(lambda: worker.metric('csf_notifications_total{channel="hook",state="failed"}') == 1, what="failed")
    receiver.status = 200
    say(10)
    until(lambda: worker.metric('csf_notifications_total{channel="hook",state="dropped"}') == 1, what="dropped")
    say(70, scope="service:mail")
    until(receiver.told, what="the next")
    assert receiver.told() == [("raise", "delay_odd", "service:mail")]


def test_a_wrong_channel_ends_the_worker_when_it_starts(workers, alerts):
    alerts["channels"]["hook"] = {"kind": "apprise", "url_env": "CSF_TEST_NO_SUCH"}
    worker = workers(alerts=alerts)
    assert worker.process.wait(30) == 2
    assert "channel 'hook': url_env: the environment variable CSF_TEST_NO_SUCH is not set" in worker.output
