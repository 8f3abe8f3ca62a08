"""Files of a folder: each row once, whatever files become."""

from __future__ import annotations

import gzip

import pytest

from connectors.objects import read as reading
from connectors.objects.load import OPTIONS
from pipeline.errors import ConfigError, ServiceUnavailable, SourceRefused
from tests.connectors.dropping import LOG, MAPPING, lines


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
