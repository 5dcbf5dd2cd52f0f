"""The file that defines a service: written whole or not at all, with the owner it must have."""

from __future__ import annotations

import contextlib
import os
import tempfile
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

DEFINITION_MODE: Final = 0o644
"""launchd refuses a file that its group or others may write. Source: launchctl(1), `load`."""


def write_definition(path: Path, data: bytes, owner: tuple[int, int] | None = None) -> None:
    """Put a definition in its place; whoever reads it meanwhile sees the old one or the new one.

    Args:
        path: Its place; missing folders are made.
        data: All of it.
        owner: User and group; by default whoever runs this.

    Raises:
        OSError: It could not be written; what was there is untouched.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            os.fchmod(file.fileno(), DEFINITION_MODE)
            if owner is not None:
                os.fchown(file.fileno(), *owner)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)  # noqa: PTH105 - mkstemp's name is a text
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)  # noqa: PTH108 - as above
        raise


def read_definition(path: Path) -> bytes | None:
    """Return a definition; None if there is none.

    Raises:
        OSError: It is there and cannot be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
