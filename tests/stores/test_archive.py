"""The raw event archive: what goes in comes out, through crashes, damage and a full disk."""

import hashlib
import json
import logging
import os
import re
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.archive import ArchiveDamaged, ArchivedRecord, ArchiveError, ArchiveFull, ArchiveReader, ArchiveWriter
from pipeline.archive.blocks import FILE_HEADER_BYTES
from tests.paths import ROOT

TOPIC = "csf.events.usage"


def value(offset: int, size: int = 40) -> bytes:
    """Return bytes that hardly compress and tell their offset."""
    text = hashlib.sha256(str(offset).encode()).digest()
    return (b"%d:" % offset + text * (size // 32 + 1))[:size]


def fill(writer: ArchiveWriter, first: int, last: int, size: int = 40, *, step: int = 10) -> None:
    """Append offsets first..last, one flush a step."""
    for offset in range(first, last + 1):
        writer.append(offset, 1_000 * offset, value(offset, size))
        if offset % step == 0:
            writer.flush()
    writer.flush()


def offsets(directory: Path, **options) -> list[int]:
    return [record.offset for record in ArchiveReader(directory).records(**options)]


def files(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.arc"))


def run(code: str, *arguments: str, **options) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


class TestRoundTrip:
    def test_records_come_back_in_order_of_topic_partition_offset(self, tmp_path):
        expected = []
        for topic, partition in (("b", 1), ("a", 10), ("a", 2)):
            writer = ArchiveWriter(tmp_path, topic, partition)
            fill(writer, 0, 25)
            writer.close()
            expected += [ArchivedRecord(topic, partition, o, 1_000 * o, value(o)) for o in range(26)]
        expected.sort(key=lambda r: (r.topic, r.partition, r.offset))
        assert list(ArchiveReader(tmp_path).records()) == expected
        assert {r.topic for r in ArchiveReader(tmp_path).records(topics=["b"])} == {"b"}

    @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        records=st.dictionaries(
            st.integers(0, 2**62), st.tuples(st.integers(0, 2**42), st.binary(max_size=300)), max_size=40
        ),
        cuts=st.sets(st.integers(0, 40)),
        max_bytes=st.sampled_from([1, 200, 10**6]),
    )
    def test_any_bytes_any_flushes_any_reopenings(self, tmp_path_factory, records, cuts, max_bytes):
        directory = tmp_path_factory.mktemp("archive")
        writer = ArchiveWriter(directory, TOPIC, 0, max_bytes=max_bytes)
        ordered = [(offset, *records[offset]) for offset in sorted(records)]
        for number, record in enumerate(ordered):
            assert writer.append_many([record]) == 1
            if number in cuts:
                writer.flush()
            if number - 1 in cuts:
                writer.close()
                writer = ArchiveWriter(directory, TOPIC, 0, max_bytes=max_bytes)
                assert writer.append_many(ordered[: number + 1]) == 0
        writer.close()
        assert [(r.offset, r.arrival_ms, r.value) for r in ArchiveReader(directory).records()] == ordered
        assert writer.repaired_bytes == 0

    def test_time_range_includes_from_and_excludes_to(self, tmp_path):
        writer = ArchiveWriter(tmp_path, TOPIC, 0)
        fill(writer, 0, 50)
        writer.close()
        assert offsets(tmp_path, time_from_ms=10_000, time_to_ms=20_000) == list(range(10, 20))
        assert offsets(tmp_path, time_from_ms=50_001) == []
        assert offsets(tmp_path, time_to_ms=0) == []

    def test_large_values_and_batches(self, tmp_path):
        writer = ArchiveWriter(tmp_path, TOPIC, 0)
        large = [(0, 5, os.urandom(3_000_000)), (1, 6, b'[{"id": "1"}]'), (2, 7, b"")]
        writer.append_many(large)
        writer.close()
        assert [(r.offset, r.arrival_ms, r.value) for r in ArchiveReader(tmp_path).records()] == large

    def test_an_archive_that_is_not_there_is_empty(self, tmp_path):
        assert list(ArchiveReader(tmp_path / "none").records()) == []
        assert ArchiveReader(tmp_path / "none").summary() == []

    def test_what_is_flushed_can_be_read_while_writing_goes_on(self, tmp_path):
        writer = ArchiveWriter(tmp_path, TOPIC, 0)
        fill(writer, 0, 9)
        writer.append(10, 0, b"pending")
        assert offsets(tmp_path) == list(range(10))
        (file,) = files(tmp_path)
        with file.open("ab") as torn:
            torn.write(b"BLK1 half a header")
        assert offsets(tmp_path) == list(range(10))
        writer.close()


class TestIdempotence:
    def test_records_at_or_below_the_last_offset_are_skipped(self, tmp_path):
        writer = ArchiveWriter(tmp_path, TOPIC, 0)
        fill(writer, 0, 9)
        assert not writer.append(9, 0, b"again")
        assert not writer.append(3, 0, b"again")
        assert writer.append(12, 0, b"a gap is fine")
        writer.close()
        again = ArchiveWriter(tmp_path, TOPIC, 0)
        assert again.last_offset == 12
        assert again.append_many([(o, 0, b"again") for o in range(14)]) == 1
        again.close()
        assert (writer.skipped, again.skipped) == (2, 13)
        assert offsets(tmp_path) == [*range(10), 12, 13]

    def test_partitions_do_not_know_each_other(self, tmp_path):
        one, two = ArchiveWriter(tmp_path, TOPIC, 1), ArchiveWriter(tmp_path, TOPIC, 11)
        fill(one, 100, 110)
        fill(two, 0, 5)
        one.close()
        two.close()
        again = ArchiveWriter(tmp_path, TOPIC, 1)
        assert again.last_offset == 110
        again.close()

    def test_a_second_writer_is_kept_out(self, tmp_path):
        first = ArchiveWriter(tmp_path, TOPIC, 0)
        with pytest.raises(ArchiveError, match=r"another process archives csf\.events\.usage partition 0"):
            ArchiveWriter(tmp_path, TOPIC, 0)
        first.close()
        ArchiveWriter(tmp_path, TOPIC, 0).close()

    def test_last_offset_is_known_from_the_name_of_a_file_without_records(self, tmp_path):
        writer = ArchiveWriter(tmp_path, TOPIC, 0)
        fill(writer, 40, 49)
        writer.close()
        (file,) = files(tmp_path)
        with file.open("r+b") as opened:
            opened.truncate(FILE_HEADER_BYTES)
        again = ArchiveWriter(tmp_path, TOPIC, 0)
        assert again.last_offset == 39
        again.close()


class TestRotation:
    def test_files_close_by_size_with_a_checksum_that_is_right(self, tmp_path):
        writer = ArchiveWriter(tmp_path, TOPIC, 3, max_bytes=2_000)
        fill(writer, 0, 199)
        writer.close()
        closed = [f for f in files(tmp_path) if f.with_name(f.name + ".sha256").exists()]
        assert len(closed) >= len(files(tmp_path)) - 1 >= 3
        subprocess.run(["sha256sum", "-c", *[f.name + ".sha256" for f in closed]], cwd=tmp_path, check=True, stdout=-3)
        assert ArchiveReader(tmp_path).verify() == len(closed)
        assert offsets(tmp_path) == list(range(200))
        summary = ArchiveReader(tmp_path).summary()
        assert sum(s.records for s in summary) == 200
        for one in summary:
            assert one.path.name == f"{TOPIC}-00003-{one.first_offset:020d}.arc"
            assert one.first_arrival_ms == 1_000 * one.first_offset
            assert one.last_arrival_ms == 1_000 * one.last_offset
            assert one.size == one.path.stat().st_size
            assert not one.damaged

    def test_files_close_by_age_also_after_reopening(self, tmp_path):
        now = [1_000_000.0]
        writer = ArchiveWriter(tmp_path, TOPIC, 0, max_age_s=60, clock=lambda: now[0])
        fill(writer, 0, 9)
        now[0] += 59
        writer.flush()
        assert ArchiveReader(tmp_path).summary()[0].closed is False
        writer.close()
        writer = ArchiveWriter(tmp_path, TOPIC, 0, max_age_s=60, clock=lambda: now[0])
        now[0] += 2
        writer.flush()
        assert ArchiveReader(tmp_path).summary()[0].closed is True
        fill(writer, 10, 19)
        writer.close()
        assert len(files(tmp_path)) == 2
        assert offsets(tmp_path) == list(range(20))
        assert ArchiveReader(tmp_path).verify() == 1

    def test_oldest_closed_files_go_when_the_archive_is_too_large(self, tmp_path):
        writer = ArchiveWriter(tmp_path, TOPIC, 0, max_bytes=2_000, max_total_bytes=10_000)
        fill(writer, 0, 999)
        writer.close()
        left = offsets(tmp_path)
        assert left == list(range(left[0], 1000))
        assert 0 < left[0] < 999
        assert writer.removed.files > 0
        assert sum(f.stat().st_size for f in files(tmp_path)) <= 10_000 + 2_500
        assert len(list(tmp_path.glob("*.sha256"))) >= len(files(tmp_path)) - 1
        again = ArchiveWriter(tmp_path, TOPIC, 0)
        assert again.last_offset == 999
        again.close()

    def test_old_closed_files_go(self, tmp_path):
        writer = ArchiveWriter(tmp_path, TOPIC, 0, max_bytes=1_000, keep_s=3600)
        fill(writer, 0, 99)
        old = files(tmp_path)[:3]
        for file in old:
            os.utime(file, (0, 0))
        fill(writer, 100, 120)
        writer.close()
        assert writer.removed.files == 3
        assert not any(file.exists() for file in old)
        left = offsets(tmp_path)
        assert left == list(range(left[0], 121))
        assert left[0] > 0


class TestDamage:
    def test_a_torn_tail_is_cut_at_every_length(self, tmp_path, caplog):
        writer = ArchiveWriter(tmp_path, TOPIC, 0)
        fill(writer, 0, 29)
        writer.close()
        (file,) = files(tmp_path)
        whole = file.read_bytes()
        ends = [found.start() for found in re.finditer(b"BLK1", whole)] + [len(whole)]
        assert len(ends) == 5
        for length in {*ends, *range(FILE_HEADER_BYTES, len(whole), 3)}:
            file.write_bytes(whole[:length])
            caplog.clear()
            with caplog.at_level(logging.WARNING):
                again = ArchiveWriter(tmp_path, TOPIC, 0)
            end = max(e for e in ends if e <= length)
            assert again.repaired_bytes == length - end
            assert bool(caplog.records) == (length > end)
            assert file.stat().st_size == end
            fill(again, 0, 29)
            again.close()
            assert offsets(tmp_path) == list(range(30))

    def test_a_file_whose_first_bytes_never_arrived_is_nothing(self, tmp_path):
        writer = ArchiveWriter(tmp_path, TOPIC, 0, max_bytes=500)
        fill(writer, 0, 19)
        writer.close()
        (tmp_path / f"{TOPIC}-00000-{20:020d}.arc").write_bytes(b"CSFA")
        again = ArchiveWriter(tmp_path, TOPIC, 0)
        assert again.last_offset == 19
        assert again.repaired_bytes == 4
        fill(again, 0, 25)
        again.close()
        assert offsets(tmp_path) == list(range(26))

    def test_a_payload_of_zeros_at_the_end_is_cut_too(self, tmp_path):
        writer = ArchiveWriter(tmp_path, TOPIC, 0)
        fill(writer, 0, 19)
        writer.close()
        (file,) = files(tmp_path)
        whole = file.read_bytes()
        file.write_bytes(whole[:-50] + bytes(50))
        again = ArchiveWriter(tmp_path, TOPIC, 0)
        assert again.repaired_bytes > 50
        first = again.last_offset + 1
        assert 0 < first < 20
        fill(again, first, 19)
        again.close()
        assert offsets(tmp_path) == list(range(20))

    @pytest.mark.parametrize("closed", [True, False])
    def test_every_flipped_bit_is_found_and_named_or_read_past(self, tmp_path, closed):
        writer = ArchiveWriter(tmp_path, TOPIC, 0, max_bytes=1 if closed else 10**6)
        for offset in range(60):
            writer.append(offset, offset, value(offset))
            if offset % 20 == 19 and not closed:
                writer.flush()
        writer.close()
        (file,) = files(tmp_path)
        if not closed:
            # A later file: the damaged one is not the file that is still written.
            (tmp_path / f"{TOPIC}-00000-{60:020d}.arc").write_bytes(file.read_bytes()[:FILE_HEADER_BYTES])
        whole = file.read_bytes()
        for position in [*range(8), *range(FILE_HEADER_BYTES, len(whole), 7)]:
            file.write_bytes(whole[:position] + bytes([whole[position] ^ 4]) + whole[position + 1 :])
            with pytest.raises(ArchiveDamaged, match=r"\.arc is damaged at byte \d+") as caught:
                offsets(tmp_path)
            assert caught.value.path == file
            assert caught.value.position <= position
            found: list[ArchiveDamaged] = []
            rest = [r.offset for r in ArchiveReader(tmp_path, on_damage=found.append).records()]
            assert len(found) == 1
            assert len(rest) in ({0} if closed or position < 8 else {40})
            if closed:
                with pytest.raises(ArchiveDamaged, match="SHA-256"):
                    ArchiveReader(tmp_path).verify()

    def test_a_writer_leaves_a_file_with_damage_inside_and_goes_on_in_a_new_one(self, tmp_path):
        writer = ArchiveWriter(tmp_path, TOPIC, 0)
        fill(writer, 0, 29)
        writer.close()
        (file,) = files(tmp_path)
        damaged = bytearray(file.read_bytes())
        damaged[FILE_HEADER_BYTES + 60] ^= 1
        file.write_bytes(damaged)
        again = ArchiveWriter(tmp_path, TOPIC, 0)
        assert again.last_offset == 29
        fill(again, 30, 35)
        again.close()
        assert file.read_bytes() == damaged
        with pytest.raises(ArchiveDamaged, match="offsets 0 to 0"):
            offsets(tmp_path)
        found: list[ArchiveDamaged] = []
        assert [r.offset for r in ArchiveReader(tmp_path, found.append).records()] == list(range(1, 36))

    def test_a_foreign_file_is_named(self, tmp_path):
        (tmp_path / "other-00000-00000000000000000000.arc").write_text("this is no archive, but long enough")
        (tmp_path / "other-00000-00000000000000000000.arc.sha256").write_text("0" * 64)
        with pytest.raises(ArchiveDamaged, match=r"other-00000-\d+\.arc is damaged at byte 0: it does not begin"):
            offsets(tmp_path)
        with pytest.raises(ArchiveDamaged, match="SHA-256"):
            ArchiveReader(tmp_path).verify()


class TestCrash:
    def test_kill_9_loses_nothing_that_was_flushed(self, tmp_path):
        code = """
            import sys
            from pipeline.archive import ArchiveWriter
            from tests.stores.test_archive import TOPIC, value
            writer = ArchiveWriter(sys.argv[1], TOPIC, 0, max_bytes=30_000)
            offset = writer.last_offset + 1
            while True:
                for offset in range(offset, offset + 50):
                    writer.append(offset, 1_000 * offset, value(offset))
                writer.flush()
                print(offset, flush=True)
                offset += 1
            """
        acknowledged = -1
        for round_number in range(4):
            child = run(code, str(tmp_path))
            assert child.stdout is not None
            for _ in range(15 + round_number):
                line = child.stdout.readline()
                assert line, child.communicate()[1]
                acknowledged = int(line)
            os.kill(child.pid, signal.SIGKILL)
            rest = child.communicate()[0].split()
            acknowledged = int(rest[-1]) if rest else acknowledged
            found = offsets(tmp_path)
            assert found == list(range(len(found)))
            assert found[-1] >= acknowledged
        assert [r.value for r in ArchiveReader(tmp_path).records()] == [value(o) for o in found]
        assert ArchiveReader(tmp_path).verify() > 0

    def test_a_full_disk_is_said_and_survived(self, tmp_path):
        code = """
            import json, resource, sys
            from pathlib import Path
            from pipeline.archive import ArchiveFull, ArchiveWriter
            from tests.stores.test_archive import TOPIC, value
            resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
            writer = ArchiveWriter(sys.argv[1], TOPIC, 0)
            said, lost, offset = "", 0, 0
            while not said:
                try:
                    for offset in range(offset, offset + 10):
                        writer.append(offset, 0, value(offset, 500))
                    writer.flush()
                    offset += 1
                except ArchiveFull as error:
                    said, lost = str(error), error.lost
            last = writer.last_offset
            try:
                writer.append(last + 1, 0, value(last + 1, 2_000_000))
                again = ""
            except ArchiveFull as error:
                again = str(error)
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            for offset in range(last + 1, last + 31):
                assert writer.append(offset, 0, value(offset, 500))
            writer.close()
            print(json.dumps([said, lost, last, again]))
            """
        child = run(code, str(tmp_path))
        out, err = child.communicate(timeout=60)
        assert child.returncode == 0, err
        said, lost, last, again = json.loads(out)
        assert "cannot grow" in said
        assert "free space" in said
        assert str(tmp_path) in said
        assert "cannot grow" in again
        assert lost == 10
        assert offsets(tmp_path) == list(range(last + 31))
        assert ArchiveReader(tmp_path).summary()[0].damaged is False

    def test_a_directory_that_cannot_be_made_is_said(self, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(ArchiveError, match="cannot be used"):
            ArchiveWriter(tmp_path / "file" / "archive", TOPIC, 0)
        with pytest.raises(ValueError, match="no topic name"):
            ArchiveWriter(tmp_path, "../evil", 0)

    def test_full_is_an_archive_error(self):
        assert issubclass(ArchiveFull, ArchiveError)
