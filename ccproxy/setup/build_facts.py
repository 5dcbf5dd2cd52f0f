"""Which commit this installation was made of."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

_PACKAGE: Final = Path(__file__).parents[1]
_WRITTEN: Final = _PACKAGE / "shipped" / "commit.txt"
"""In a wheel: `hatch_build.py` puts it there."""
_GIT: Final = ("git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*")
_TIMEOUT_S: Final = 2.0


def commit() -> str | None:
    """Return the commit's abbreviated hash, with `-dirty` behind it if files differed from it.

    None where nobody knows: neither a wheel built in a checkout, nor a checkout with git.
    """
    if _WRITTEN.is_file():
        return _WRITTEN.read_text(encoding="ascii").strip() or None
    checkout = _PACKAGE.parent
    if not (checkout / ".git").exists():
        return None
    try:
        done = subprocess.run(  # noqa: S603 - no shell, and nothing from outside in it
            _GIT, cwd=checkout, capture_output=True, text=True, timeout=_TIMEOUT_S, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
