"""Lines in a file of bounded size, with a bounded number of older files beside it.

`decisions.jsonl` is the newest, `decisions.jsonl.1` the one before it, and so on.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from ccproxy.replaced_files import give_to_owner, make_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class RotatedFile:
    """Appends to one file, for the owner only; several processes may do so at once.

    Root follows no symbolic link, and a file that it begins is the folder's owner's.
    All methods block and belong into a thread.
    """

    def __init__(self, path: Path, *, max_bytes: int, older: int) -> None:
        """Open nothing yet.

        Args:
            path: The newest file; its folder is made if it is missing.
            max_bytes: From there on a new file is begun.
            older: How many older files are kept.
        """
        self.path = path
        self._max_bytes = max_bytes
        self._older = older
        self._descriptor: int | None = None
        self._is_torn = False

    def append(self, lines: bytes | bytearray) -> None:
        """Write whole lines.

        Raises:
            OSError: They could not be written, or only a part of them; the next append begins on
                a new line.
        """
        descriptor = self._open_present()
        size = os.fstat(descriptor).st_size
        if size and size + len(lines) > self._max_bytes:
            self._rotate()
            descriptor = self._open_present()
        waiting = memoryview(b"\n" + lines if self._is_torn else lines)
        self._is_torn = True
        while waiting:
            waiting = waiting[os.write(descriptor, waiting) :]
        self._is_torn = False

    def close(self) -> None:
        """Close the file; the next append opens it again."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _open_present(self) -> int:
        """Return the file that stands at the path now, which may have been moved or removed."""
        if self._descriptor is not None:
            ours = os.fstat(self._descriptor)
            with contextlib.suppress(OSError):
                if os.path.samestat(ours, self.path.stat()):
                    return self._descriptor
            self.close()
        make_folder(self.path.parent)
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        if os.geteuid() == 0:
            # Whoever owns the folder could have root write to any file of the system.
            flags |= os.O_NOFOLLOW
        try:
            descriptor = os.open(self.path, flags | os.O_EXCL, 0o600)
        except FileExistsError:
            descriptor = os.open(self.path, flags, 0o600)
        else:
            give_to_owner(descriptor, self.path.parent.stat())
        self._descriptor = descriptor
        size = os.fstat(descriptor).st_size
        # Whoever wrote it last may have died in the middle of a line.
        self._is_torn = bool(size) and os.pread(descriptor, 1, size - 1) != b"\n"
        return descriptor

    def _rotate(self) -> None:
        self.close()
        for number in range(self._older, 0, -1):
            newer = _numbered(self.path, number - 1)
            with contextlib.suppress(FileNotFoundError):
                newer.replace(_numbered(self.path, number))


def read_lines(path: Path, *, modified_since: float = 0.0) -> Iterator[bytes]:
    """Yield the lines of all files, oldest first, without their ends; none where there is no file.

    A rotation meanwhile neither loses nor repeats one.

    Args:
        path: The newest file.
        modified_since: Unix time; files that were last written before it are left out.

    Raises:
        OSError: A file cannot be read.
    """
    with contextlib.ExitStack() as stack:
        opened = []
        seen = set()
        # Newest first: a file that moves on meanwhile is met again, not missed.
        for each in (path, *_older_files(path)):
            try:
                file = stack.enter_context(each.open("rb"))
            except FileNotFoundError:
                continue
            found = os.fstat(file.fileno())
            if (found.st_dev, found.st_ino) in seen or found.st_mtime < modified_since:
                continue
            seen.add((found.st_dev, found.st_ino))
            opened.append(file)
        for file in reversed(opened):
            for line in file:
                yield line.rstrip(b"\n")


def _older_files(path: Path) -> Iterator[Path]:
    """Yield the numbers that may be there, and one more for a rotation meanwhile."""
    present = [
        int(suffix)
        for each in path.parent.glob(f"{path.name}.*")
        if (suffix := each.name.removeprefix(f"{path.name}.")).isdecimal()
    ]
    for number in range(1, max(present, default=0) + 2):
        yield _numbered(path, number)


def _numbered(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}") if number else path
