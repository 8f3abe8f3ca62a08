"""A worker takes over from the killed one on its data directory at once, and never from one that lives."""

import json
import signal
from contextlib import closing

import pytest

from agents.context import SOURCE_TOPICS
from agents.membership import Membership
from tests.agents.harness import expected, totals, until


def test_what_was_remembered_belongs_to_the_next_holder_of_the_directory_only(tmp_path):
    first = Membership(tmp_path, "g")
    first.remember("member-1")
    # no broker is asked while the first holds the directory, or for another group
    second = Membership(tmp_path, "g")
    assert not second.succeed("127.0.0.1:1", {})
    second.remember("member-2")
    assert json.loads((tmp_path / "member.json").read_text()) == {"group": "g", "member": "member-1"}
    first.close()
    with closing(Membership(tmp_path, "another")) as third:
        assert not third.succeed("127.0.0.1:1", {})


def test_who_left_in_order_leaves_nothing_to_tell(tmp_path):
    first = Membership(tmp_path, "g")
    first.remember("member-1")
    first.forget()
    first.close()
    with closing(Membership(tmp_path, "g")) as second:
        assert not second.succeed("127.0.0.1:1", {})


def test_without_a_usable_directory_nothing_is_taken_over(tmp_path):
    (tmp_path / "file").write_text("")
    for directory in (None, tmp_path / "missing", tmp_path / "file"):
        membership = Membership(directory, "g")
        membership.remember("m")
        assert not membership.succeed("127.0.0.1:1", {})
        membership.close()


@pytest.mark.kafka
def test_a_killed_worker_is_succeeded_long_before_the_broker_misses_it(workers, feeder, tmp_path):
    (tmp_path / "w").mkdir()
    settings = {"data_dir": str(tmp_path / "w"), "session_timeout_s": 120}
    worker = workers(**settings).recovered()
    feeder.feed(1_000)
    worker.caught_up()
    worker.kill()
    feeder.feed(1_000)
    worker = workers(**settings).caught_up(60)
    assert totals(tmp_path) == expected(feeder.sent)
    assert worker.stop() == 0  # leaves: the next test need not wait for it


@pytest.mark.kafka
def test_a_paused_worker_is_not_told_to_have_left(workers, tmp_path):
    (tmp_path / "w").mkdir()
    settings = {"data_dir": str(tmp_path / "w"), "session_timeout_s": 120}
    paused = workers(**settings).recovered()
    before = (tmp_path / "w" / "member.json").read_text()
    paused.send(signal.SIGSTOP)
    other = workers(**settings)
    until(other.url, what="the other's address")
    assert (tmp_path / "w" / "member.json").read_text() == before
    paused.send(signal.SIGCONT)
    until(lambda: len(other.progress().get("positions", {})) == len(SOURCE_TOPICS), what="half of the partitions each")
    assert (paused.stop(), other.stop()) == (0, 0)
