"""Processes under measurement: started on a core of their own, read from the outside."""

from __future__ import annotations

import gc
import os
import socket
import subprocess
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CLIENT_CORE: Final = 0
"""Driver, load generator and upstream."""
SERVER_CORE: Final = 1
"""Whatever is measured."""
CAN_PIN: Final = hasattr(os, "sched_setaffinity") and (os.cpu_count() or 1) > 1


def pin(core: int) -> None:
    """Run this process, and what it starts from now on, on one core, where that is possible."""
    if CAN_PIN:
        os.sched_setaffinity(0, {core})


@contextmanager
def undisturbed() -> Iterator[None]:
    """Run the block on the client's core and without pauses of the garbage collector."""
    cores = os.sched_getaffinity(0) if CAN_PIN else set()
    pin(CLIENT_CORE)
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()
        if CAN_PIN:
            os.sched_setaffinity(0, cores)


def start(
    command: Sequence[str], *, core: int, read_output: bool = False, **options: object
) -> subprocess.Popen[str]:
    """Start a process pinned to a core; its stderr goes nowhere."""
    pin(core)
    try:
        process: subprocess.Popen[str] = subprocess.Popen(
            command,
            stdin=subprocess.PIPE if read_output else subprocess.DEVNULL,
            stdout=subprocess.PIPE if read_output else subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
            **options,  # type: ignore[call-overload]
        )
    finally:
        pin(CLIENT_CORE)
    return process


def free_port() -> int:
    """Return a port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for_port(port: int, process: subprocess.Popen[str], *, within_s: float = 30.0) -> None:
    """Return once the process listens there.

    Raises:
        RuntimeError: It ended instead; its command, run by hand, says why.
    """
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        if process.poll() is not None:
            raise RuntimeError(f"ended with {process.returncode}: {process.args!r}")
        time.sleep(0.01)
    raise TimeoutError(f"nothing listens on port {port} after {within_s:.0f} s")


@contextmanager
def stopping(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """Stop the process, and wait for it, when the block ends."""
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


@dataclass(frozen=True, slots=True)
class Gauge:
    """What the kernel says of a process and its children."""

    pid: int

    def cpu_s(self) -> float:
        """Return user and system seconds used so far (`/proc/PID/stat`, 10 ms steps)."""
        return sum(sum(process.cpu_times()[:2]) for process in self._family())

    def rss_bytes(self) -> int:
        """Return resident bytes."""
        return sum(process.memory_info().rss for process in self._family())

    def _family(self) -> list[psutil.Process]:
        process = psutil.Process(self.pid)
        return [process, *process.children(recursive=True)]
