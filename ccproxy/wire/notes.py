"""What was changed or left out of a request or an answer, as a header and the log name it."""

from __future__ import annotations

import re
from typing import Final

_NOT_IN_NOTES: Final = re.compile(r"[^\w.:-]", re.ASCII)
_NAME_CHARS: Final = 64


def note(what: str, name: str) -> str:
    """Return `what=name`; a name may be anything that a model wrote, and ends up in a header."""
    return f"{what}={_NOT_IN_NOTES.sub('?', name[:_NAME_CHARS])}"
