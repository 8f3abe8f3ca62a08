"""Access logs: the real one gives the truth's figures, any line is parsed or refused, a growing one is followed."""

import gzip
import json
import os
import re
import threading
from collections import Counter, defaultdict
from datetime import UTC, datetime
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.access_log import LogFollower, LogMapper, map_log, parse_line, visitor_salt
from connectors.following import LONGEST_LINE, Place, follow, place_from
from connectors.mapping import Summary
from pipeline.errors import ConfigError, ServiceUnavailable
from pipeline.events.validate import decode_data, decode_envelope
from tests.paths import SHARED

APACHE = SHARED / "data" / "elastic_apache"
NOW_MS = int(datetime(2026, 11, 24, tzinfo=UTC).timestamp() * 1000)
LINE = '1.2.3.4 - - [24/Nov/2026:02:00:0{} +0100] "GET /page/{} HTTP/1.1" 200 12 "-" "Mozilla/5.0"\n'


def told(**options):
    bad, summary = [], Summary()
    events = []
    for event in map_log(APACHE / "apache_logs.gz", LogMapper("blog", "web", b"salt", **options), bad.append, summary):
        envelope = decode_envelope(event.raw)
        events.append((envelope, decode_data(envelope, event.topic, NOW_MS)[0]))
    return events, bad, summary


@pytest.mark.parametrize(("options", "name"), [({}, "all"), ({"bots": False}, "no_bots")])
def test_page_views_visitors_and_sessions_are_those_of_the_truth(options, name):
    events, bad, summary = told(**options)
    truth = json.loads((APACHE / "truth.json").read_text())
    expected = truth[name]
    views = [(e, d) for e, d in events if e.type == "page.viewed"]
    assert summary.rows == truth["lines"]
    assert len(bad) == truth["malformed"]
    assert len(views) == expected["page_views"]
    visitors = defaultdict(list)
    for envelope, data in views:
        visitors[data.user].append(envelope.time)
    assert len(visitors) == expected["visitors"]
    sessions = 0
    for times in visitors.values():
        times.sort()
        sessions += 1 + sum((b - a).total_seconds() > 1800 for a, b in pairwise(times))
    assert sessions == expected["sessions"]
    if not options:
        statuses = Counter(str(d.status) for e, d in events if e.type == "request.measured")
        assert statuses == expected["status"]


def test_a_visitor_is_no_address_and_another_salt_makes_another(tmp_path):
    hit = parse_line(LINE.format(1, "x").rstrip())
    users = set()
    for salt in (visitor_salt(tmp_path / "a"), visitor_salt(tmp_path / "b")):
        events = [json.loads(e.raw) for e in LogMapper("web", None, salt).events(hit, "i", "s")]
        users.add(events[1]["data"]["user"])
        assert "1.2.3.4" not in json.dumps(events)
    assert len(users) == 2
    assert visitor_salt(tmp_path / "a") == visitor_salt(tmp_path / "a")
    assert (tmp_path / "a" / "visitor.salt").stat().st_mode & 0o077 == 0


def test_request_time_common_format_and_offsets_are_read():
    hit = parse_line(LINE.format(1, "x").rstrip() + " 0.250")
    assert (hit.seconds, hit.at) == (0.25, datetime(2026, 11, 24, 1, 0, 1, tzinfo=UTC))
    common = parse_line('h - bob [01/Jan/2026:00:00:00 +0000] "POST /a?b HTTP/1.1" 503 -')
    assert (common.method, common.path, common.status, common.agent, common.is_page) == ("POST", "/a?b", 503, "", False)


@pytest.mark.parametrize(
    "line",
    [
        "", "hello", '1 - - [99/Nov/2026:02:00:00 +0000] "GET / HTTP/1.1" 200 1',
        '1 - - [24/Nov/2026:25:00:00 +0000] "GET / HTTP/1.1" 200 1',
        '1 - - [24/Nov/2026:02:00:00 +9900] "GET / HTTP/1.1" 200 1',
        '1 - - [24/Nov/2026:02:00:00 +0000] "GET / HTTP/1.1" 2000 1',
        '1 - - [24/Nov/2026:02:00:00 +0000] "GET / HTTP/1.1 200 1 "-" "open',
    ],
)  # fmt: skip
def test_a_line_of_another_kind_is_refused(line):
    assert parse_line(line) is None


