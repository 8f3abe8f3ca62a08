"""Files of a folder and of S3-compatible storage: each row once, whatever files become; a local server stands in for storage."""

from __future__ import annotations

import gzip
import json
import os
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from moto.server import ThreadedMotoServer

from connectors.engine.config import find_entry
from connectors.engine.stats import Stats
from connectors.objects import read as reading
from connectors.objects.load import OPTIONS, prepare_files
from connectors.objects.read import FilesReader
from pipeline.errors import ConfigError, ServiceUnavailable, SourceRefused
from tests.connectors.pulling import Memory

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
MAPPING = {
    "name": "checks", "format": "jsonl", "service": "service",
    "events": [{"type": "uptime.checked", "time": "at", "data": {"up": {"column": "up", "as": "bool"}, "check": "check"}}],
}  # fmt: skip
LOG = '10.0.0.1 - - [26/Nov/2026:11:00:00 +0000] "GET /a HTTP/1.1" 200 5 "-" "Mozilla/5.0"\n'


def row(number, up=True, **more):
    return {
        "service": "shop",
        "at": f"2026-11-26T11:{number // 60 % 60:02}:{number % 60:02}Z",
        "up": up,
        "check": f"c{number}",
        **more,
    }


def lines(*numbers):
    return "".join(json.dumps(row(n)) + "\n" for n in numbers)


