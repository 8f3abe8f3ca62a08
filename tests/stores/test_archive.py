"""The raw event archive: what goes in comes out, once, whatever file it is in."""

import os
import subprocess

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.archive import ArchivedRecord, ArchiveError, ArchiveReader, ArchiveWriter
from pipeline.archive.blocks import FILE_HEADER_BYTES
from tests.stores.archived import TOPIC, files, fill, offsets, value


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
