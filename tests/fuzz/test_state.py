"""What the program reads back: changelog, chunks of state, partials, archive, store rows, dead letters, its own files."""

from __future__ import annotations

import csv
import io
import json
import random
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from agents import changelog
from agents.changelog import PartitionLog, StateError, chunk_records, claim_record, commit_record, tombstone_record
from agents.tables import restore
from cli.deadletters import _letter, _shown, replayable
from cli.embedded.instance import read_state
from pipeline.archive import ArchiveReader, ArchiveWriter
from pipeline.archive.errors import ArchiveDamaged, ArchiveError
from pipeline.engine import wire
from pipeline.engine.ingest import IngestPartition
from pipeline.engine.rollup import RollupPartition
from pipeline.errors import StateRefused, StoreRejected
from pipeline.stores import influx_lines, influx_rows
from pipeline.stores.influx import InfluxStore
from pipeline.values import Exits
from tests.fuzz import mutate
from tests.fuzz.run import INPUTS, fuzz
from tests.fuzz.samples import ARRIVAL_MS, KINDS, event, topic
from tests.properties.histories import plan
from tests.stores import samples


def names(error: Exception, *words: str) -> None:
    """Assert that an error's sentence names what it is about."""
    assert any(word in str(error) for word in words), str(error)


RECORDS = [
    claim_record(1),
    *chunk_records("t", 1, 1, b"c|3|0|shop", b"payload"),
    *chunk_records("t", 1, 1, b"big", b"x" * 40),
    commit_record("t", 1, 1, 17),
    *chunk_records("t", 1, 2, b"c|3|0|shop", None),
    commit_record("t", 1, 2, 18),
    tombstone_record("t", b"c|3|0|shop"),
]


def test_changelogs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changelog, "PART_BYTES", 16)
    records = [*RECORDS, *chunk_records("t", 1, 3, b"big", b"y" * 40), commit_record("t", 1, 3, 19)]

    def make(rng: random.Random) -> list[tuple[bytes | None, bytes | None]]:
        given: list[Any] = list(records)
        for _ in range(rng.randint(1, 3)):
            i = rng.randrange(len(given))
            key, value = given[i]
            pick = rng.random()
            if pick < 0.3:
                given[i] = (mutate.data(key or b"", rng), value)
            elif pick < 0.7:
                given[i] = (key, mutate.data(value or b"", rng))
            elif pick < 0.8:
                given.insert(rng.randrange(len(given)), given.pop(i))
            elif pick < 0.9:
                del given[i]
            else:
                given[i] = (key, None)
        return given

    def check(given: list[tuple[bytes | None, bytes | None]]) -> None:
        log = PartitionLog()
        try:
            for offset, (key, value) in enumerate(given):
                log.apply(offset, key, value)
            for state in log.finish().values():
                dict(state.chunks())
                state.repairs()
        except StateError as e:
            names(e, "changelog record", "state chunk")

    fuzz(make, check)


def _state() -> tuple[list[tuple[bytes, bytes]], list[tuple[bytes, bytes]], list[bytes]]:
    """Return chunks of ingest and rollup, and partials, after every kind of event."""
    made, ingest_chunks, partials = plan("Europe/Zurich"), [], []
    by_topic: dict[str, list[bytes]] = {}
    for i, kind in enumerate(KINDS):
        by_topic.setdefault(topic(kind), []).append(json.dumps(event(kind, i)).encode())
    for where, messages in by_topic.items():
        machine = IngestPartition(made, where, 0)
        machine.fold([(i, ARRIVAL_MS + i, raw) for i, raw in enumerate(messages)])
        out = machine.take()
        ingest_chunks += [(k, v) for k, v in out.chunks if v is not None]
        partials += [value for _, _, value in out.partials]
    rollup = RollupPartition(made, 0)
    rollup.fold([(i, 0, value) for i, value in enumerate(partials)])
    while rollup.pending:
        rollup.evaluate(1000)
    return ingest_chunks, [(k, v) for k, v in rollup.take_chunks() if v is not None], partials


