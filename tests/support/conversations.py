"""Claude Code's conversations as they grow, request by request, for Hypothesis.

Shapes as observed of version 2.1.329: a billing block that differs from request to request,
`role: system` messages after the first message and between turns (blocks first, a plain string
later), parallel tool calls, reminders behind tool results, `cache_control` that moves to the end,
thinking in the tool loop, images, and tools that are declared from the start but deferred.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from hypothesis import strategies as st

from tests.support.valid_requests import PIXEL, TOOLS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hypothesis.strategies import DrawFn, SearchStrategy

WORDS: Final = (
    "Look at the file.",
    "é 漢字 😀",
    "x" * 700,
    '{"a": [1, "b"]}',
    "Now the next one.\n",
)
GIF: Final = "R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
CACHED: Final = {"cache_control": {"type": "ephemeral"}}


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation at its end, and where requests were made of it."""

    messages: Sequence[dict[str, Any]]
    ends: Sequence[int]
    """How many messages each request had, ascending."""
    questions: Sequence[int]
    """Of those requests, the indexes of the ones whose last turn asks something new."""

    def requests(self, **more: Any) -> list[dict[str, Any]]:
        """Return the bodies, with what Claude Code changes between them."""
        return [self._request(number, end) | more for number, end in enumerate(self.ends)]

    def _request(self, number: int, end: int) -> dict[str, Any]:
        messages = copy.deepcopy(list(self.messages[:end]))
        for message in messages[:-2]:
            _plain(message)
        if isinstance(messages[-1].get("content"), list):
            messages[-1]["content"][-1] |= CACHED
        billing = f"x-anthropic-billing-header: cc_version=2.1.329.{number:03x};"
        return {
            "model": "m",
            "max_tokens": 100 + number,
            "messages": messages,
            "metadata": {"user_id": f"turn {number}"},
            "stream": number % 2 == 0,
            "system": [
                {"type": "text", "text": billing},
                {"type": "text", "text": "You are a Claude agent."},
                {"type": "text", "text": "Mind the house rules.", **CACHED},
            ],
            "tools": [dict(tool) for tool in TOOLS],
        }


@st.composite
def conversations(draw: DrawFn) -> Conversation:
    """Return a conversation of at least two requests."""
    messages = [_question(draw, "First.")]
    if draw(st.booleans()):
        messages.append(_system(draw))
    ends, questions = [len(messages)], [0]
    for step in range(draw(st.integers(1, 5))):
        calls = draw(st.integers(0, 3))
        messages.append(_answer(draw, step, calls))
        if draw(st.booleans()):
            messages.append(_system(draw))
        if calls:
            messages.append(_results(draw, step, calls))
        else:
            questions.append(len(ends))
            messages.append(_question(draw, f"Question {step}."))
        if draw(st.booleans()):
            messages.append(_system(draw))
        ends.append(len(messages))
    return Conversation(messages, ends, questions)


def _words() -> SearchStrategy[str]:
    return st.sampled_from(WORDS)


def _plain(message: dict[str, Any]) -> None:
    """Write one text block as a string, as Claude Code does with older messages."""
    content = message.get("content")
    if isinstance(content, list) and len(content) == 1 and content[0]["type"] == "text":
        message["content"] = content[0]["text"]


def _question(draw: DrawFn, start: str) -> dict[str, Any]:
    content = [_text(_reminder("CLAUDE.md")), _text(f"{start} {draw(_words())}")]
    if draw(st.booleans()):
        content.insert(1, _image(draw))
    return {"role": "user", "content": content}


def _system(draw: DrawFn) -> dict[str, Any]:
    return {"role": "system", "content": [_text(f"Deferred tools: {draw(_words())}")]}


def _answer(draw: DrawFn, step: int, calls: int) -> dict[str, Any]:
    content: list[dict[str, Any]] = []
    if draw(st.booleans()):
        content.append({"type": "thinking", "thinking": f"Hm {step}.", "signature": "s"})
    if calls == 0 or draw(st.booleans()):
        content.append(_text(draw(_words())))
    content.extend(
        {
            "type": "tool_use",
            "id": f"toolu_{step}_{number}",
            "name": draw(st.sampled_from(TOOLS))["name"],
            "input": draw(st.sampled_from([{}, {"b": 1, "a": [2]}, {"command": "ls"}])),
        }
        for number in range(calls)
    )
    return {"role": "assistant", "content": content}


def _results(draw: DrawFn, step: int, calls: int) -> dict[str, Any]:
    content: list[dict[str, Any]] = [
        {
            "type": "tool_result",
            "tool_use_id": f"toolu_{step}_{number}",
            "is_error": draw(st.booleans()),
            "content": draw(
                st.sampled_from(["", "done", [_text("two"), _text("texts")], [_text(WORDS[1])]])
                | st.builds(lambda: [_image(draw)])
            ),
        }
        for number in draw(st.permutations(range(calls)))
    ]
    if draw(st.booleans()):
        content.append(_text(_reminder("The todo list is empty.")))
    if draw(st.integers(0, 3)) == 0:
        content.append(_text("By the way: " + draw(_words())))
    return {"role": "user", "content": content}


def _text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def _reminder(words: str) -> str:
    return f"<system-reminder>\n{words}\n</system-reminder>"


def _image(draw: DrawFn) -> dict[str, Any]:
    media_type, data = draw(st.sampled_from([("image/png", PIXEL), ("image/gif", GIF)]))
    source = {"type": "base64", "media_type": media_type, "data": data}
    return {"type": "image", "source": source}
