"""What two prompts share, and where they part."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccproxy.ports import ModelCall
from ccproxy.wire.prompt_prefix import common_bytes, prompt_parts, shared_prefix

if TYPE_CHECKING:
    from collections.abc import Mapping

SYSTEM = {"role": "system", "content": "You are é."}
ASKED = {"role": "user", "content": "Go on."}
CALL = {"id": "t", "type": "function", "function": {"name": "look", "arguments": {"a": 1}}}
SAID = {"role": "assistant", "content": "Yes.", "thinking": "Hm.", "tool_calls": [CALL]}
LOOK = {"type": "function", "function": {"name": "look", "parameters": {}}}
LIST = {"type": "function", "function": {"name": "list", "parameters": {}}}
PICTURE = [{"type": "text", "text": "Go on."}, {"type": "image_url", "image_url": {"url": "data:"}}]


def parts(*messages: Mapping[str, Any], tools: tuple[Any, ...] = (LOOK,)) -> tuple[bytes, ...]:
    """Return a prompt in parts."""
    return prompt_parts(ModelCall([SYSTEM, *messages], tools=tools))


EARLIER = parts(ASKED, SAID)
PLACES = {
    "the same": (EARLIER, ""),
    "it goes on": (parts(ASKED, SAID, ASKED), ""),
    "a byte of the system prompt": (
        prompt_parts(ModelCall([SYSTEM | {"content": "You are è."}, ASKED, SAID], tools=(LOOK,))),
        "system:9",
    ),
    "another tool": (parts(ASKED, SAID, tools=(LIST,)), "tools.0:40"),
    "one tool more": (parts(ASKED, SAID, tools=(LOOK, LIST)), "tools.1:0"),
    "another text": (parts(ASKED | {"content": "Go off."}, SAID), "messages.0.content:4"),
    "an image beside it": (parts(ASKED | {"content": PICTURE}, SAID), "messages.0.content:0"),
    "another role": (parts(ASKED | {"role": "tool"}, SAID), "messages.0.role:0"),
    "no thinking": (
        parts(ASKED, {name: SAID[name] for name in ("role", "content", "tool_calls")}),
        "messages.1.thinking:0",
    ),
    "other arguments": (
        parts(
            ASKED,
            SAID | {"tool_calls": [CALL | {"function": {"name": "look", "arguments": {"a": 2}}}]},
        ),
        "messages.1.tool_calls:72",
    ),
    "keys in another order": (
        parts(ASKED, dict(reversed(SAID.items()))),
        "messages.1:2",
    ),
    "a message less": (parts(ASKED), "messages.1:0"),
}


@pytest.mark.parametrize(("now", "place"), PLACES.values(), ids=PLACES)
def test_the_place_where_they_part(now: tuple[bytes, ...], place: str) -> None:
    """Part, index and the first byte that differs, of the text itself where it is one."""
    shared = shared_prefix(EARLIER, now)

    assert shared.place == place
    assert shared.shared_bytes + shared.lost_bytes == sum(map(len, EARLIER))
    assert (shared.lost_bytes == 0) == (place == "")


def test_a_text_that_goes_on_keeps_its_beginning() -> None:
    """Of a last message that grew, only the quote and brace at its end are lost."""
    shared = shared_prefix(parts(ASKED), parts(ASKED | {"content": "Go on. And on."}))

    assert (shared.place, shared.lost_bytes) == ("messages.0.content:6", 2)


def test_a_prompt_without_system_has_the_same_parts() -> None:
    """So messages count alike with and without one."""
    with_system = prompt_parts(ModelCall([SYSTEM, ASKED]))
    without = prompt_parts(ModelCall([ASKED]))

    assert without[1:] == with_system[1:] == (b"[]", orjson.dumps(ASKED))


@given(st.binary(max_size=40), st.binary(max_size=40), st.binary(max_size=40))
def test_common_bytes(start: bytes, left: bytes, right: bytes) -> None:
    """It counts the leading bytes that are the same, and not one more."""
    shared = common_bytes(start + left, start + right)

    assert (start + left)[:shared] == (start + right)[:shared]
    assert shared >= len(start)
    rest = (start + left)[shared:], (start + right)[shared:]
    assert not all(rest) or rest[0][0] != rest[1][0]
