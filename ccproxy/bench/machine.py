"""Where and with what a benchmark ran."""

from __future__ import annotations

import os
import platform
import re
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Final

from ccproxy import __version__

_NAME: Final = re.compile(r"[\w.-]+")


def machine() -> dict[str, object]:
    """Return what tells machines apart; no name of a host or person is in it."""
    found: dict[str, object] = {
        "system": platform.system(),
        "release": platform.release(),
        "architecture": platform.machine(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": _memory_gib(),
    }
    with suppress(OSError):
        found["load_1m_before"] = round(os.getloadavg()[0], 2)
    return found


def versions() -> dict[str, str]:
    """Return versions of what took part on this side: Python, this program, what it is built on."""
    found = {"ccproxy": __version__, "python": platform.python_version()}
    for requirement in requires("ccproxy") or ():
        name = _NAME.match(requirement)
        if name is not None and "extra ==" not in requirement:
            with suppress(PackageNotFoundError):  # not needed by this version of Python
                found[name[0]] = version(name[0])
    return found


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def _memory_gib() -> float | None:
    with suppress(OSError, ValueError):
        size_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return round(size_bytes / 2**30, 1)
    return None