def corrupted(chunks: list[tuple[bytes, bytes]], rng: random.Random) -> list[tuple[bytes, bytes]]:
    given = rng.sample(chunks, min(len(chunks), 6))
    i = rng.randrange(len(given))
    key, value = given[i]
    if rng.random() < 0.6:
        try:
            value = msgspec.msgpack.encode(mutate.mutated(msgspec.msgpack.decode(value), rng))
        except (OverflowError, ValueError, TypeError, msgspec.MsgspecError):
            value = mutate.data(value, rng)
    elif rng.random() < 0.7:
        value = mutate.data(value, rng)
    else:
        key = mutate.data(key, rng)
    given[i] = (key, value)
    return given


def test_corrupt_state_is_a_state_error(monkeypatch: pytest.MonkeyPatch) -> None:
    # a worker restores once and then ends or lives long; here what a thousand failures leave behind must be collectable
    monkeypatch.setattr("agents.tables.gc.freeze", lambda: None)
    made = plan("Europe/Zurich")
    of_ingest, of_rollup, _ = _state()
    engines: list[tuple[Callable[[], Any], list[tuple[bytes, bytes]]]] = [
        (lambda: IngestPartition(made, "csf.events.incident", 0), of_ingest),
        (lambda: RollupPartition(made, 0), of_rollup),
    ]

    def make(rng: random.Random) -> tuple[int, list[tuple[bytes, bytes]]]:
        which = rng.randrange(2)
        return which, corrupted(engines[which][1], rng)

    def check(given: tuple[int, list[tuple[bytes, bytes]]]) -> None:
        try:
            restore(engines[given[0]][0](), "t", 0, (5, given[1]))
        except StateError as e:
            names(e, "t/0")
        except StateRefused as e:  # a digest of a definition, or a format, was hit: it is taken for another one
            names(e, "csf replay")

    fuzz(make, check)


def test_what_restores_is_what_was_flushed() -> None:
    made = plan("Europe/Zurich")
    of_ingest, of_rollup, _ = _state()
    restore(IngestPartition(made, "csf.events.incident", 0), "t", 0, (5, of_ingest))
    restore(RollupPartition(made, 0), "t", 0, (5, of_rollup))


def test_partials_decode_or_are_refused() -> None:
    _, _, partials = _state()

    def check(raw: bytes) -> None:
        with suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):  # the rollup agent buries it
            assert isinstance(wire.decode(raw), list)

    fuzz(lambda rng: mutate.data(mutate.one_of(partials, rng), rng), check)


# -- archive -----------------------------------------------------------------------------------------------------


def test_archives(tmp_path: Path) -> None:
    writer = ArchiveWriter(tmp_path / "good", "csf.events.usage", 0)
    for first in (0, 40):
        writer.append_many([(first + i, 1000 + i, b"value %d" % i * 3) for i in range(40)])
        writer.flush()
    writer.close()
    good = next((tmp_path / "good").glob("*.arc"))
    raw = good.read_bytes()
    folder = tmp_path / "bad"
    folder.mkdir()
    path = folder / good.name

    def make(rng: random.Random) -> tuple[bytes, bool]:
        given = mutate.data(raw, rng)
        if rng.random() < 0.3:  # lengths with a checksum of their own that is right
            given = _with_right_header(raw, rng)
        return given, rng.random() < 0.5

    def check(given: tuple[bytes, bool]) -> None:
        path.write_bytes(given[0])
        path.with_name(path.name + ".sha256").unlink(missing_ok=True)
        if given[1]:
            path.with_name(path.name + ".sha256").write_bytes(given[0][:70])
        damages: list[ArchiveDamaged] = []
        for reader in (ArchiveReader(folder), ArchiveReader(folder, on_damage=damages.append)):
            for read in (lambda r: list(r.records()), lambda r: r.summary(), lambda r: r.verify()):
                try:
                    read(reader)
                except ArchiveError as e:
                    names(e, path.name)

    fuzz(make, check, INPUTS)


def _with_right_header(raw: bytes, rng: random.Random) -> bytes:
    import zlib

    from pipeline.archive import blocks

    at = raw.index(b"BLK1")
    fields = list(blocks._HEADER.unpack_from(raw, at))
    fields[rng.randint(1, 7)] = rng.choice((0, 1, 2**31 - 1, 2**32 - 1)) if rng.random() < 0.5 else rng.randint(0, 200)
    header = blocks._HEADER.pack(*fields)
    return raw[:at] + header + struct.pack("<I", zlib.crc32(header)) + raw[at + len(header) + 4 :]