@settings(max_examples=300, deadline=None)
@given(
    st.text(max_size=200),
    st.sampled_from(
        ["{0}", '1 - - [{0}] "GET / H" 200 1', '{0} - - [24/Nov/2026:02:00:00 +0000] "{0}" 200 1 "{0}" "{0}"']
    ),
)
def test_any_text_is_parsed_or_refused(text, form):
    hit = parse_line(form.replace("{0}", text))
    if hit is not None:
        for event in LogMapper("web", None, b"s").events(hit, "i", "s"):
            decode_data(decode_envelope(event.raw), event.topic, NOW_MS)


def collect(path, place, wanted, stop=None):
    """Follow until so many lines were seen; return them and the place behind."""
    stop, lines = stop or threading.Event(), []
    timer = threading.Timer(20, stop.set)
    timer.start()
    for chunk in follow(path, place, stop):
        lines += [raw.decode().strip() for _, raw in chunk.lines]
        place = chunk.place
        if len(lines) >= wanted:
            stop.set()
    timer.cancel()
    assert len(lines) == wanted
    return lines, place


def test_lines_are_followed_through_a_rename_and_a_truncation(tmp_path):
    log, steps = tmp_path / "access.log", []
    log.write_text("one\ntwo\nhalf")
    stop, seen = threading.Event(), []
    timer = threading.Timer(30, stop.set)
    timer.start()
    for chunk in follow(log, Place(), stop):
        seen += [raw.decode() for _, raw in chunk.lines]
        if seen == ["one\n", "two\n"] and not steps:
            steps.append("renamed")
            log.rename(tmp_path / "access.log.1")
            with (tmp_path / "access.log.1").open("a") as old:
                old.write(" done\nlate")
            os.utime(tmp_path / "access.log.1", (1e9, 1e9))  # nobody writes to it any more
            log.write_text("new\n")
        elif seen[-1:] == ["new\n"] and len(steps) == 1:
            steps.append("truncated")
            log.write_text("")
        elif len(steps) == 2 and chunk.place.offset == 0:
            steps.append("written")
            log.write_text("z\n")
        elif seen[-1] == "z\n":
            stop.set()
    timer.cancel()
    assert seen == ["one\n", "two\n", "half done\n", "late", "new\n", "z\n"]


def test_a_log_renamed_while_nobody_followed_is_read_to_its_end_first(tmp_path):
    log = tmp_path / "access.log"
    log.write_text("one\n")
    _, place = collect(log, Place(), 1)
    kept = msgspec.to_builtins(place)
    with log.open("a") as f:
        f.write("two\n")
    log.rename(tmp_path / "access.log.2")
    (tmp_path / "access.log.1").write_text("three\n")
    log.write_text("four\n")
    for age, name in enumerate(["access.log", "access.log.1", "access.log.2"]):
        os.utime(tmp_path / name, (1e9 - age, 1e9 - age))
    lines, place = collect(log, place_from(kept), 3)
    assert lines == ["two", "three", "four"]
    assert place.inode == log.stat().st_ino


def followed(log, at_wait):
    """Return the lines of a log until one says ``new``; a wait takes no time, and is when things happen, by its number."""
    seen = []

    class Stop:
        waits = 0

        @staticmethod
        def is_set():
            return "new\n" in seen or Stop.waits > 100

        @staticmethod
        def wait(_seconds):
            Stop.waits += 1
            at_wait(Stop.waits)

    for chunk in follow(log, Place(), Stop):
        seen += [raw.decode() for _, raw in chunk.lines]
        assert not (chunk.at_end and log.with_name("access.log.1").exists() and "new\n" not in seen)
    return seen


