"""Files that are replaced whole: a reader sees the old content or the new one, never a part."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

OWNER_ONLY: Final = 0o600
"""Mode of files that are nobody else's business."""


def look_at_file(path: Path) -> os.stat_result | None:
    """Return what is known of a regular file, links followed; None where nothing is there.

    Raises:
        OSError: Something else is there, such as a folder, a device or a pipe; it was not opened.
    """
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(found.st_mode):
        problem = "is no regular file, and is left alone; remove it, or name another place"
        raise OSError(errno.EINVAL, problem, str(path))
    return found


def give_to_owner(descriptor: int, whose: os.stat_result) -> None:
    """Give an open file to the owner of another, or of a folder; only root can, and has to.

    Raises:
        OSError: It cannot be given away.
    """
    if os.geteuid() == 0:
        os.fchown(descriptor, whose.st_uid, whose.st_gid)


def make_folder(path: Path) -> None:
    """Make a folder, and those above it that are missing, for the owner of what they are made in.

    Raises:
        OSError: It cannot be made.
    """
    missing = [each for each in (path, *path.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(mode=0o700, exist_ok=True)
        if os.geteuid() == 0:
            whose = each.parent.stat()
            # Who may change names there could have put a link in its place by now.
            os.chown(each, whose.st_uid, whose.st_gid, follow_symlinks=False)


def replace_file(path: Path, content: bytes, *, mode: int | None = None) -> None:
    """Write `content` to a new file beside `path`, and put it there once it is on the disk.

    Until then nobody but its owner can read it. A file that root replaces stays its owner's, and a
    new one is that of its folder: with `sudo` somebody edits what a service reads that runs as
    another user.

    Args:
        path: A regular file, or nothing yet. May be a symbolic link, which stays one; its folder
            must exist.
        content: All of the file.
        mode: Permission bits; None keeps those of the present file (0644 for a new one).

    Raises:
        OSError: It cannot be written, or is no regular file; what is there is untouched.
    """
    target = path.resolve()
    before = look_at_file(target)
    if mode is None:
        mode = 0o644 if before is None else stat.S_IMODE(before.st_mode)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY)
    try:
        with os.fdopen(descriptor, "wb") as file:
            give_to_owner(file.fileno(), before or target.parent.stat())
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(mode)
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
