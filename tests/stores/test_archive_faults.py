"""The raw event archive through damage, crashes and a full disk: nothing that was flushed is lost, and what is damaged is named."""

import json
import logging
import re

import pytest

from pipeline.archive import ArchiveDamaged, ArchiveError, ArchiveFull, ArchiveReader, ArchiveWriter
from pipeline.archive.blocks import FILE_HEADER_BYTES
from tests.stores.archived import TOPIC, files, fill, offsets, value
from tests.stores.children import killed_after, run


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
            from tests.stores.archived import TOPIC, value
            writer = ArchiveWriter(sys.argv[1], TOPIC, 0, max_bytes=30_000)
            offset = writer.last_offset + 1
            while True:
                for offset in range(offset, offset + 50):
                    writer.append(offset, 1_000 * offset, value(offset))
                writer.flush()
                print(offset, flush=True)
                offset += 1
            """
        for round_number in range(4):
            acknowledged = killed_after(run(code, str(tmp_path)), 15 + round_number)
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
            from tests.stores.archived import TOPIC, value
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
