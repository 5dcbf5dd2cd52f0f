"""What a check found: how bad it is, what it means, and the command that puts it right."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ccproxy.doctor.repairs import Repair


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
