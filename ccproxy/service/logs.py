"""The last lines of a log file, and those that come after them."""

from __future__ import annotations

import os
from typing import IO, TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

_BLOCK_BYTES: Final = 64 * 1024
_TAIL_BYTES: Final = 16 * 1024 * 1024
"""How far back the last lines are looked for."""
_LINE_BYTES: Final = 1024 * 1024
"""A line without an end is shown in pieces of this size."""


def last_lines(path: Path, count: int, since: int = 0) -> list[str]:
    """Return at most `count` of a file's last lines, none that begins before byte `since`.

    A file that is not there has none.
    """
    try:
        with path.open("rb") as file:
            return _lines(_tail(file, count, since))[-count:] if count else []
    except FileNotFoundError:
        return []


def size_of(path: Path) -> int:
    """Return a file's size in bytes; 0 if it is not there."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


class Follower:
    """Reads what is appended to a file, also after it was moved away, emptied or made anew."""

    def __init__(self, path: Path) -> None:
        """Begin at the file's present end; the file may come later."""
        self._path = path
        self._file: IO[bytes] | None = None
        self._torn = b""
        if self._open():
            self._present().seek(0, os.SEEK_END)

    def read(self) -> list[str]:
        """Return the lines that were finished since the last call; never waits."""
        lines = self._read_on()
        while self._was_replaced():
            # What was written between the last look and the change of files.
            lines += self._read_on()
            lines += _lines(self._torn)
            self.close()
            if not self._open():
                break
            lines += self._read_on()
        return lines

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
        self._file = None
        self._torn = b""

    def _open(self) -> bool:
        try:
            self._file = self._path.open("rb")
        except FileNotFoundError:
            return False
        return True

    def _present(self) -> IO[bytes]:
        assert self._file is not None  # noqa: S101 - its callers have opened it
        return self._file

    def _read_on(self) -> list[str]:
        if self._file is None:
            return []
        if self._file.tell() > os.fstat(self._file.fileno()).st_size:
            self._file.seek(0)  # emptied in place
        data = self._torn + self._file.read()
        end = data.rfind(b"\n") + 1
        if not end and len(data) > _LINE_BYTES:
            end = len(data)
        self._torn = data[end:]
        return _lines(data[:end])

    def _was_replaced(self) -> bool:
        """Return whether another file stands at the path, or the first one has come."""
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return False
        return self._file is None or not os.path.samestat(there, os.fstat(self._file.fileno()))


def _tail(file: IO[bytes], count: int, since: int) -> bytes:
    """Return the end of a file: `count` lines or more, if it has them."""
    position = file.seek(0, os.SEEK_END)
    first = max(since, position - _TAIL_BYTES)
    data = b""
    while position > first and data.count(b"\n") <= count:
        start = max(first, position - _BLOCK_BYTES)
        file.seek(start)
        data = file.read(position - start) + data
        position = start
    return data


def _lines(data: bytes) -> list[str]:
    """Return lines that a terminal shows and does not obey."""
    return [harmless(line) for line in data.decode(errors="replace").splitlines()]


def harmless(line: str) -> str:
    """Return a line without control characters; what a program prints may hold any."""
    return "".join(each if each.isprintable() or each == "\t" else "\ufffd" for each in line)
