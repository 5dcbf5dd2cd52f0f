"""What this machine has: memory, cores, system.

Sources: `sysctl hw.memsize hw.ncpu iogpu.wired_limit_mb` and `sw_vers -productVersion` on macOS,
/proc/meminfo elsewhere.
"""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ccproxy.setup.arithmetic import BYTES_PER_GIB, model_memory_gib

if TYPE_CHECKING:
    from ccproxy.setup.commands import RunCommand

MACOS: Final = "Darwin"
MEMINFO: Final = Path("/proc/meminfo")
_KIB_PER_GIB: Final = 2**20


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine as its system describes it."""

    system: str
    """`Darwin` or `Linux`, as `uname` says it."""
    version: str
    """Of macOS, e.g. `15.6.1`; elsewhere of the kernel."""
    ram_gib: float | None
    """None where the system does not say."""
    cores: int
    wired_limit_mib: int = 0
    """`iogpu.wired_limit_mb`: what an operator gave the GPU; 0 is macOS's own share."""

    @property
    def is_macos(self) -> bool:
        """True on a Mac."""
        return self.system == MACOS

    @property
    def wired_limit_gib(self) -> float | None:
        """What an operator gave the GPU; None is macOS's own share, or an unknown memory."""
        return self.memory_gib if self.wired_limit_mib > 0 else None

    @property
    def memory_gib(self) -> float | None:
        """What models can have of the memory."""
        if self.ram_gib is None:
            return None
        return model_memory_gib(self.ram_gib, self.wired_limit_mib)


def read_machine(run: RunCommand, *, system: str | None = None, meminfo: Path = MEMINFO) -> Machine:
    """Ask the system about itself.

    Args:
        run: Runs its programs.
        system: As `uname` says it; this machine's by default.
        meminfo: Linux's account of its memory.
    """
    system = system or platform.system()
    cores = os.cpu_count() or 1
    if system != MACOS:
        return Machine(system, platform.release(), _meminfo_gib(meminfo), cores)
    told = parse_sysctl(run(("sysctl", "hw.memsize", "hw.ncpu", "iogpu.wired_limit_mb")) or "")
    if "hw.memsize" not in told:  # sysctl fails as a whole where it does not know one name
        told |= parse_sysctl(run(("sysctl", "hw.memsize", "hw.ncpu")) or "")
    memory_bytes = told.get("hw.memsize")
    return Machine(
        system,
        (run(("sw_vers", "-productVersion")) or "").strip(),
        None if memory_bytes is None else memory_bytes / BYTES_PER_GIB,
        told.get("hw.ncpu", cores),
        told.get("iogpu.wired_limit_mb", 0),
    )


def parse_sysctl(text: str) -> dict[str, int]:
    """Return the numbers among lines of `name: value`."""
    numbers: dict[str, int] = {}
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if value.strip().isascii() and value.strip().isdigit():
            numbers[name.strip()] = int(value)
    return numbers


def parse_meminfo(text: str) -> float | None:
    """Return `MemTotal` in GiB."""
    for line in text.splitlines():
        name, _, value = line.partition(":")
        number = value.split()[:1]
        if name == "MemTotal" and number and number[0].isdigit():
            return int(number[0]) / _KIB_PER_GIB
    return None


def _meminfo_gib(path: Path) -> float | None:
    try:
        return parse_meminfo(path.read_text())
    except OSError:
        return None
