"""Runs a client program to its end without blocking the event loop that serves it.

The simulators and the proxy run in the test's own loop, so a client in another process must be
awaited. A program that outlives its time is killed together with its children.
"""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Ended:
    """What a program left behind."""

    exit_code: int
    stdout: str
    stderr: str


async def run_program(
    command: Sequence[str | Path],
    *,
    environment: Mapping[str, str],
    folder: Path,
    timeout_s: float,
) -> Ended:
    """Run a command with exactly this environment, no stdin, in `folder`.

    Raises:
        AssertionError: It did not end in time; the message has what it said so far.
    """
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=dict(environment),
        cwd=folder,
        start_new_session=True,
        limit=2**24,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    said = [bytearray(), bytearray()]
    try:
        async with asyncio.timeout(timeout_s):
            await asyncio.gather(
                _collect(process.stdout, said[0]), _collect(process.stderr, said[1])
            )
            await process.wait()
    except TimeoutError:
        heard = b" | ".join(bytes(part[-2000:]) for part in said).decode(errors="replace")
        raise AssertionError(f"{command[0]} still ran after {timeout_s} s: {heard}") from None
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    stdout, stderr = (bytes(part).decode(errors="replace") for part in said)
    return Ended(process.returncode or 0, stdout, stderr)


async def _collect(stream: asyncio.StreamReader, into: bytearray) -> None:
    while chunk := await stream.read(65536):
        into.extend(chunk)
