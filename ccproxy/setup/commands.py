"""Small programs of the system that are asked for a line or two."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

TIMEOUT_S: Final = 3.0

RunCommand: TypeAlias = Callable[[Sequence[str]], str | None]
"""Takes a program and its arguments; returns what it printed, or None where it could not be run or
failed."""


def run_command(arguments: Sequence[str]) -> str | None:
    """Run a program for a few seconds at most; its messages are in English."""
    try:
        done = subprocess.run(  # noqa: S603 - fixed names of system programs, no shell
            list(arguments),
            capture_output=True,
            timeout=TIMEOUT_S,
            check=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            env={**os.environ, "LC_ALL": "C"},
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout
