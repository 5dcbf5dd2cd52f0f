"""Where and with what a benchmark ran."""

from __future__ import annotations

import os
import platform
import sys
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

from ccproxy import __version__

PACKAGES = ("anthropic", "litellm", "uvicorn")


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
    """Return versions of what took part on this side."""
    python = ".".join(map(str, sys.version_info[:3]))
    packages = {name: version(name) for name in PACKAGES}
    return {"ccproxy": __version__, "python": python, **packages}


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
