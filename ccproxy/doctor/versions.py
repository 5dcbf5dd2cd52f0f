"""Versions that are known to be bad, with who says so."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ccproxy.doctor.finding import Finding, Level, error, ok, warning
from ccproxy.health.ollama_version import version_warning

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

_RELEASE: Final = re.compile(r"v?(\d+)\.(\d+)(?:\.(\d+))?")


@dataclass(frozen=True, slots=True)
class BadVersion:
    """Versions of one program that nobody should run."""

    program: str
    below: tuple[int, int, int] | None
    """Every release before this one is bad."""
    exactly: tuple[str, ...]
    """Besides, or instead."""
    level: Level
    means: str
    source: str


KNOWN_BAD: Final = (
    BadVersion(
        "litellm",
        None,
        ("1.82.7", "1.82.8"),
        Level.ERROR,
        "it was published by thieves: it sends every credential it finds to them",
        "BerriAI/litellm#24512; docs.litellm.ai/blog/security-update-march-2026",
    ),
    BadVersion(
        "litellm",
        (1, 101, 0),
        ("1.106.0", "1.106.1", "1.106.2"),
        Level.ERROR,
        "tool calls of local models are lost or end wrongly",
        "BerriAI/litellm#34692",
    ),
    BadVersion(
        "python-jose",
        (3, 4, 0),
        (),
        Level.ERROR,
        "tokens can be forged by confusing algorithms",
        "CVE-2024-33663, CVE-2024-33664",
    ),
    BadVersion(
        "starlette",
        (1, 3, 1),
        (),
        Level.WARNING,
        "requests can make it work for minutes, or mislead it about their host",
        "CVE-2025-62727, CVE-2026-48710, CVE-2026-54283",
    ),
    BadVersion(
        "ollama",
        (0, 1, 34),
        (),
        Level.ERROR,
        "whoever reaches it can run programs on this machine",
        "CVE-2024-37032",
    ),
    BadVersion(
        "ollama",
        (0, 17, 1),
        (),
        Level.WARNING,
        "whoever reaches it can read prompts and keys from its memory by a crafted model file",
        "CVE-2026-7482",
    ),
    BadVersion(
        "ollama",
        None,
        ("0.9.1",),
        Level.ERROR,
        "tool calls of qwen3 get lost",
        "ollama/ollama#11112",
    ),
)
STOLEN_PTH: Final = "litellm_init.pth"
"""What the stolen litellm left behind, run at every start of Python, also after an upgrade. Source:
BerriAI/litellm#24512."""
LEAST_PYTHON: Final = (3, 11)


def is_bad(version: str, bad: BadVersion) -> bool:
    """Return whether a version is one of the bad ones; what cannot be read is not."""
    found = _RELEASE.match(version)
    if version in bad.exactly:
        return True
    if found is None or bad.below is None:
        return False
    release = (int(found[1]), int(found[2]), int(found[3] or 0))
    # A build of one's own calls itself 0.0.0.
    return (0, 0, 0) < release < bad.below


def check_packages(installed: Mapping[str, str], pth_files: Iterable[Path]) -> Iterator[Finding]:
    """Judge what ccproxy itself runs on.

    Args:
        installed: Versions of Python packages, by name.
        pth_files: The `.pth` files of this environment.
    """
    findings = [
        finding for name, version in installed.items() for finding in _judged(name, version)
    ]
    for file in pth_files:
        if file.name == STOLEN_PTH:
            what = f"{file} is what a stolen litellm left behind"
            means = "it runs at every start of Python and sends credentials to thieves"
            findings.append(
                error("versions", what, means, f"rm {file}, make setup anew, and change every key")
            )
    yield from findings
    if not findings:
        names = ", ".join(f"{name} {version}" for name, version in sorted(installed.items()))
        python = ".".join(map(str, sys.version_info[:3]))
        yield ok("versions", f"Python {python}, {names}")


def check_ollama_version(version: str) -> Iterator[Finding]:
    """Judge an Ollama by its version."""
    findings = list(_judged("ollama", version))
    cuts = version_warning(version)
    if cuts is not None:
        fix = "brew upgrade ollama, or fetch the app from ollama.com/download"
        findings.append(error("ollama", f"Ollama {version}", cuts, fix))
    yield from findings or [ok("ollama", f"Ollama {version}")]


def _judged(program: str, version: str) -> Iterator[Finding]:
    for bad in KNOWN_BAD:
        if bad.program != program or not is_bad(version, bad):
            continue
        fix = "make setup" if program != "ollama" else "brew upgrade ollama, or fetch the new app"
        check = "ollama" if program == "ollama" else "versions"
        what = f"{program} {version} is known to be bad"
        make = error if bad.level is Level.ERROR else warning
        yield make(check, what, f"{bad.means} ({bad.source})", fix)
