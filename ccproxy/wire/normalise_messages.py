"""The conversation of a Messages request as messages of the chat shape (`ports.ModelCall`).

Rules:
1. The result depends only on the request, and a longer conversation keeps the messages of a
   shorter one, so that a local model can reuse what it has already read.
2. Roles alternate: turns of the same role are merged, turns without content vanish (169).
3. Results of tools come before the text of the same turn, in the order of the calls (177).
4. `role: system` between turns becomes a reminder in the user's turn where it stood (168).
5. Thinking is kept only in the current tool loop, that is after the last user turn that brings
   no tool result; local templates ignore older thinking anyway (176).
6. Reminders that follow tool results directly stand at the end of the last result, not in a
   message of role `user`: Qwen3's templates drop all thinking before the last such message, and
   some mark it with `/think`, so one in the middle of a loop would have the model read the whole
   loop again (https://ollama.com/library/qwen3/blobs/53e4ea15e8f5, `$lastUserIdx`).
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Final

from ccproxy.wire.images import Transcoder
from ccproxy.wire.normalise_content import SEPARATOR, Content, as_blocks

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    Block = Mapping[str, Any]
    Turn = tuple[str, list[Block]]

REMINDER: Final = ("<system-reminder>", "</system-reminder>")
"""How Claude Code marks what is not the user's own word, and how we mark system messages."""
NO_OUTPUT: Final = "(no output)"
"""What a model reads where a tool returned nothing (conformance 179)."""
ERROR_PREFIX: Final = "Error: "
"""How `is_error` is shown to a model (conformance 178)."""


def chat_messages(
    messages: Sequence[Mapping[str, Any]], *, vision: bool, thinking: bool
) -> list[dict[str, Any]]:
    """Return the conversation in the chat shape, without the system prompt.

    Args:
        messages: Validated `messages` of the request; not changed.
        vision: The model takes images.
        thinking: The model has a place for earlier thinking.

    Raises:
        UnsupportedLocally: See `Content.add`.
        BrokenImageError: See `Content.add`.
    """
    turns = _merged(messages)
    names = {
        block["id"]: block["name"]
        for _, blocks in turns
        for block in blocks
        if block["type"] == "tool_use"
    }
    loop_start = _loop_start(turns)
    numbers, transcoder = itertools.count(1), Transcoder()
    result: list[dict[str, Any]] = []
    calls: Sequence[Block] = ()
    for position, (role, blocks) in enumerate(turns):
        content = Content(numbers, transcoder, vision=vision)
        if role == "assistant":
            keep = thinking and position > loop_start
            result.append(_assistant_message(blocks, content, keep_thinking=keep))
            calls = [block for block in blocks if block["type"] == "tool_use"]
        else:
            result.extend(_user_messages(_in_call_order(blocks, calls), content, names))
    return result


def _merged(messages: Sequence[Mapping[str, Any]]) -> list[Turn]:
    """Return turns with alternating roles; wordless blocks and empty turns are gone."""
    turns: list[Turn] = []
    for message in messages:
        role, blocks = _turn(message)
        if not blocks:
            continue
        if turns and turns[-1][0] == role:
            turns[-1][1].extend(blocks)
        else:
            turns.append((role, blocks))
    return turns


def _turn(message: Mapping[str, Any]) -> Turn:
    """Return one message as `(role, blocks)`; a system message as a user's reminder."""
    blocks = as_blocks(message.get("content"))
    if message["role"] == "system":
        text = SEPARATOR.join(block["text"] for block in blocks if block.get("text"))
        reminder = f"{REMINDER[0]}\n{text}\n{REMINDER[1]}"
        return "user", [{"type": "text", "text": reminder}] if text else []
    return message["role"], [block for block in blocks if _has_words(block)]


def _has_words(block: Block) -> bool:
    kind = block["type"]
    if kind == "text":
        return bool(block["text"])
    return kind not in {"redacted_thinking", "fallback"}


def _loop_start(turns: Sequence[Turn]) -> int:
    """Return the index of the last user turn without a tool result, or -1."""
    for position in range(len(turns) - 1, -1, -1):
        role, blocks = turns[position]
        if role == "user" and all(block["type"] != "tool_result" for block in blocks):
            return position
    return -1


def _assistant_message(
    blocks: Sequence[Block], content: Content, *, keep_thinking: bool
) -> dict[str, Any]:
    thoughts: list[str] = []
    calls: list[dict[str, Any]] = []
    for block in blocks:
        if block["type"] == "thinking":
            thoughts.append(block["thinking"])
        elif block["type"] == "tool_use":
            function = {"name": block["name"], "arguments": block["input"]}
            calls.append({"id": block["id"], "type": "function", "function": function})
        else:
            content.add(block)
    message: dict[str, Any] = {"role": "assistant", "content": content.text}
    if keep_thinking and any(thoughts):
        message["thinking"] = SEPARATOR.join(filter(None, thoughts))
    if calls:
        message["tool_calls"] = calls
    return message


def _in_call_order(blocks: Sequence[Block], calls: Sequence[Block]) -> list[Block]:
    """Return the blocks with tool results first, in the order of the calls they answer."""
    position = {call["id"]: index for index, call in enumerate(calls)}
    results = [block for block in blocks if block["type"] == "tool_result"]
    results.sort(key=lambda block: position.get(block["tool_use_id"], len(position)))
    return results + [block for block in blocks if block["type"] != "tool_result"]


def _user_messages(
    blocks: Sequence[Block], content: Content, names: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    """Yield one message per tool result, then the user's own words and all images."""
    results: list[dict[str, Any]] = []
    for block in blocks:
        if block["type"] != "tool_result":
            if results and not content.text and _is_reminder(block):
                results[-1]["content"] += SEPARATOR + block["text"]
            else:
                content.add(block)
            continue
        name = names.get(block["tool_use_id"])
        text = _result_text(block, content, name)
        if name is None:  # the call was cut off the history: a tool message would have no partner
            content.add_text(f"[Result of an earlier tool call] {text}")
            continue
        results.append(
            {
                "role": "tool",
                "content": text,
                "tool_call_id": block["tool_use_id"],
                "tool_name": name,
            }
        )
    yield from results
    if content.text:
        yield {"role": "user", "content": _with_images(content)}


def _is_reminder(block: Block) -> bool:
    if block["type"] != "text":
        return False
    text: str = block["text"].strip()
    return text.startswith(REMINDER[0]) and text.endswith(REMINDER[1])


def _result_text(block: Block, outer: Content, name: str | None) -> str:
    """Return what the tool said; its images go to the user's message, with a pointer each."""
    inner = outer.nested()
    for part in as_blocks(block.get("content")):
        inner.add(part)
    for label, image in zip(inner.labels, inner.images, strict=True):
        outer.add_text(f"{label} (from the result of {name or 'a tool'})")
        outer.images.append(image)
    text = inner.text or NO_OUTPUT
    if block.get("is_error") and not text.startswith(ERROR_PREFIX):
        return ERROR_PREFIX + text
    return text


def _with_images(content: Content) -> str | list[dict[str, Any]]:
    if not content.images:
        return content.text
    parts: list[dict[str, Any]] = [{"type": "text", "text": content.text}]
    for media_type, data in content.images:
        url = f"data:{media_type};base64,{data}"
        parts.append({"type": "image_url", "image_url": {"url": url}})
    return parts