class Drop:
    """A folder in which files are dropped, and what reads it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.there = folder, folder / "drop"
        self.there.mkdir()
        self.sink, self.said = Memory(), []
        self._tick = 1_800_000_000

    def put(self, name, text, mapping=None):
        path = self.there / name
        path.parent.mkdir(parents=True, exist_ok=True)
        data = text if isinstance(text, bytes) else text.encode()
        path.write_bytes(data)
        self._tick += 1
        os.utime(path, (self._tick, self._tick))  # clocks of file systems are coarse

    def files(self, mapping=None, **more):
        (self.folder / "checks.yaml").write_text(yaml.safe_dump({**MAPPING, **(mapping or {})}))
        options = {"place": "drop", "mapping": "checks.yaml", **more.pop("options", {})}
        config = self.folder / "connectors.yaml"
        config.write_text(yaml.safe_dump([{"name": "ours", "connector": "files", "options": options, **more}]))
        return prepare_files(find_entry(config, "ours"), config, lambda: b"salt")

    def reader(self, mapping=None, share=None, **more):
        files = self.files(mapping, **more)
        self.stats = Stats(files.source)
        return FilesReader(
            files.place, files.form, files.source, self.sink, self.stats, dict(self.sink.cursors), threading.Event(), self.said.append,
            lambda: NOW, share,
        )  # fmt: skip

    @property
    def checks(self):
        return [e["data"].get("check") for e in self.sink.events]


@pytest.fixture
def drop(tmp_path):
    return Drop(tmp_path)


def test_files_are_read_in_the_order_of_their_times_each_row_once(drop):
    drop.put("2026/b.jsonl", lines(1, 2))
    drop.put("a.jsonl", lines(3))
    reader = drop.reader()
    reader.poll()
    reader.poll()
    drop.reader().poll()  # after a restart
    assert drop.checks == ["c1", "c2", "c3"]
    assert len({e["id"] for e in drop.sink.events}) == 3
    assert next((p["from"], p["services"], p["types"]) for p in drop.sink.polled) == (
        "2026-11-26T11:00:01Z",
        ["shop"],
        ["uptime.checked"],
    )


def test_a_file_that_grows_tells_what_is_new_and_its_last_line_once_it_has_ended(drop):
    drop.put("a.jsonl", lines(1, 2) + '{"service": "shop"')
    reader = drop.reader()
    reader.poll()
    assert drop.checks == ["c1", "c2"]
    drop.put("a.jsonl", lines(1, 2, 3))
    reader.poll()
    assert drop.checks == ["c1", "c2", "c3"]
    assert not drop.sink.letters


def test_a_last_line_without_an_end_is_read_once_the_file_rests(drop):
    drop.put("a.jsonl", lines(1, 2).rstrip("\n"))
    reader = drop.reader()
    reader.poll()
    assert drop.checks == ["c1"]
    reader.poll()
    assert drop.checks == ["c1", "c2"]


def test_another_file_under_an_old_name_is_read_from_its_start(drop):
    drop.put("a.jsonl", lines(1, 2))
    reader = drop.reader()
    reader.poll()
    drop.put("a.jsonl", lines(7, 8, 9))
    reader.poll()
    assert drop.checks == ["c1", "c2", "c7", "c8", "c9"]


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


def test_csv_waits_until_it_rests_and_packed_files_too(drop):
    csv = {
        "format": "csv",
        "service": {"const": "shop"},
        "events": [{**MAPPING["events"][0], "data": {"up": {"column": "up", "as": "bool"}, "check": "check"}}],
    }
    drop.put("a.csv", 'at,up,check\n2026-11-26T11:00:00Z,true,"a\nb"\n')
    drop.put("b.csv.gz", gzip.compress(b"at,up,check\n2026-11-26T11:00:00Z,true,c\n"))
    reader = drop.reader(csv)
    reader.poll()
    assert drop.checks == []
    reader.poll()
    assert drop.checks == ["a\nb", "c"]


def test_access_logs_of_a_folder_become_requests_and_views(drop):
    drop.put("access.log.1", LOG + "what is no line\n")
    drop.reader(options={"mapping": "access-log", "service": "shop"}).poll()
    assert [e["type"] for e in drop.sink.events] == ["request.measured", "page.viewed"]
    (letter,) = drop.sink.letters
    assert (letter["reason"], letter["detail"], letter["row"]) == (
        "malformed-log-line",
        "access.log.1: line 2 is not of the combined format",
        2,
    )


def test_what_is_not_meant_is_left_alone(drop):
    for name in (".hidden.jsonl", "a.jsonl.tmp", "a.part", "note.txt"):
        drop.put(name, lines(1))
    drop.put("x/y.jsonl", lines(2))
    drop.reader(options={"pattern": "*.jsonl"}).poll()
    assert drop.checks == ["c2"]


def test_brokers_that_are_away_keep_the_cursor_and_a_restart_goes_on_at_the_last_rows(drop, monkeypatch):
    monkeypatch.setattr(reading, "_ROWS", 10)
    drop.put("a.jsonl", lines(*range(35)))

    def fail_after(flushes, real=drop.sink.flush):
        left = iter(range(flushes))

        def flush():
            if next(left, None) is None:
                raise ServiceUnavailable("away")
            real()

        return flush

    drop.sink.flush = fail_after(5)
    with pytest.raises(ServiceUnavailable):
        drop.reader().poll()
    assert drop.sink.cursors["files/ours|a.jsonl"]["rows"] == 20
    drop.sink._waiting.clear()
    del drop.sink.flush
    drop.reader().poll()
    assert sorted(set(drop.checks)) == sorted(f"c{n}" for n in range(35))
    by_check = {}
    for event in drop.sink.events:
        by_check.setdefault(event["data"]["check"], set()).add(event["id"])
    assert all(len(ids) == 1 for ids in by_check.values())


def test_a_row_that_is_no_event_is_one_dead_letter(drop):
    drop.put("a.jsonl", lines(1) + "{}\nno json\n" + lines(2))
    reader = drop.reader()
    reader.poll()
    drop.put("a.jsonl", lines(1) + "{}\nno json\n" + lines(2, 3))
    reader.poll()
    assert sorted(letter["row"] for letter in drop.sink.letters) == [2, 3]
    assert drop.checks == ["c1", "c2", "c3"]


def test_a_file_that_is_none_of_the_form_is_told_once_and_the_others_read(drop):
    drop.put("a.jsonl", '{"other": 1}\n')
    drop.put("b.jsonl", lines(1))
    drop.put("c.jsonl", gzip.compress(lines(2).encode())[:-9])
    reader = drop.reader()
    for _ in range(3):
        reader.poll()
    assert drop.checks[0] == "c1"
    assert len(drop.said) == 2
    assert "files/ours: a.jsonl: a.jsonl: lacks" in drop.said[0]
    assert "it is read when it changes" in drop.said[1]


def test_services_are_named_and_a_team_registers_them(drop):
    drop.put("a.jsonl", lines(1))
    drop.reader(services={"shop": "web-shop"}, team="it").poll()
    assert [(e["subject"], e["csfteam"]) for e in drop.sink.events] == [("web-shop", "it")]


def test_a_folder_that_is_not_there_is_told(drop):
    with pytest.raises(SourceRefused, match="there is no such folder"):
        drop.reader(options={"place": "nowhere"}).poll()


def test_a_cursor_that_is_none_is_told(drop):
    drop.sink.cursors["files/ours|a.jsonl"] = {"mark": 7}
    with pytest.raises(ConfigError, match=r"the cursor files/ours\|a.jsonl is none of a file"):
        drop.reader()


WRONG = {
    "place": ({"options": {"place": "s3://"}}, "names no bucket"),
    "mapping": ({"options": {"mapping": "nowhere.yaml"}}, "there is no such file"),
    "service": ({"options": {"mapping": "access-log"}}, "options.service is missing"),
    "no log": ({"options": {"service": "x"}}, "options.service: is for access-log"),
    "endpoint of a folder": ({"options": {"endpoint": "http://x"}}, "place must begin with s3://"),
    "endpoint": ({"options": {"place": "s3://b", "endpoint": "x"}}, "'x' is no address"),
    "since": ({"since": "2026-11-01"}, "since: has no meaning for files"),
    "half a key": ({"options": {"place": "s3://b"}, "auth": {"access_key_id": {"env": "S3_ID"}}}, "belong together"),
    "key": ({"auth": {"token": {"env": "S3_ID"}}}, "auth: unknown key 'token'"),
    "variable": ({"options": {"variables": ["x"]}}, "'x' must be NAME=VALUE"),
    "option": ({"options": {"plaze": "x"}}, "there is no option 'plaze'; did you mean 'place'"),
}  # fmt: skip


@pytest.mark.parametrize(("entry", "why"), WRONG.values(), ids=WRONG)
def test_a_wrong_configuration_is_told(drop, monkeypatch, entry, why):
    monkeypatch.setenv("S3_ID", "an-id")
    with pytest.raises(ConfigError, match=why):
        drop.files(**entry)


def test_a_mapping_that_needs_a_whole_file_is_refused(drop):
    with pytest.raises(ConfigError, match="order_by needs a whole file; use csf import"):
        drop.files({"order_by": ["at"]})


# -- S3-compatible storage -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def storage():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(storage, drop, monkeypatch):
    """Return the drop, reading a fresh bucket below ``exports``."""
    from botocore.session import get_session

    monkeypatch.setenv("S3_ID", "an-id")
    monkeypatch.setenv("S3_SECRET", "s3cret-marker")
    drop.s3 = get_session().create_client(
        "s3",
        region_name="us-east-1",
        endpoint_url=storage,
        aws_access_key_id="an-id",
        aws_secret_access_key="s3cret-marker",
    )
    drop.bucket = f"b{abs(hash(drop.folder))}"
    drop.s3.create_bucket(Bucket=drop.bucket)

    def stored(name, text):
        drop.s3.put_object(
            Bucket=drop.bucket, Key=f"exports/{name}", Body=text if isinstance(text, bytes) else text.encode()
        )

    def stored_reader(mapping=None, **options):
        auth = {"access_key_id": {"env": "S3_ID"}, "secret_access_key": {"env": "S3_SECRET"}}
        return drop.reader(
            mapping,
            options={"place": f"s3://{drop.bucket}/exports", "endpoint": storage, **options},
            auth=auth,
            timeout_s=1,
        )

    drop.stored, drop.stored_reader = stored, stored_reader
    return drop


def test_objects_are_read_once_and_one_that_was_replaced_anew(bucket):
    bucket.stored("a.jsonl", lines(1, 2).rstrip("\n"))
    bucket.stored("sub/b.jsonl.gz", gzip.compress(lines(3).encode()))
    bucket.s3.put_object(Bucket=bucket.bucket, Key="elsewhere/c.jsonl", Body=lines(9).encode())
    reader = bucket.stored_reader()
    reader.poll()
    reader.poll()
    assert sorted(bucket.checks) == ["c1", "c2", "c3"]
    assert (
        bucket.stats.registry.get_sample_value(
            "csf_connector_requests_total", {"source": "files/ours", "outcome": "ok"}
        )
        == 2
    )
    bucket.stored("a.jsonl", lines(1, 2, 4))
    bucket.stored_reader().poll()  # after a restart
    assert sorted(bucket.checks) == ["c1", "c2", "c3", "c4"]


def test_more_objects_than_one_answer_lists_are_all_read(bucket, monkeypatch):
    for n in range(7):
        bucket.stored(f"{n}.jsonl", lines(n))
    reader = bucket.stored_reader()
    client = reader._place._client
    real = client.get_paginator
    monkeypatch.setattr(client, "get_paginator", lambda name: _Small(real(name)))
    reader.poll()
    assert sorted(bucket.checks) == [f"c{n}" for n in range(7)]


class _Small:
    def __init__(self, pager):
        self._pager = pager

    def paginate(self, **asked):
        return self._pager.paginate(**asked, PaginationConfig={"PageSize": 2})


def test_an_object_that_goes_between_list_and_get_is_left(bucket, monkeypatch):
    bucket.stored("a.jsonl", lines(1))
    reader = bucket.stored_reader()
    items = list(reader._place.items())
    monkeypatch.setattr(reader._place, "items", lambda: iter(items))
    bucket.stored("a.jsonl", lines(2))
    reader.poll()
    bucket.s3.delete_object(Bucket=bucket.bucket, Key="exports/a.jsonl")
    reader.poll()
    assert bucket.checks == []
    assert not bucket.sink.cursors


def test_a_bucket_that_is_not_there_is_refused_and_one_that_does_not_answer_is_not(bucket):
    with pytest.raises(SourceRefused, match="answers NoSuchBucket") as caught:
        bucket.stored_reader(place="s3://nowhere-at-all").poll()
    assert "s3cret-marker" not in str(caught.value)
    with pytest.raises(ServiceUnavailable, match="does not answer"):
        bucket.stored_reader(endpoint="http://127.0.0.1:9").poll()


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (403, SourceRefused),
        (401, SourceRefused),
        (503, ServiceUnavailable),
        (500, ServiceUnavailable),
        (429, ServiceUnavailable),
    ],
)
def test_refusals_and_faults_of_storage(drop, monkeypatch, code, kind):
    from tests.connectors.vendor import Says, serving

    monkeypatch.setenv("S3_ID", "an-id")
    monkeypatch.setenv("S3_SECRET", "s3cret-marker")
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0.0)
    names = {
        403: "AccessDenied",
        401: "InvalidAccessKeyId",
        503: "SlowDown",
        500: "InternalError",
        429: "TooManyRequests",
    }
    with serving(
        lambda _asked: Says(raw=f"<Error><Code>{names[code]}</Code><Message>no</Message></Error>".encode(), status=code)
    ) as vendor:
        auth = {"access_key_id": {"env": "S3_ID"}, "secret_access_key": {"env": "S3_SECRET"}}
        with pytest.raises(kind, match=f"answers {names[code]}: no") as caught:
            drop.reader(options={"place": "s3://b/x", "endpoint": vendor.address}, auth=auth).poll()
    assert "s3cret-marker" not in str(caught.value)


def test_every_option_changes_something(drop):
    base = {
        "place": "s3://b/x",
        "pattern": "*",
        "mapping": "checks.yaml",
        "endpoint": "http://127.0.0.1:1",
        "region": "eu-west-1",
    }
    other = {
        "place": "s3://c/x", "pattern": "*.x", "mapping": "kpi-history", "variables": ["file=x"], "endpoint": "http://127.0.0.1:2", "region": "eu-west-2",
    }  # fmt: skip

    def shape(options):
        files = drop.files(options=options)
        place = files.place
        return (
            place.told, place._pattern, place._client.meta.endpoint_url, place._client.meta.region_name, files.form.types,
            getattr(files.form, "_variables", None),
        )  # fmt: skip

    plain = shape(base)
    for name, value in other.items():
        assert shape({**base, name: value}) != plain, name
    assert drop.files(options={"mapping": "access-log", "service": "a"}).form._mapper.service == "a"
    assert set(other) | {"service"} == set(OPTIONS)