# -- store rows --------------------------------------------------------------------------------------------------


def test_rows_of_a_foreign_bucket() -> None:
    """InfluxDB's answers: whatever another program wrote into our buckets is named, and raises nothing else."""
    store = InfluxStore("http://127.0.0.1:1", "t", "o")
    value = samples.period_value()
    row = {
        "_time": "2016-05-01T00:00:00Z", "csf": "reliability", "kpi": "mttr", "scope": "org", "period": "month", "window": "1h",
        "start": "1462060800", "end": "1464739200", "unit": "h", "count": "7", "status": "amber", "state": "closed", "revision": "2",
        "definition": "3", "reported": "1", "reason": "r", "known_fields": "63", "known": "1", "value": "1.5", "numerator": "1",
        "denominator": "2", "coverage": "1", "target": "2", "score": "50", "previous": "1", "worst_service": "+mail", "known_weight": "1",
        "total_weight": "2", "replaced_by": "3", "topic": "t", "partition": "0", "received": "1", "dead_letter": "0", "duplicate": "0",
        "unmapped": "0", "ignored": "0", "truncated": "0", "clock": "5", "reasons": '{"a": 1}',
    }  # fmt: skip
    decoders: list[Callable[[dict[str, str]], Any]] = [
        lambda r: influx_rows.row_value(r, live=True), lambda r: influx_rows.row_value(r, live=False), influx_rows.row_status,
        influx_rows.row_revision, influx_rows.row_exits,
    ]  # fmt: skip
    assert value.kpi == influx_rows.row_value({**row, "kpi": "mttr"}, live=False).kpi

    def make(rng: random.Random) -> dict[str, str]:
        given = mutate.mutated(row, rng)
        # as the client reads it: CSV of texts
        return {str(k): v if isinstance(v, str) else json.dumps(v) for k, v in given.items()}

    def check(given: dict[str, str]) -> None:
        for decode in decoders:
            try:
                store._decode("b", decode, [given])
            except StoreRejected as e:
                names(e, "did not write so")

    fuzz(make, check)
    store.close()


def test_lines_of_hostile_values_are_one_line_each() -> None:
    def check(given: dict[str, Any]) -> None:
        line = influx_lines.value_line(samples.period_value(**given))
        assert "\n" not in line
        assert "\r" not in line
        reasons = {given["reason"].encode(errors="replace").decode(): 1}  # ours, and so no half characters
        exits = influx_lines.exits_line(Exits(topic=given["kpi"], partition=0, received=1, reasons=reasons))
        assert "\n" not in exits

    fuzz(
        lambda rng: {k: mutate.text(rng.choice(mutate.TEXTS), rng) for k in ("csf", "kpi", "scope", "unit", "reason")},
        check,
    )


# -- dead letters, own files -------------------------------------------------------------------------------------


def test_dead_letters() -> None:
    good = {
        "reason": "bad-data",
        "detail": "d",
        "topic": "csf.events.usage",
        "partition": 0,
        "offset": 1,
        "index": 0,
        "size": 2,
        "event": "{}",
        "event_base64": "e30=",
    }

    def check(raw: bytes) -> None:
        letter = _letter(SimpleNamespace(value=raw, key=raw[:9], partition=0, offset=1))
        json.dumps(_shown(letter))
        csv.writer(io.StringIO()).writerow(_shown(letter).values())
        found = replayable(letter)
        assert found is None or isinstance(found[2], bytes)

    fuzz(lambda rng: mutate.json_bytes(mutate.mutated(good, rng), rng), check)


def test_state_files(tmp_path: Path) -> None:
    good = {"pid": 1, "started": 1.5, "bootstrap": "127.0.0.1:1", "http": "http://127.0.0.1:2", "worker": True}

    def check(raw: bytes) -> None:
        (tmp_path / "state.json").write_bytes(raw)
        read_state(tmp_path)

    fuzz(lambda rng: mutate.json_bytes(mutate.mutated(good, rng), rng), check)
