"""The few things that `ccproxy doctor --fix` does by itself: they lose nothing and open nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ccproxy.replaced_files import make_folder

if TYPE_CHECKING:
    from pathlib import Path


class Repair(Protocol):
    """Something that can be put right without asking."""

    def __call__(self) -> str:
        """Do it, and return what was done.

        Raises:
            OSError: It cannot be done.
        """


@dataclass(frozen=True, slots=True)
class TakeAway:
    """Take permissions away from a file or folder; none are ever given."""

    path: Path
    bits: int

    def __call__(self) -> str:
        """Clear the bits."""
        mode = self.path.stat().st_mode & 0o7777
        self.path.chmod(mode & ~self.bits)
        return f"{self.path}: mode {mode:04o} is {mode & ~self.bits:04o} now"


@dataclass(frozen=True, slots=True)
class MakeFolder:
    """Make a folder for its owner alone."""

    path: Path

    def __call__(self) -> str:
        """Make it, and those above it."""
        make_folder(self.path)
        return f"{self.path}: made, for its owner alone"
