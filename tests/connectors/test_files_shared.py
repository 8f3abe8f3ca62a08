"""Several instances of a connector for files: each file is read by one, whoever comes and goes."""

from __future__ import annotations

from cli.filing import speaks
from connectors.engine.stats import Stats
from connectors.objects import read as reading
from tests.connectors.dropping import lines


class Part:
    """One of two instances: it holds partitions of two, and may lose one after so many beats."""

    def __init__(self, *partitions, keeps=10**9):
        self.partitions, self.keeps = set(partitions), keeps

    def held(self):
        return frozenset(self.partitions)

    def ours(self, number):
        return number % 2 in self.partitions

    def beat(self, _wait_s):
        self.keeps -= 1
        if self.keeps <= 0:
            self.partitions = set()


def test_instances_share_the_files_and_none_is_read_by_two(drop):
    names = [f"{n}.jsonl" for n in range(20)]
    for n, name in enumerate(names):
        drop.put(name, lines(n))
    one, other = drop.reader(share=Part(0)), drop.reader(share=Part(1))
    one.poll()
    first = set(drop.checks)
    other.poll()
    assert 0 < len(first) < 20
    assert sorted(drop.checks) == sorted(f"c{n}" for n in range(20))


def test_a_file_that_goes_to_another_instance_is_gone_on_with_at_its_last_delivered_rows(drop, monkeypatch):
    monkeypatch.setattr(reading, "_ROWS", 10)
    drop.put("a.jsonl", lines(*range(35)))
    leaving = drop.reader(share=Part(0, 1, keeps=2))
    leaving.poll()
    assert drop.checks == [f"c{n}" for n in range(20)]
    assert not drop.sink.cursors["files/ours|a.jsonl"].get("done")
    leaving.poll()  # nothing is its own now
    following = drop.reader(share=Part(0, 1))
    following.poll()
    assert drop.checks == [f"c{n}" for n in range(35)]


def test_a_reader_whose_share_changed_leaves_what_came_to_it_to_the_next_one(drop):
    share = Part(0)
    reader = drop.reader(share=share)
    for n in range(20):
        drop.put(f"{n}.jsonl", lines(n))
    share.partitions = {0, 1}  # the other instance may have told half of some file meanwhile
    reader.poll()
    assert drop.checks == []
    drop.reader(share=share).poll()
    assert len(drop.checks) == 20


def test_one_of_several_tells_how_the_connector_is_doing_and_whoever_fails():
    fine, failing = Stats("files/ours"), Stats("files/ours")
    failing.failed(reading.STREAM, "the place does not answer")
    assert [speaks(share, fine) for share in (None, Part(0), Part(1), Part(0, 1), Part())] == [
        True,
        True,
        False,
        True,
        False,
    ]
    assert speaks(Part(1), failing)
    failing.succeeded(reading.STREAM, 1.0, 1.0, 0)
    assert not speaks(Part(1), failing)
