"""Messages requests in files, for commands that ask about them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from pathlib import Path


def read_request(file: Path, name: str) -> dict[str, Any]:
    """Return the object in a JSON file; `-` reads stdin.

    Args:
        file: Where it is.
        name: What the command calls it, for messages.

    Raises:
        BadParameter: It cannot be read.
        ApiError: It is no JSON object.
    """
    from ccproxy.wire.json_body import parse_json_object  # noqa: PLC0415 - when a command runs

    try:
        data = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise typer.BadParameter(f"{name} {file}: {error.strerror}") from error
    return parse_json_object(data)
