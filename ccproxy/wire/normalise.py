"""From a validated Messages request to a `ModelCall`: pure, deterministic, nothing lost unseen.

What a local model cannot be given is refused with `UnsupportedLocally`, so that another deployment
may serve the request. `stop_sequences` are not part of the call: a stop list sent to Ollama would
replace the template's own, so stops are detected in the answer (conformance 192).

Thinking (conformance 193-195):
1. The model is known to think: on for `enabled` and `adaptive`, else off. An effort asked for
   becomes a level; where a model only knows on and off, the upstream reduces the level to on.
2. Unknown: off, because Ollama turns thinking on by itself for models that can, and accepts
   `think: false` for those that cannot (it refuses only `true`).
3. The model is known not to think: nothing is sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ccproxy.ports import ModelCall, ModelFacts
from ccproxy.wire.errors import UnsupportedLocally, invalid_request
from ccproxy.wire.images import BrokenImageError, place_of
from ccproxy.wire.normalise_content import SEPARATOR
from ccproxy.wire.normalise_messages import chat_messages
from ccproxy.wire.normalise_tools import choice_instruction, offered_tools
from ccproxy.wire.tool_changes import with_tool_changes

if TYPE_CHECKING:
    from collections.abc import Mapping

_VOLATILE: Final = "x-anthropic-billing-header:"
"""Start of Claude Code's first system block; it changes with every build and sub-agent (167). It is
left out wherever it stands."""
_LEVELS: Final = {"low": "low", "medium": "medium", "high": "high", "xhigh": "high", "max": "high"}
"""`max` exists only in newer Ollama versions, and others answer it with 400."""


def normalise(
    body: Mapping[str, Any], facts: ModelFacts, *, max_output_tokens_cap: int | None
) -> ModelCall:
    """Return the request as a local model is asked it.

    Args:
        body: A validated Messages request; not changed, but parts of it are shared.
        facts: What is known of the model.
        max_output_tokens_cap: The most the deployment may write, or None.

    Raises:
        UnsupportedLocally: The request needs what this model lacks (vision, tools, opening of
            files or URLs, a server tool); a 400 where no other deployment is left.
        ApiError: 400, an image is broken.
    """
    tools = offered_tools(with_tool_changes(body))
    if tools and facts.supports_tools is False:
        message = "tools: this local model cannot call tools"
        raise UnsupportedLocally(message)
    try:
        messages = chat_messages(
            body["messages"],
            vision=facts.supports_vision is True,
            thinking=facts.supports_thinking is not False,
        )
    except BrokenImageError as broken:
        place = place_of(body["messages"], broken.block)
        raise invalid_request(f"{place}.image.source.base64: {broken}") from None
    if system := _system_text(body.get("system")):
        messages.insert(0, {"role": "system", "content": system})
    if instruction := choice_instruction(body):
        _instruct(messages, instruction)
    return ModelCall(
        messages=messages,
        tools=tools,
        max_output_tokens=_output_tokens(body["max_tokens"], max_output_tokens_cap),
        temperature=_number(body.get("temperature")),
        top_p=_number(body.get("top_p")),
        top_k=body.get("top_k"),
        think=_think(body, supported=facts.supports_thinking),
        response_schema=_response_schema(body),
    )


def _system_text(system: str | list[Mapping[str, Any]] | None) -> str:
    """Return the system prompt as one text (166), without Claude Code's volatile line (167)."""
    if system is None or isinstance(system, str):
        return system or ""
    texts = (block["text"] for block in system)
    return SEPARATOR.join(text for text in texts if text and not text.startswith(_VOLATILE))


def _instruct(messages: list[dict[str, Any]], instruction: str) -> None:
    """Say it at the end of the last message if that is the user's, else in a message after it."""
    last = messages[-1] if messages else {}
    if last.get("role") != "user":
        messages.append({"role": "user", "content": instruction})
    elif isinstance(last["content"], str):
        last["content"] += SEPARATOR + instruction
    else:
        last["content"][0]["text"] += SEPARATOR + instruction


def _output_tokens(asked: int, cap: int | None) -> int:
    """Return the output limit, at least 1: Ollama takes 0 and -1 for "no limit" (190)."""
    return max(1, asked if cap is None else min(asked, cap))


def _number(value: float | None) -> float | None:
    return None if value is None else float(value)


def _think(body: Mapping[str, Any], *, supported: bool | None) -> bool | str | None:
    """See the numbered rules of the module."""
    if not supported:
        return None if supported is False else False
    kind = (body.get("thinking") or {}).get("type")
    if kind not in {"enabled", "adaptive"}:
        return False
    effort = (body.get("output_config") or {}).get("effort")
    return True if effort is None else _LEVELS[effort]


def _response_schema(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the schema of `output_config.format`, or of the older `output_format` (196)."""
    wanted = (body.get("output_config") or {}).get("format") or body.get("output_format")
    return wanted["schema"] if wanted else None
