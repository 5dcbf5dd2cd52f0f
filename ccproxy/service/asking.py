"""Running the system's own tools, and waiting for what they bring about."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ccproxy.service.problems import ServiceError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

TOOL_S: Final = 60.0
"""How long a tool may take; most answer at once, `systemctl start` waits for the start."""
_FIRST_PAUSE_S: Final = 0.05
_LONGEST_PAUSE_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Answer:
    """How a tool ended."""

    code: int
    out: str
    error: str
    """What it said of its failure, in one line."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long is waited for what, in seconds."""

    start_s: float = 60.0
    """Until the proxy answers. A mini under load takes 10 s to import everything."""
    stop_s: float = 45.0
    """Until a stopped service is gone: its exit timeout of 30 s, and some."""
    settle_s: float = 15.0
    """While launchd refuses a label that it is still letting go of; 5 s were seen."""


def ask(command: Sequence[str], timeout_s: float = TOOL_S) -> Answer:
    """Run a tool to its end, with nothing to read.

    Raises:
        ServiceError: It cannot be started or does not end in time.
    """
    try:
        done = subprocess.run(  # noqa: S603 - our own arguments, no shell
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        line = " ".join(command)
        raise ServiceError(f"`{line}` did not end within {timeout_s:.0f} s") from None
    except OSError as error:
        raise ServiceError(f"cannot run {command[0]}: {error.strerror}") from error
    return Answer(done.returncode, done.stdout, "; ".join(done.stderr.split("\n")).strip("; "))


def comes_true(check: Callable[[], bool], within_s: float) -> bool:
    """Return whether `check` holds within a time; it is asked now, and then ever more rarely."""
    deadline = time.monotonic() + within_s
    pause_s = _FIRST_PAUSE_S
    while not check():
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            return False
        time.sleep(min(pause_s, left_s))
        pause_s = min(pause_s * 1.5, _LONGEST_PAUSE_S)
    return True