def test_what_is_written_to_a_log_after_its_rotation_is_read(tmp_path):
    """A server goes on in the old file until its last worker has opened the new one."""
    log, old = tmp_path / "access.log", tmp_path / "access.log.1"
    log.write_text("one\n")

    def at_wait(number):
        if number == 1:
            log.rename(old)
            log.write_text("new\n")
        elif number < 6:
            with old.open("a") as late:
                late.write(f"late {number}\n")

    assert followed(log, at_wait) == ["one\n", "late 2\n", "late 3\n", "late 4\n", "late 5\n", "new\n"]


def test_a_renamed_log_that_brings_lines_at_the_last_look_is_not_left(tmp_path):
    log, old = tmp_path / "access.log", tmp_path / "access.log.1"
    log.write_text("one\n")
    written = {5: "late\nha", 6: "lf\nlast\n"}

    def at_wait(number):
        if number == 1:
            log.rename(old)
            log.write_text("new\n")
        elif number in written:
            with old.open("a") as late:
                late.write(written[number])

    assert followed(log, at_wait) == ["one\n", "late\n", "half\n", "last\n", "new\n"]


def test_the_copy_of_a_log_that_was_cut_is_not_read_again(tmp_path):
    """``copytruncate``: where the copy is as young as the cut, all of its lines would count twice."""
    log, copy = tmp_path / "access.log", tmp_path / "access.log-20261126"
    log.write_text("one\ntwo\n")

    def at_wait(number):
        if number == 1:
            copy.write_bytes(log.read_bytes())
            os.truncate(log, 0)
            os.utime(copy, ns=(log.stat().st_mtime_ns,) * 2)
        elif number == 3:
            with log.open("a") as file:
                file.write("new\n")

    assert followed(log, at_wait) == ["one\n", "two\n", "new\n"]


def test_a_neighbour_whose_name_begins_alike_is_no_rotated_log(tmp_path):
    log, seen = tmp_path / "access.log", []
    log.write_text("one\n")
    _, place = collect(log, Place(), 1)
    log.rename(tmp_path / "access.log-20261126")
    for name, text in {"access.log.shop": "other", "access.log_api": "other", "access.log": "new"}.items():
        (tmp_path / name).write_text(f"{text}\n")
    os.utime(tmp_path / "access.log-20261126", (1e9, 1e9))
    seen, _ = collect(log, place, 1)
    assert seen == ["new"]


def packed(log):
    log.with_name("access.log.1.gz").write_bytes(gzip.compress(log.read_bytes()))
    log.rename(log.with_name("kept-until-the-new-one-is-made"))
    log.write_text(LINE.format(9, "c"))
    log.with_name("kept-until-the-new-one-is-made").unlink()


def cut(log):
    log.write_text(LINE.format(9, "c"))


def replaced(log):
    """As where the number of a removed file goes to a new one, which has grown longer."""
    log.write_text("".join(LINE.format(9, "c" * 30 + str(n)) for n in range(9)))


@pytest.mark.parametrize(
    ("how", "said"), [(packed, r"read to byte \d+ is gone"), (cut, r"has \d+ bytes now"), (replaced, "no more in it")]
)
def test_lines_that_went_while_nobody_followed_are_told_and_that_time_is_not_covered(tmp_path, how, said):
    log, broker, complaints = tmp_path / "access.log", Broker(failures=0), []
    log.write_text(LINE.format(1, "a") + LINE.format(2, "b"))
    before, now = (datetime(2026, 11, 24, 1, 0, second, tzinfo=UTC).timestamp() for second in (2, 30))
    _, place = collect(log, Place(), 2)
    place = msgspec.structs.replace(place, polled=before)
    how(log)
    stop = threading.Event()
    broker.keep = lambda *_: stop.set()
    LogFollower(log, LogMapper("web", None, b"s"), broker, "host1", clock=lambda: now, kept_every_s=0).run(
        place, stop, complaints.append
    )
    (complaint,) = complaints
    assert re.search(said, complaint)
    assert complaint.endswith("lines behind were not read, and that time is not covered")
    ((_, polled, _),) = [e for e in broker.stored if len(e) == 3]
    assert polled.data.from_ == datetime(2026, 11, 24, 1, 0, 9, tzinfo=UTC)


