"""What a check found: how bad it is, what it means, and the command that puts it right."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

    from ccproxy.doctor.repairs import Repair

_INIT: Final = re.compile(r"\bccproxy init\b")
_OF_A_CONFIG: Final = re.compile(r"\bccproxy (?:config|models|routes|secret|token) [a-z]+\b")


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    """Also for what could not be seen and need not be."""
    WARNING = "warning"
    """Something will be slow, wasteful or unsafe, or stop working some day."""
    ERROR = "error"
    """Requests fail, or a secret lies open."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    check: str
    """What was looked at, e.g. `power`."""
    level: Level
    what: str
    """What is so."""
    means: str = ""
    """What follows from it; empty for what is in order."""
    fix: str = ""
    """The command, or the edit, that puts it right."""
    repair: Repair | None = None
    """What `--fix` does about it; None where a person has to."""


def ok(check: str, what: str) -> Finding:
    """Return a finding of something in order."""
    return Finding(check, Level.OK, what)


def warning(check: str, what: str, means: str, fix: str, repair: Repair | None = None) -> Finding:
    """Return a finding that ought to be put right."""
    return Finding(check, Level.WARNING, what, means, fix, repair)


def error(check: str, what: str, means: str, fix: str, repair: Repair | None = None) -> Finding:
    """Return a finding that must be put right."""
    return Finding(check, Level.ERROR, what, means, fix, repair)


def with_config(finding: Finding, config: Path) -> Finding:
    """Return a finding whose commands act on the installation of a config file."""
    option = f" --config {shlex.quote(str(config))}"
    folder = f" --dir {shlex.quote(str(config.parent))}"

    def told(text: str) -> str:
        text = _OF_A_CONFIG.sub(lambda command: command[0] + option, text)
        return _INIT.sub(lambda command: command[0] + folder, text)

    return replace(finding, what=told(finding.what), fix=told(finding.fix))
