"""How much of an earlier prompt begins a new one, and the first byte that broke it. Pure.

A local model keeps what it computed of the prompt it read last; of the next one it reads only what
stands behind the bytes that both share. Templates write the system prompt first, then the tools,
then the messages; parts are compared in that order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ccproxy.ports import ModelCall

_SYSTEM: Final = 0
_TOOLS: Final = 1
_FIRST_MESSAGE: Final = 2


@dataclass(frozen=True, slots=True)
class SharedPrefix:
    """What an earlier prompt and a new one have in common from their first byte on."""

    shared_bytes: int
    lost_bytes: int
    """Of the earlier prompt, behind what is shared."""
    place: str = ""
    """Where they part, e.g. `messages.3.content:512`; empty where the earlier prompt is the
    beginning of the new one. Messages count from 0 as the model is sent them, without the system
    prompt; the byte counts within the text, or within the JSON of what is no text."""


NOTHING_SHARED: Final = SharedPrefix(0, 0)


def prompt_parts(call: ModelCall) -> tuple[bytes, ...]:
    """Return system prompt, tools and each message as JSON bytes."""
    messages = list(call.messages)
    system: object = ""
    if messages and messages[0]["role"] == "system":
        system = messages.pop(0)["content"]
    return tuple(map(orjson.dumps, (system, list(call.tools), *messages)))


def shared_prefix(earlier: Sequence[bytes], now: Sequence[bytes]) -> SharedPrefix:
    """Compare two prompts, as `prompt_parts` returns them; linear in what they share."""
    shared = 0
    for index, (was, is_now) in enumerate(zip(earlier, now, strict=False)):
        if was != is_now:
            shared += common_bytes(was, is_now)
            lost = sum(map(len, earlier)) - shared
            return SharedPrefix(shared, lost, _place(index, was, is_now))
        shared += len(was)
    lost = sum(map(len, earlier)) - shared
    place = f"messages.{len(now) - _FIRST_MESSAGE}:0" if lost else ""
    return SharedPrefix(shared, lost, place)


def common_bytes(left: bytes, right: bytes) -> int:
    """Return how many leading bytes are the same."""
    low, high = 0, min(len(left), len(right))
    while low < high:
        middle = (low + high + 1) // 2
        if left[low:middle] == right[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _place(index: int, was: bytes, is_now: bytes) -> str:
    earlier, now = orjson.loads(was), orjson.loads(is_now)
    if index == _SYSTEM:
        return f"system:{_first_difference(earlier, now)}"
    if index == _TOOLS:
        return _place_in_tools(earlier, now)
    message = f"messages.{index - _FIRST_MESSAGE}"
    for name in (*earlier, *now):
        if earlier.get(name) != now.get(name):
            return f"{message}.{name}:{_first_difference(earlier.get(name), now.get(name))}"
    return f"{message}:{common_bytes(was, is_now)}"


def _place_in_tools(earlier: list[Any], now: list[Any]) -> str:
    for index, (was, is_now) in enumerate(zip(earlier, now, strict=False)):
        if orjson.dumps(was) != orjson.dumps(is_now):
            return f"tools.{index}:{_first_difference(was, is_now)}"
    return f"tools.{min(len(earlier), len(now))}:0"


def _first_difference(was: object, is_now: object) -> int:
    return common_bytes(_bytes(was), _bytes(is_now))


def _bytes(value: object) -> bytes:
    """Return a text's own bytes, and the JSON of anything else."""
    return value.encode() if isinstance(value, str) else orjson.dumps(value)
