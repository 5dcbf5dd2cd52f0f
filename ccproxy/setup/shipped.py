"""The files that come with ccproxy and that an installation takes a copy of."""

from __future__ import annotations

from pathlib import Path
from typing import Final

ROSTER: Final = "orchestra-config.json"
PRICES: Final = "pricing.yaml"
_PACKAGE: Final = Path(__file__).parents[1]
_FOLDERS: Final = (_PACKAGE / "shipped", _PACKAGE.parent / "config")
"""In an installed wheel, and in a checkout (`pyproject.toml` puts the one into the other)."""


def shipped_file(name: str) -> Path:
    """Return where a shipped file is.

    Raises:
        FileNotFoundError: The installation is incomplete.
    """
    for folder in _FOLDERS:
        if (folder / name).is_file():
            return folder / name
    raise FileNotFoundError(2, "missing from this installation of ccproxy; install it anew", name)