def test_an_endless_line_is_cut(tmp_path):
    log = tmp_path / "access.log"
    log.write_bytes(b"x" * (LONGEST_LINE + 5) + b"\nend\n")
    lines, _ = collect(log, Place(), 3)
    assert [len(line) for line in lines] == [LONGEST_LINE, 5, 3]


def test_a_cursor_that_is_no_place_is_told():
    assert place_from(None) == Place()
    with pytest.raises(ConfigError, match="the cursor of this log is no place"):
        place_from({"offset": "far"})


class Broker:
    """Takes events like a producer; fails where told to."""

    def __init__(self, failures):
        self.failures, self.sent, self.stored, self.letters = failures, [], [], []
        self.cursors, self.kept = [], threading.Event()

    def keep(self, cursor, value):
        assert self.sent == []  # what lies before a cursor is stored already
        self.cursors.append((cursor, place_from(value)))
        self.kept.set()

    def add(self, _topic, _key, raw, source=""):
        self.sent.append((source, raw))

    def send(self, topic, event, key=None):
        self.sent.append((topic, event, key))

    def bury(self, *letter, **more):
        self.letters.append((letter, more))

    def flush(self):
        if self.failures:
            self.failures -= 1
            self.sent.clear()
            raise ServiceUnavailable("Kafka at nowhere does not take events")
        self.stored += self.sent
        self.sent = []


def test_the_place_moves_only_behind_what_is_stored_and_completeness_is_told(tmp_path):
    log = tmp_path / "access.log"
    log.write_text(LINE.format(1, "a") + "nonsense\n" + LINE.format(2, "b.css"))
    broker, stop, complaints = Broker(failures=1), threading.Event(), []

    class Stop:
        """Stops when the place is kept, and never waits long."""

        is_set = staticmethod(lambda: broker.kept.is_set() or stop.is_set())

        @staticmethod
        def wait(_seconds):
            return stop.wait(0.01)

    now = datetime(2026, 11, 24, 1, 0, 30, tzinfo=UTC).timestamp()
    mapper = LogMapper("web", "team", b"s")
    follower = LogFollower(log, mapper, broker, "host1", clock=lambda: now, kept_every_s=0)
    follower.run(Place(), Stop, complaints.append)
    assert complaints == ["Kafka at nowhere does not take events; trying again"]
    types = [json.loads(e[1])["type"] for e in broker.stored if len(e) == 2]
    assert types == ["request.measured", "page.viewed", "request.measured"]
    ((topic, polled, _),) = [e for e in broker.stored if len(e) == 3]
    assert topic == "csf.events.control"
    assert (polled.data.from_, polled.data.to) == (
        datetime(2026, 11, 24, 1, 0, 1, tzinfo=UTC), datetime(2026, 11, 24, 1, 0, 30, tzinfo=UTC),
    )  # fmt: skip
    assert broker.letters[-1][0][1] == "malformed-log-line"
    ((name, kept),) = broker.cursors
    assert name == polled.source == "access-log/web/host1/access.log"
    assert (kept.offset, kept.polled) == (log.stat().st_size, now)


def test_a_missing_log_to_import_is_told(tmp_path):
    with pytest.raises(ConfigError, match="there is no such file"):
        list(map_log(tmp_path / "none.log", LogMapper("web", None, b"s")))


def test_a_damaged_packed_log_is_told(tmp_path):
    path = tmp_path / "log.gz"
    path.write_bytes(gzip.compress(LINE.encode() * 99)[:-9])
    with pytest.raises(ConfigError, match="is a damaged gzip file"):
        list(map_log(path, LogMapper("web", None, b"s")))
