"""What an Ollama of some version cannot be trusted with.

Every request to a local model says `truncate: false` and `shift: false`, so that a prompt which is
too long is an error and never a silent cut. An Ollama that does not know these fields ignores them.
"""

from __future__ import annotations

import re
from typing import Final

HONOURS_TRUNCATE_SINCE: Final = (0, 12, 6)
"""Source: `ChatRequest` in Ollama's api/types.go, which has `truncate` and `shift` from v0.12.6 on
and not in v0.12.5 (ollama/ollama pull request 12582)."""

_RELEASE: Final = re.compile(r"v?(\d+)\.(\d+)\.(\d+)")


def version_warning(version: str) -> str | None:
    """Return what to tell people who run this version, or None.

    Args:
        version: As `/api/version` says it, e.g. `0.33.0` or `0.33.0-rc2`; a build of one's own
            calls itself `0.0.0`.
    """
    since = ".".join(map(str, HONOURS_TRUNCATE_SINCE))
    consequence = (
        "a prompt that turns out too long for it may be cut without a word. "
        f"Use Ollama {since} or newer"
    )
    found = _RELEASE.match(version)
    release = tuple(map(int, found.groups())) if found is not None else (0, 0, 0)
    if release == (0, 0, 0):
        return f"Ollama {version!r} does not say what it can do: {consequence}"
    if release < HONOURS_TRUNCATE_SINCE:
        return f"Ollama {version} does not know `truncate` and `shift`: {consequence}"
    return None
