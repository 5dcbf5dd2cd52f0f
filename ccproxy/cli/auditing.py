"""Commands that change who may do what are in the audit log."""

import getpass
from pathlib import Path

from ccproxy.cli.output import remark
from ccproxy.observability.audit_log import FILE_NAME, note_command


def note(beside: Path, command: str) -> None:
    """Take note of a change that is made; where that fails a remark says so.

    Args:
        beside: The tokens file, or what else is in the state folder; the log is beside it.
        command: In short, e.g. `token revoke ci`.
    """
    path = beside.parent / FILE_NAME
    try:
        note_command(path, _user(), command)
    except OSError as error:
        remark(f"warning: not in the audit log {path}: {error.strerror or error}")


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return "unknown"
