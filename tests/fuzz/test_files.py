"""Files that people and systems hand over: mappings, data files, access logs, places, probes, settings."""

from __future__ import annotations

import copy
import gzip
import json
import random
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from cli.settings import load_settings
from connectors import cursors
from connectors.access_log import LogMapper, map_log, parse_line
from connectors.following import place_from
from connectors.mapping.files import BadRow
from connectors.mapping.load import load_mapping, shipped
from connectors.mapping.model import Mapping
from connectors.mapping.run import map_file
from connectors.prober import load_probes
from pipeline.errors import ConfigError, InvalidEvent, MappingError
from pipeline.events.validate import decode_data, decode_envelope
from tests.fuzz import mutate
from tests.fuzz.run import INPUTS, fuzz
from tests.fuzz.samples import ARRIVAL_MS
from tests.fuzz.written import as_yaml, one_sentence, write


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


# -- mappings ----------------------------------------------------------------------------------------------------

ROWS = [
    {"id": "A-1", "state": "New", "opened": "2026-10-01 10:00", "changed": "2026-10-02 11:30", "n": "1.234,5", "team": {"name": "web"}, "tags": ["a"], "ok": "yes", "site": "shop"},
    {"id": "A-2", "state": "Closed", "opened": "2026-10-01 10:00", "changed": "?", "n": "", "team": None, "tags": [], "ok": True, "site": "Old Site"},
]  # fmt: skip
MAPPING: dict[str, Any] = {
    "name": "m", "description": "d", "format": "jsonl", "missing": ["?", ""], "time_format": "%Y-%m-%d %H:%M", "zone": "Europe/Zurich",
    "decimal": ",", "thousands": ".", "order_by": ["opened"], "service": {"column": ["site", "id"]}, "team": "it", "source": "s",
    "vars": {"year": {"file": "(20[0-9]{2})"}, "fixed": "x"}, "skip_rows": 0,
    "events": [
        {
            "type": "incident.updated", "time": "opened", "key": ["id"],
            "when": [{"column": "state", "not_in": ["Gone"]}, {"column": "id", "matches": "^A-"}],
            "data": {
                "number": "id", "state": {"column": "state", "map": {"New": "new", "Closed": "closed"}, "else": "new"},
                "opened_at": {"column": "opened", "as": "time", "format": ["%Y-%m-%d %H:%M", "iso", "epoch_s"]},
                "updated_at": {"column": ["changed", "opened"], "as": "time", "add_seconds": 60},
                "priority": {"column": "id", "pattern": "A-(\\d+)", "as": "int"}, "original_state": {"template": "{state}/{var:fixed}"},
                "major": {"column": "ok", "as": "bool", "default": False}, "reopen_count": {"equal": ["id", "state"]},
            },
        },
        {
            "type": "request.measured", "time": "opened", "key": ["id"], "first_by": {"key": ["id"], "order": "opened"},
            "data": {"latency_ms": {"column": "n", "as": "float", "scale": 1000}, "status": {"const": 200}},
        },
    ],
}  # fmt: skip


def check_mapping(path: Path, rows: Path) -> None:
    """Load a mapping and map a file by it; only a MappingError may come out, and only events that are events."""
    bad: list[BadRow] = []
    try:
        mapping = load_mapping(str(path))
        events = list(map_file(rows, mapping, {}, bad.append))
    except MappingError as e:
        one_sentence(e)
        return
    for event in events:
        decoded(event.raw, event.topic)


def decoded(raw: bytes, topic: str) -> None:
    try:
        decode_data(decode_envelope(raw), topic, ARRIVAL_MS)
    except InvalidEvent as e:
        one_sentence(e)


def test_mappings(folder: Path) -> None:
    rows = write(folder / "rows-2026.jsonl", "\n".join(map(json.dumps, ROWS)))
    documents = [MAPPING, MAPPING, *(yaml.safe_load(p.read_text()) for p in shipped().values())]

    def make(rng: random.Random) -> str:
        return as_yaml(mutate.mutated(mutate.one_of(documents, rng), rng), rng)

    fuzz(make, lambda text: check_mapping(write(folder / "m.yaml", text), rows))


def data_file(form: str, rng: random.Random) -> bytes:
    rows = mutate.mutated(ROWS, rng) if rng.random() < 0.7 else copy.deepcopy(ROWS)
    if form == "csv":
        rows = [r for r in rows if isinstance(r, dict)] if isinstance(rows, list) else []
        lines = [
            ",".join(ROWS[0]),
            *(",".join(json.dumps(v) if rng.random() < 0.2 else str(v) for v in r.values()) for r in rows),
        ]
        raw = "\n".join(lines).encode("utf-8", "surrogatepass")
    elif form == "jsonl" and isinstance(rows, list):
        raw = "\n".join(json.dumps(r) for r in rows).encode()
    else:
        raw = json.dumps(rows).encode()
    if rng.random() < 0.4:
        raw = mutate.data(raw, rng)
    if rng.random() < 0.1:
        packed = gzip.compress(raw, 1)
        raw = mutate.data(packed, rng) if rng.random() < 0.6 else packed
    return raw


def test_data_files(folder: Path) -> None:
    plain = {k: v for k, v in MAPPING.items() if k != "events"} | {
        "events": [{**MAPPING["events"][0]}, MAPPING["events"][1]], "missing": ["?", ""],
    }  # fmt: skip
    by_form = {form: msgspec.convert({**plain, "format": form}, Mapping) for form in ("csv", "jsonl", "json")}

    def make(rng: random.Random) -> tuple[str, bytes]:
        form = mutate.one_of(tuple(by_form), rng)
        return form, data_file(form, rng)

    def check(given: tuple[str, bytes]) -> None:
        path, bad = write(folder / "rows-2026.dat", given[1]), []
        try:
            for event in map_file(path, by_form[given[0]], {}, bad.append):
                decoded(event.raw, event.topic)
        except MappingError as e:
            one_sentence(e)

    fuzz(make, check)


