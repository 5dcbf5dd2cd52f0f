"""Memory, disk and cores, and the version of macOS."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from ccproxy.doctor.finding import error, ok, warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ccproxy.doctor.finding import Finding
    from ccproxy.setup.machine import Machine

LEAST_RAM_GIB: Final = 15.0
"""A 16 GiB machine; smaller ones have room for one small model."""
SPARE_DISK_GIB: Final = 10.0
"""Besides the models: the ledger, logs, and what macOS itself wants free."""
LEAST_CORES: Final = 4
LEAST_MACOS: Final = 14
"""Source: Ollama docs/macos.mdx, `macOS Sonoma (v14) or newer`."""


def check_hardware(
    machine: Machine, *, memory_gib: float | None, free_disk_gib: float, to_pull_gib: float
) -> Iterator[Finding]:
    """Judge the machine.

    Args:
        machine: Itself.
        memory_gib: What models can have of its memory.
        free_disk_gib: Where the models and the state of ccproxy are.
        to_pull_gib: Size of the models that are not here yet.
    """
    yield from _memory(machine, memory_gib)
    yield from _disk(free_disk_gib, to_pull_gib)
    if machine.cores < LEAST_CORES:
        yield warning(
            "cores",
            f"{machine.cores} cores",
            "the proxy needs part of one, and Ollama wants the rest while it reads prompts",
            "let nothing else of weight run on this machine",
        )
    else:
        yield ok("cores", f"{machine.cores} cores")
    if machine.is_macos:
        yield _macos(machine.version)


def _memory(machine: Machine, memory_gib: float | None) -> Iterator[Finding]:
    if machine.ram_gib is None:
        yield ok("memory", "the system does not say how much there is")
        return
    models = f"{memory_gib or 0:.1f} GiB of it for models"
    if machine.ram_gib < LEAST_RAM_GIB:
        yield warning(
            "memory",
            f"{machine.ram_gib:.1f} GiB, {models}",
            "there is room for one small model only, with the coder's work done by it",
            "ccproxy init --profile claude-only, or a machine with 32 GiB (docs/models.md)",
        )
    else:
        yield ok("memory", f"{machine.ram_gib:.1f} GiB, {models}")


def _disk(free_gib: float, to_pull_gib: float) -> Iterator[Finding]:
    needed_gib = to_pull_gib + SPARE_DISK_GIB
    what = f"{free_gib:.0f} GiB free"
    if free_gib >= needed_gib:
        yield ok("disk", what)
        return
    fetched = (
        f"{to_pull_gib:.0f} GiB of models are still to be fetched, and " if to_pull_gib else ""
    )
    yield (error if to_pull_gib > free_gib else warning)(
        "disk",
        what,
        f"{fetched}{SPARE_DISK_GIB:.0f} GiB should stay free for the ledger, logs and the system",
        "ollama list, then `ollama rm` what nobody uses",
    )


def _macos(version: str) -> Finding:
    found = re.match(r"\d+", version)
    if found is not None and int(found[0]) < LEAST_MACOS:
        return warning(
            "macos",
            f"macOS {version}",
            f"Ollama wants macOS {LEAST_MACOS} or newer",
            "softwareupdate --list",
        )
    return ok("macos", f"macOS {version or 'of an unknown version'}")
