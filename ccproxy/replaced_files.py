"""Files that are replaced whole: a reader sees the old content or the new one, never a part."""

from __future__ import annotations

import os
import secrets
import stat
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

OWNER_ONLY: Final = 0o600
"""Mode of files that are nobody else's business."""


def replace_file(path: Path, content: bytes, *, mode: int | None = None) -> None:
    """Write `content` to a new file beside `path`, and put it there once it is on the disk.

    Until then nobody but its owner can read it. A file that root replaces stays its owner's: with
    `sudo` somebody edits what a service reads that runs as another user.

    Args:
        path: May be a symbolic link, which stays one; its folder must exist.
        content: All of the file.
        mode: Permission bits; None keeps those of the present file (0644 for a new one).

    Raises:
        OSError: It cannot be written; the present file is untouched.
    """
    target = path.resolve()
    before = target.stat() if target.exists() else None
    if mode is None:
        mode = 0o644 if before is None else stat.S_IMODE(before.st_mode)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if before is not None and os.geteuid() == 0:
                os.fchown(file.fileno(), before.st_uid, before.st_gid)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(mode)
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
