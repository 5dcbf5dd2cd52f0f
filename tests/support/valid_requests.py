"""Random Messages requests that Claude would accept, for Hypothesis."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any, Final

from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hypothesis.strategies import DrawFn, SearchStrategy

PIXEL: Final = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
)
TOOLS: Final[tuple[dict[str, Any], ...]] = (
    {
        "name": "Bash",
        "description": "Run a command.",
        "input_schema": {
            "type": "object",
            "properties": {
                "command": {"type": "string"},
                "timeout": {"type": "integer", "minimum": 0},
                "run_in_background": {"type": "boolean", "default": False},
            },
            "required": ["command"],
            "additionalProperties": False,
        },
    },
    {
        "name": "todo_write",
        "input_schema": {
            "type": "object",
            "properties": {
                "todos": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {
                            "content": {"type": "string"},
                            "status": {"enum": ["pending", "done"]},
                        },
                        "required": ["content", "status"],
                    },
                }
            },
            "required": ["todos"],
        },
    },
    {"name": "now", "description": "Tell the time.", "input_schema": {"type": "object"}},
)
SCHEMA: Final = {
    "type": "object",
    "properties": {"title": {"type": "string"}},
    "required": ["title"],
    "additionalProperties": False,
}


HARD_WORDS: Final = (
    "Hi",
    "Say hello.",
    "a\u2028b\u2029c\x85d",
    "x\x00y",
    " \r\n\tz ",
    '"quoted" \\ `code`',
    "😀 é \x7f \ufeff漢字",
    "<tool_call>{}</tool_call>",
    "x" * 3000,
    '{"name": "Bash"}',
)


def words() -> SearchStrategy[str]:
    """Return texts that are not empty and can be encoded, with what is hard about text.

    Drawn from a list, because a text of random characters costs Hypothesis a hundred times more.
    """
    return st.sampled_from(HARD_WORDS)


@st.composite
def valid_requests(draw: DrawFn) -> dict[str, Any]:
    """Draw a body that a local model can be asked: any mixture of what the API knows."""
    tools = list(draw(st.lists(st.sampled_from(TOOLS), unique_by=lambda tool: tool["name"])))
    thinking = draw(
        st.sampled_from(
            [
                None,
                {"type": "adaptive"},
                {"type": "adaptive", "display": "omitted"},
                {"type": "disabled"},
                {"type": "enabled", "budget_tokens": 1024},
            ]
        )
    )
    forced = tools and (thinking or {}).get("type") != "enabled"
    body = {
        "model": "qwen-coder",
        "max_tokens": draw(st.integers(1025, 4000)),
        "messages": draw(_conversations(tools)),
        "tools": tools or None,
        "tool_choice": draw(st.none() | _choices(tools, forced=bool(forced))) if tools else None,
        "thinking": thinking,
        "system": draw(st.none() | words() | st.lists(_texts(), min_size=1, max_size=3)),
        "stop_sequences": draw(st.none() | st.lists(st.sampled_from(["END", "\n\nH", "}"]))),
        "output_config": draw(
            st.none()
            | st.just({"effort": "high"})
            | st.just({"format": {"type": "json_schema", "schema": SCHEMA}})
        ),
        "metadata": draw(st.none() | st.just({"user_id": "u"})),
        "context_management": draw(st.none() | st.just({"edits": []})),
        "stream": draw(st.booleans()),
    }
    return {key: value for key, value in body.items() if value is not None}


def _choices(tools: list[dict[str, Any]], *, forced: bool) -> SearchStrategy[dict[str, Any]]:
    kinds = [{"type": "auto"}, {"type": "none"}]
    if forced:
        kinds += [{"type": "any"}, {"type": "tool", "name": tools[0]["name"]}]
    one = st.sampled_from([{}, {"disable_parallel_tool_use": True}])
    return st.tuples(st.sampled_from(kinds), one).map(
        lambda pair: pair[0] if pair[0]["type"] == "none" else pair[0] | pair[1]
    )


def _texts() -> SearchStrategy[dict[str, Any]]:
    cached = st.sampled_from([{}, {"cache_control": {"type": "ephemeral"}}])
    return st.builds(lambda text, more: {"type": "text", "text": text, **more}, words(), cached)


@st.composite
def _conversations(draw: DrawFn, tools: list[dict[str, Any]]) -> list[dict[str, Any]]:
    ids = (f"toolu_{number}" for number in count(1))
    messages = [{"role": "user", "content": draw(_questions())}]
    for _ in range(draw(st.integers(0, 3))):
        messages += draw(_turns(tools, ids))
        if draw(st.booleans()):
            messages.append({"role": "system", "content": draw(words())})
    return messages


def _questions() -> SearchStrategy[Any]:
    image = {"type": "base64", "media_type": "image/png", "data": PIXEL}
    document = {"type": "text", "media_type": "text/plain", "data": "A text."}
    blocks = st.one_of(
        _texts(),
        st.just({"type": "image", "source": image}),
        st.just({"type": "document", "source": document, "title": "T"}),
        st.builds(
            lambda text: {"type": "search_result", "source": "s", "title": "T", "content": [text]},
            _texts(),
        ),
    )
    return words() | st.lists(blocks, min_size=1, max_size=3)


@st.composite
def _turns(draw: DrawFn, tools: list[dict[str, Any]], ids: Iterator[str]) -> list[dict[str, Any]]:
    """Draw what the assistant said, and the user's turn after it."""
    said: list[dict[str, Any]] = draw(st.lists(_texts(), max_size=2))
    if draw(st.booleans()):
        said.insert(0, {"type": "thinking", "thinking": draw(words()), "signature": "s"})
    names = [tool["name"] for tool in tools] or ["gone"]
    calls = draw(st.lists(st.sampled_from(names), max_size=2))
    uses = [
        {"type": "tool_use", "id": next(ids), "name": name, "input": {"command": "ls"}}
        for name in calls
    ]
    results = [
        {
            "type": "tool_result",
            "tool_use_id": use["id"],
            "content": draw(st.none() | words() | st.lists(_texts(), max_size=2)),
            "is_error": draw(st.booleans()),
        }
        for use in uses
    ]
    kept = [{key: value for key, value in each.items() if value is not None} for each in results]
    answer: Any = [*said, *uses]
    if not any(block["type"] != "thinking" for block in answer):
        answer = draw(words())
    asked = draw(_questions()) if not kept else draw(st.lists(_texts(), max_size=1))
    user = asked if isinstance(asked, str) else [*kept, *asked]
    return [{"role": "assistant", "content": answer}, {"role": "user", "content": user}]
