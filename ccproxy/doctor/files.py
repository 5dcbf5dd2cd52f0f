"""Who may read and write the files of an installation, and whether their folders are there."""

from __future__ import annotations

import shlex
import stat
from typing import TYPE_CHECKING, Final

from ccproxy.config.locate import ledger_file
from ccproxy.doctor.finding import error, ok, warning
from ccproxy.doctor.repairs import MakeFolder, TakeAway

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ccproxy.config.settings import Settings
    from ccproxy.doctor.finding import Finding
    from ccproxy.doctor.repairs import Repair

WRITE_BY_OTHERS: Final = stat.S_IWGRP | stat.S_IWOTH
ANY_BY_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


def is_open(path: Path) -> bool:
    """Return whether others than its owner have anything to do with a file."""
    return bool(_mode(path) & ANY_BY_OTHERS)


def closing(path: Path) -> tuple[str, Repair]:
    """Return the command that makes a file its owner's alone, and what `--fix` does."""
    return f"chmod 600 {_quoted(path)}", TakeAway(path, ANY_BY_OTHERS)


def check_files(settings: Settings) -> Iterator[Finding]:
    """Judge modes and folders."""
    findings = [*_writable(settings), *_readable(settings), *_folders(settings)]
    yield from findings
    if not findings:
        yield ok("files", f"nobody else can change {settings.path.parent} or read its secrets")


def _writable(settings: Settings) -> Iterator[Finding]:
    """Whoever can write one of these decides where every request goes."""
    files = (settings.path, settings.routing_file, settings.roster_file)
    for path in dict.fromkeys([settings.path.parent, *files]):
        bits = _mode(path) & WRITE_BY_OTHERS
        # In a folder with the sticky bit only the owner of a file can replace it.
        if bits and not _mode(path) & stat.S_ISVTX:
            what = f"{path} can be changed by others (mode {_mode(path):04o})"
            means = "whoever changes it decides where every prompt goes"
            yield error("files", what, means, f"chmod go-w {_quoted(path)}", TakeAway(path, bits))


def _readable(settings: Settings) -> Iterator[Finding]:
    database = ledger_file(settings.ledger_url)
    log = settings.log_file.path if settings.log_file is not None else None
    if settings.auth_required and is_open(settings.tokens_file):
        path = settings.tokens_file
        what = f"{path} is open to others (mode {_mode(path):04o})"
        means = "the proxy refuses such a tokens file, and so every client"
        yield error("files", what, means, *closing(path))
    for own in [own for own in (database, log) if own is not None]:
        if is_open(own):
            what = f"{own} is open to others (mode {_mode(own):04o})"
            means = "who used what, and when, can be read by every user of this machine"
            yield warning("files", what, means, *closing(own))


def _folders(settings: Settings) -> Iterator[Finding]:
    database = ledger_file(settings.ledger_url)
    log = settings.log_file.path if settings.log_file is not None else None
    paths = [path for path in (settings.tokens_file, database, log) if path is not None]
    for folder in dict.fromkeys(path.parent for path in paths):
        if not folder.is_dir():
            what = f"{folder} does not exist"
            means = "tokens, the ledger or the log have no place"
            fix = f"mkdir -m 700 -p {_quoted(folder)}"
            yield error("files", what, means, fix, MakeFolder(folder))


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))


def _mode(path: Path) -> int:
    """Return a file's permission bits; 0 where there is none."""
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return 0
