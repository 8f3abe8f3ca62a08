"""Other processes that write while a test looks on, or kills them."""

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
