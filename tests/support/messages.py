"""Messages requests for tests, as short as they can be."""

from __future__ import annotations

from typing import Any

LOCAL = "qwen-coder"
"""A deployment's name: that deployment alone serves it."""
CLAUDE = "claude-opus-4-6"
"""An id of the tier whose route in the shipped table is Claude alone."""
MIXED = "claude-sonnet-4-5"
"""An id of the tier whose route is a local model first, then Claude."""

WEATHER = {
    "name": "get_weather",
    "description": "Say how the weather is.",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}


def turn(text: str = "Say hello.", model: str = LOCAL, **more: Any) -> dict[str, Any]:
    """Return a one-turn request; keys given as None are left out."""
    body = {
        "model": model,
        "max_tokens": 256,
        "messages": [{"role": "user", "content": text}],
        **more,
    }
    return {key: value for key, value in body.items() if value is not None}
