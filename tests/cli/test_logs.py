"""Logs of long-running processes stay bounded while the process goes on writing."""

from pathlib import Path

from cli.embedded.instance import trim_log


def test_a_log_begins_anew_and_its_writer_goes_on(tmp_path: Path) -> None:
    log = tmp_path / "worker.log"
    trim_log(log)
    assert not log.exists()
    with log.open("ab", buffering=0) as writer:
        writer.write(b"x" * 100)
        trim_log(log, most=100)
        assert log.stat().st_size == 100
        writer.write(b"y")
        trim_log(log, most=100)
        writer.write(b"z")
        assert log.read_bytes() == b"z"
        assert log.with_suffix(".log.1").read_bytes() == b"x" * 100 + b"y"
