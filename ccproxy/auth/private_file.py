"""Files that are their owner's alone, replaced whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ccproxy.replaced_files import OWNER_ONLY, make_folder, replace_file

if TYPE_CHECKING:
    from pathlib import Path


def write_private(path: Path, content: bytes) -> None:
    """Replace a file as `replace_file` does, for its owner only, in a folder that may be missing.

    Raises:
        OSError: It cannot be written; then the old file is as it was.
    """
    make_folder(path.resolve().parent)
    replace_file(path, content, mode=OWNER_ONLY)
