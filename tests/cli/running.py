"""The csf command without a process of its own: what it prints, and its exit code, a second sooner."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from unittest.mock import patch

from click.testing import CliRunner

from cli.main import main


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


def csf(*arguments: object, **environment: str) -> Done:
    """Run a command to its end, with its errors told and its exit code chosen as ``csf`` does."""
    code: object = 0
    with (
        patch.object(sys, "argv", ["csf", *map(str, arguments)]),
        CliRunner().isolation(env=environment) as (out, err, _),
    ):
        try:
            main()
        except SystemExit as e:
            code = e.code or 0
        sys.stdout.flush()
        sys.stderr.flush()
        return Done(int(str(code)), out.getvalue().decode(), err.getvalue().decode())
