"""Taking over from a worker that was killed, without waiting until the broker misses it.

A broker keeps the membership of a killed worker for the session timeout, and lets nobody else have its partitions until then.
A worker therefore writes its member id into its data directory; the next one on that directory tells the broker that this
member has left. Only a process that holds the directory's lock does so: while the old one lives, paused or not, it has it.
"""

from __future__ import annotations

import fcntl
import json
import logging
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from kafka.admin import KafkaAdminClient, MemberToRemove
from kafka.errors import KafkaError

from agents.checkpoint import Checkpoint

_log = logging.getLogger(__name__)


class Membership:
    """The group membership of the workers of one data directory, one after the other.

    Args:
        directory: where member id and lock are kept; None, or one that another process holds: nothing is taken over.
        group: the consumer group.
    """

    def __init__(self, directory: Path | None, group: str) -> None:
        self._group = group
        self._path = directory / "member.json" if directory is not None else None
        self._lock: IO[str] | None = None
        if directory is not None:
            self._lock = _locked(directory / "member.lock")

    def succeed(self, bootstrap: str, settings: dict[str, Any]) -> bool:
        """Tell the broker that the worker before this one has left; return whether there was one to be told of.

        What goes wrong here costs time only: the broker misses it after the session timeout.
        """
        if self._lock is None or self._path is None:
            return False
        try:
            before = json.loads(self._path.read_text())
            self._path.unlink()
        except (OSError, ValueError):
            return False
        if before.get("group") != self._group or not before.get("member"):
            return False
        admin = None
        try:
            admin = KafkaAdminClient(bootstrap_servers=bootstrap.split(","), **settings)
            said = admin.remove_group_members(self._group, [MemberToRemove(member_id=before["member"])])
        except (KafkaError, OSError, ValueError) as e:
            _log.info("the broker was not told that the worker before this one has left: %s", e)
            return False
        finally:
            if admin is not None:
                admin.close()
        return any(getattr(error, "errno", -1) == 0 for error in said.values())

    def checkpoint(self, topic_id: str | None) -> Checkpoint | None:
        """Return the copy of the state in the directory, None where this process does not hold it or the topic is unknown."""
        if self._lock is None or self._path is None or topic_id is None:
            return None
        return Checkpoint(self._path.with_name("state.db"), topic_id)

    def remember(self, member: str) -> None:
        """Note the member id under which the broker knows this worker."""
        if self._lock is None or self._path is None:
            return
        fresh = self._path.with_suffix(".new")
        try:
            fresh.write_text(json.dumps({"group": self._group, "member": member}))
            fresh.replace(self._path)
        except OSError as e:
            _log.info("%s cannot be written: %s", self._path, e.strerror)

    def forget(self) -> None:
        """Note that this worker left in order."""
        if self._lock is not None and self._path is not None:
            with suppress(OSError):
                self._path.unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of the directory."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def _locked(path: Path) -> IO[str] | None:
    """Return the open lock file, None where another process holds it or it cannot be made."""
    try:
        lock = path.open("w")
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        return None
    return lock
