"""Run a command that ends when its parent ends, however the parent ends: ``python -m cli.embedded.child PPID CMD ...``.

The kernel signals a child of a dead parent only if it was told to (PR_SET_PDEATHSIG); this tells it, checks that
the parent did not die in between, and becomes the command.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int) -> None:
    """Ask the kernel to end this process when its parent ends (Linux; elsewhere nothing happens)."""
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(1)


def main() -> None:
    """Become the command named by the arguments."""
    die_with_parent(int(sys.argv[1]))
    os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606 - the arguments are our own supervisor's


if __name__ == "__main__":
    main()