# -- access logs -------------------------------------------------------------------------------------------------

LINES = (
    '10.0.0.1 - bob [21/May/2026:10:05:03 +0000] "GET /a/b?c=d HTTP/1.1" 200 512 "http://x/" "Mozilla/5.0 (X11)"',
    '10.0.0.1 - - [21/May/2026:10:05:03 +0000] "POST / HTTP/1.1" 503 -',
    'shop.example:443 ::1 - - [21/May/2026:10:05:03 -0730] "GET /x.php HTTP/2" 304 0 "-" "curl/8" rt=0.123 "a b" 1.5',
    '10.0.0.1 - - [21/May/2026:10:05:03 +0000] "\\x16\\x03\\x01" 400 0 "-" "-" 0.001',
)


def test_access_log_lines(folder: Path) -> None:
    mapper = LogMapper("shop", "web", b"salt")

    def check(line: str) -> None:
        hit = parse_line(line)
        if hit is not None:
            for event in mapper.events(hit, "id", "source"):
                decoded(event.raw, event.topic)

    def line(rng: random.Random) -> str:  # as it is read: whatever bytes it has
        return mutate.text(mutate.one_of(LINES, rng), rng).encode("utf-8", "surrogatepass").decode(errors="replace")

    fuzz(line, check)
    whole = "\n".join(LINES).encode()
    fuzz(
        lambda rng: mutate.data(whole, rng),
        lambda raw: list(map_log(write(folder / "a.log", raw), mapper)),
        INPUTS // 10,
    )


@pytest.mark.parametrize(
    "line",
    [
        "x " + "." * 1_000_000,
        "x " + ":" * 500_000 + "a" * 500_000,
        "a " * 500_000,
        '1 - - [' + "[" * 1_000_000,
        '1 - - [21/May/2026:10:05:03 +0000] "' + "\\" * 1_000_000,
        '1 - - [21/May/2026:10:05:03 +0000] "' + '\\"' * 500_000,
        '1 - - [21/May/2026:10:05:03 +0000] "GET /" 200 1 "-" "a" ' + "1" * 1_000_000,
        '1 - - [21/May/2026:10:05:03 +0000] "GET /" 200 1 "-" "a" ' + "1.1 " * 250_000 + "x",
        '1 - - [21/May/2026:10:05:03 +0000] "GET /" 200 1 "-" "a"' + " " * 1_000_000 + "x",
        "1 " + "- " * 500_000 + "[",
        " " * 1_000_000,
    ],
    ids=range(11),
)  # fmt: skip
def test_no_line_takes_more_than_its_length(line: str) -> None:
    """The longest line that is read, in forms that would make a careless expression try again and again."""
    fuzz(lambda _rng: line, lambda given: parse_line(given) and None, 1)


# -- places, probes, settings ------------------------------------------------------------------------------------


def test_places_of_cursors(folder: Path) -> None:
    from threading import Event

    from connectors.following import follow

    log = write(folder / "a.log", "one\ntwo\n")

    def check(raw: bytes) -> None:
        found: dict[str, Any] = {}
        cursors._take(found, b"log", raw)
        try:
            place = place_from(found.get("log"))
        except ConfigError as e:
            one_sentence(e)
            return
        stop = Event()
        for chunk in follow(log, place, stop):
            assert len(chunk.lines) <= 2
            stop.set()

    good = {"inode": log.stat().st_ino, "offset": 4, "polled": 1.5}
    fuzz(lambda rng: mutate.json_bytes(mutate.mutated(good, rng), rng), check)


PROBES = [
    {"url": "https://shop.example/healthz", "service": "shop", "name": "web", "interval": 30, "timeout": 5, "expect": [200], "verify": True},
    {"url": "tcp://mail.example:25", "service": "mail"},
]  # fmt: skip


def test_probes(folder: Path) -> None:
    def check(text: str) -> None:
        try:
            probes = load_probes(write(folder / "p.yaml", text))
        except ConfigError as e:
            one_sentence(e)
            return
        assert all(p.interval > 0 for p in probes)

    fuzz(lambda rng: as_yaml(mutate.mutated(PROBES, rng), rng), check)


SETTINGS = {
    "data_dir": "/x", "bootstrap": "kafka:9092", "group": "g", "partitions": 4, "replication": 1, "kafka_protocol": "SASL_SSL",
    "kafka_mechanism": "PLAIN", "kafka_username": "u", "kafka_ca_file": "/ca.pem", "store": "influx", "influx_url": "http://i:8086",
    "influx_org": "o", "http_host": "127.0.0.1", "http_port": 8710, "http_names": "a,b", "archive": True, "archive_max_gib": 3, "tick_s": 5.0,
    "retention_hours": 24, "demo": False,
}  # fmt: skip


def test_settings(folder: Path) -> None:
    def check(given: tuple[str, dict[str, str]]) -> None:
        try:
            settings = load_settings(write(folder / "csf.yaml", given[0]), given[1])
            settings.worker_config  # noqa: B018 - a method: the settings are whole
            settings.kafka_settings()
        except ConfigError as e:
            one_sentence(e)

    def make(rng: random.Random) -> tuple[str, dict[str, str]]:
        name = mutate.one_of(tuple(SETTINGS), rng)
        environment = {
            f"CSF_{name.upper()}": str(mutate.nasty(rng)),
            "CSF_HTTP_TOKEN_FILE": rng.choice(["", "/nowhere", "/dev/null", str(folder), "a\0b"]),
        }
        return as_yaml(mutate.mutated(SETTINGS, rng), rng), environment

    fuzz(make, check)
