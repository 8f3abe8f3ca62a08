"""Killed in the middle of writing, several at a time: nothing that was acknowledged is lost, nothing is half there."""

import os
import signal
import subprocess
import sys
import textwrap

from pipeline.report.register import entry_bytes, fold_sips
from pipeline.stores.register_sqlite import SqliteRegister
from tests.paths import ROOT

#: Adds entries as fast as it can and says each id only after it was acknowledged.
_WRITER = textwrap.dedent(
    """
    import sys
    from pipeline.stores.register_sqlite import SqliteRegister
    from tests.stores.entries import entry

    name, number = sys.argv[2], 0
    register = SqliteRegister(sys.argv[1], busy_timeout_s=60)
    while True:
        number += 1
        register.append(entry(number, id=f"{name}-{number}", subject=f"SIP-{name}", why=name * 500))
        print(f"{name}-{number}", flush=True)
    """
)
_WRITERS, _KILLS, _ACKNOWLEDGED = 3, 4, 15


def _killed_while_writing(path, round_: int) -> set[str]:
    """Run writers, kill them all at once in the middle, and return what they had said was there."""
    running = [
        subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(path), f"{round_}{name}"],
            cwd=ROOT, stdout=subprocess.PIPE, text=True,
        )
        for name in "ABCDEFG"[:_WRITERS]
    ]  # fmt: skip
    said: set[str] = set()
    try:
        for _ in range(_ACKNOWLEDGED):
            said |= {each.stdout.readline().strip() for each in running}
    finally:
        for each in running:
            os.kill(each.pid, signal.SIGKILL)
        for each in running:
            rest, _ = each.communicate()
            # a line that the kill cut short was said of an entry that is there, but its id is not whole
            said |= set(rest.splitlines()[:-1] if not rest.endswith("\n") else rest.splitlines())
    assert "" not in said
    return said


def test_kill_9_loses_nothing_that_was_acknowledged(tmp_path):
    path = tmp_path / "register.db"
    said: set[str] = set()
    for round_ in range(_KILLS):
        said |= _killed_while_writing(path, round_)
        register = SqliteRegister(path)
        entries = register.entries()
        assert said <= {e.id for e in entries}
        # of each writer at most one entry is there that it could not say any more
        assert len(entries) - len(said) <= _WRITERS * (round_ + 1)
        assert all(len(e.why) == 500 * len(e.why[:2]) and entry_bytes(e) for e in entries)
        assert len(fold_sips(entries)) == _WRITERS * (round_ + 1)
        assert register.check().endswith(f", {len(entries)} entries")
        register.close()
    assert len(said) >= _KILLS * _WRITERS * _ACKNOWLEDGED
