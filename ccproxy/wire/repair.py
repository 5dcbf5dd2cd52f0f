"""What a local model is shown of a turn that went wrong, so that it can put it right. Pure.

The messages follow the conversation that the turn answered. They are the turn itself, as the
model's own message, and behind it what was wrong: with each call as that call's result, with
anything else in a message of role `user`. What the model wrote may be anything that its server let
through, so it is written with the tolerance of `json_text`: whoever sends the messages can.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from ccproxy.wire.json_text import encodable, json_bytes
from ccproxy.wire.normalise_messages import ERROR_PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ccproxy.wire.turn_calls import MadeCall

    Messages = tuple[Mapping[str, Any], ...]

NO_ANSWER: Final = "(no answer)"
"""What stands for a turn without a word: several servers refuse an empty message."""
UNCLOSED: Final = "You opened <think> and never closed it, so that nobody has seen your answer."
_ACCEPTED: Final = "Accepted. Do not repeat this call."
_NOT_MADE: Final = "The call was not made: make it again, corrected. Do not repeat the other calls."
_UNWRITABLE: Final = {"error": "nested too deeply to be shown"}


def about_calls(text: str, calls: Sequence[MadeCall], tools: Sequence[str]) -> Messages:
    """Return a turn with calls, some of them wrong, and what became of each.

    Args:
        text: All that the model said in the turn.
        calls: In order, without those that were dropped.
        tools: The names of the tools on offer; told once.
    """
    message = {
        "role": "assistant",
        "content": encodable(text),
        "tool_calls": [_shown(position, each) for position, each in enumerate(calls)],
    }
    return (message, *_results(calls, tools))


def about_words(text: str, told: str) -> Messages:
    """Return a turn without calls, and what is said to it."""
    said = {"role": "assistant", "content": encodable(text) or NO_ANSWER}
    return said, {"role": "user", "content": told}


def _shown(position: int, made: MadeCall) -> dict[str, Any]:
    function = {"name": encodable(made.call.name), "arguments": _writable(made.call.arguments)}
    return {"id": _id(position), "type": "function", "function": function}


def _writable(arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return arguments that every JSON writer can write; a huge integer becomes a float."""
    try:
        shown: Mapping[str, Any] = orjson.loads(json_bytes(dict(arguments)))
        orjson.dumps(shown)
    except (ValueError, TypeError):  # too many levels, for the one or the other
        return _UNWRITABLE
    return shown


def _results(calls: Sequence[MadeCall], tools: Sequence[str]) -> Iterator[dict[str, Any]]:
    missing = f"there is no tool of this name; the tools are: {', '.join(tools)}"
    for position, each in enumerate(calls):
        errors = each.errors
        if not each.is_offered:
            errors = (missing,)
            missing = "there is no tool of this name"
        told = f"{ERROR_PREFIX}{'; '.join(errors)}. {_NOT_MADE}" if errors else _ACCEPTED
        yield {
            "role": "tool",
            "content": told,
            "tool_call_id": _id(position),
            "tool_name": encodable(each.call.name),
        }


def _id(position: int) -> str:
    """Return an id of our own: a model may give two of its calls the same one."""
    return f"repair_{position}"
