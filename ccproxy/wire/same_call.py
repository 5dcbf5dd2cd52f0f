"""When two tool calls are the same call, and two JSON values the same value.

Rules:
1. The order of properties does not matter, that of a list does.
2. A number is its value: 5 is 5.0, but neither is true or "5".
3. A pair of surrogates is the character it stands for; a lone one is itself.
4. Whatever Python's JSON reader accepts has a key, however deep, long or large.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ccproxy.ports import ToolCall

    JsonValue = Any


def call_key(call: ToolCall) -> str:
    """Return a text that calls have in common exactly where name and arguments are the same."""
    return value_key([call.name, dict(call.arguments)])


def value_key(value: JsonValue) -> str:
    """Return a text that JSON values have in common exactly where they are the same value.

    It is that of a walk through the value: containers by their size, then what is in them.
    """
    words: list[str] = []
    ahead = [value]
    while ahead:
        item = ahead.pop()
        if isinstance(item, dict):
            words.append(f"{{{len(item)}")
            for name in sorted(item, reverse=True):
                ahead += (item[name], name)
        elif isinstance(item, list | tuple):
            words.append(f"[{len(item)}")
            ahead += reversed(item)
        else:
            words.append(_scalar_key(item))
    return ",".join(words)


def _scalar_key(value: JsonValue) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return hex(value)  # the decimals of a long integer take quadratic time, and are limited
    return json.dumps(value)
