"""Where the console's reports come from: a child process each (``cli.report_child``), so that no viewer is held up."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence
from typing import Any

import msgspec

from agents.console.reports import Built
from cli.settings import Settings
from pipeline.errors import ConfigError, ServiceUnavailable
from reports.issues import Issues
from reports.reading import LATEST

#: Longest time a report may take; it takes a few seconds.
_LONGEST_S = 120.0
_SAID = 2_000


class ChildReports:
    """Builds reports in processes of their own; implements ``agents.console.reports.ReportSource``.

    Args:
        settings: of the installation whose values are reported.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def built(self, month: str | None, scope: str) -> Built:
        """Return the report of a month and a scope; see the protocol."""
        return _built(await self._child("built", month or LATEST, scope))

    async def issue(self, number: int) -> Built:
        """Return an issued report; see the protocol."""
        return _built(await self._child("issue", str(number)))

    async def rendered(self, document: bytes, form: str) -> bytes:
        """Return a report's data file in another form; see the protocol."""
        return await self._child("rendered", form, given=document)

    async def issues(self) -> Sequence[dict[str, Any]]:
        """Return what each issued report is, newest first; see the protocol."""
        entries = await asyncio.to_thread(Issues(self._settings.issues_path).entries)
        return [
            {
                "number": e.issue.number, "at": e.issue.at, "by": e.issue.by, "month": e.month, "scope": e.scope,
                "scope_name": e.scope_name, "state": e.state, "revision": e.revision,
            }
            for e in reversed(entries)
        ]  # fmt: skip

    async def _child(self, *arguments: str, given: bytes | None = None) -> bytes:
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "cli.report_child", *arguments,
            stdin=asyncio.subprocess.PIPE if given is not None else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            env={**os.environ, **self._settings.environment()},
        )  # fmt: skip
        try:
            out, err = await asyncio.wait_for(child.communicate(given), _LONGEST_S)
        except TimeoutError:
            raise ServiceUnavailable(f"the report was not built within {_LONGEST_S:g} s; try again later") from None
        finally:
            if child.returncode is None:
                child.kill()
        if child.returncode == 0:
            return out
        said = err.decode(errors="replace").strip().splitlines()
        sentence = said[-1][:_SAID] if said else f"exit code {child.returncode}"
        if child.returncode == 2:
            raise ConfigError(sentence)
        raise ServiceUnavailable(f"the report could not be built: {sentence}")


def _built(answer: bytes) -> Built:
    return msgspec.msgpack.decode(answer, type=Built)
