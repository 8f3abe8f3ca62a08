"""Other processes that write while a test looks on, or kills them."""

import os
import signal
import subprocess
import sys
import textwrap
from typing import Any

from tests.paths import ROOT


def run(code: str, *arguments: str, **options: Any) -> subprocess.Popen[str]:
    """Start a Python process that runs code, with its arguments from ``sys.argv[1]`` on and its output piped."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def killed_after(child: subprocess.Popen[str], lines: int) -> int:
    """Kill a child once it wrote so many lines; return the number that its last line says, also of those written meanwhile."""
    assert child.stdout is not None
    said = -1
    for _ in range(lines):
        line = child.stdout.readline()
        assert line, child.communicate()[1]
        said = int(line)
    os.kill(child.pid, signal.SIGKILL)
    rest = child.communicate()[0].split()
    return int(rest[-1]) if rest else said
