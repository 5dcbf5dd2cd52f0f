"""`os.environ/NAME` in place of a value, as in LiteLLM."""

from __future__ import annotations

from typing import Final

ENVIRONMENT_REFERENCE: Final = "os.environ/"
"""LiteLLM's prefix for a value that is read from the environment."""


def referenced_variable(value: object) -> str | None:
    """Return the variable's name if `value` is a reference, else None."""
    if isinstance(value, str) and value.startswith(ENVIRONMENT_REFERENCE):
        return value.removeprefix(ENVIRONMENT_REFERENCE)
    return None
