"""The input of a tool call as the prompt spells it out: `use the NAME tool with {JSON}`."""

from __future__ import annotations

from typing import Any

import orjson


def given_input(text: str) -> dict[str, Any] | None:
    """Return the JSON object after the word `with`, or None if there is none."""
    start = text.find("with {")
    if start < 0:
        return None
    body = text[start + 5 :]
    for end in range(len(body), 1, -1):
        if body[end - 1] != "}":
            continue
        try:
            value = orjson.loads(body[:end])
        except orjson.JSONDecodeError:
            continue
        return value if isinstance(value, dict) else None
    return None
