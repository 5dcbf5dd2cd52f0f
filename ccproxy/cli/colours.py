"""Colours: on a terminal, and where a person asks for them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TextIO


def wants_colours(stream: TextIO, environ: Mapping[str, str] | None = None) -> bool:
    """Return whether to colour what is written to a stream.

    `NO_COLOR` (https://no-color.org) forbids it, `FORCE_COLOR` (https://force-color.org) asks for
    it where there is no terminal; each counts unless it is empty, and the first one counts more.
    Rich, which draws tables and progress, reads the same two.
    """
    environ = os.environ if environ is None else environ
    if environ.get("NO_COLOR"):
        return False
    if environ.get("FORCE_COLOR"):
        return True
    return stream.isatty() and environ.get("TERM") not in {"dumb", "unknown"}
