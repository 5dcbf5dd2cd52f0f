"""Fits a conversation into the context, as Ollama does it: refuse, or drop silently.

1. The prompt is shorter than the context: nothing happens.
2. `truncate` is not false: the oldest messages are dropped, system messages and the last message
   stay; the client hears nothing of it.
3. What still reaches the context: 400 with `shift: false` or `truncate: false`, else tokens are
   cut out of its middle, as silently.

Source: Ollama server/prompt.go `chatPrompt`, server/routes.go `truncateNativeChatMessages`,
llm/llama_server.go `completionPromptForRequest`, v0.32 to v0.33; conformance 228.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from ccproxy.demo.ollama_faults import OVERFLOW_MESSAGE
from ccproxy.demo.ollama_models import count_tokens
from ccproxy.demo.ollama_requests import OllamaError, message_tokens, rendered

if TYPE_CHECKING:
    from ccproxy.demo.ollama_models import SimModel
    from ccproxy.demo.ollama_requests import GenerationCall, RunnerOptions


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the model reads."""

    text: str
    tokens: int
    dropped_messages: int = 0
    """Messages the client sent and the model never saw."""
    error: OllamaError | None = None
    """Why it cannot be read; Ollama finds out only after it has loaded the model."""


def fit_prompt(call: GenerationCall, model: SimModel, options: RunnerOptions) -> Prompt:
    """Return the prompt of a call, cut to the context as the module says."""
    head = f"<|tools|>{orjson.dumps(call.tools).decode()}\n" if call.tools else ""
    head_tokens = count_tokens(head)
    sizes = [message_tokens(message) for message in call.messages]
    first = 0
    if call.truncate and head_tokens + sum(sizes) > options.num_ctx:
        first = _first_kept(call, sizes, options.num_ctx - head_tokens)
    kept = [
        index
        for index, message in enumerate(call.messages)
        if index >= first or message.get("role") == "system"
    ]
    tokens = head_tokens + sum(sizes[index] for index in kept)
    text = head + "".join(rendered(call.messages[index]) for index in kept)
    dropped = len(call.messages) - len(kept)
    if tokens < options.num_ctx:
        return Prompt(text, tokens, dropped)
    if call.truncate and options.shift:
        return Prompt(text, options.num_ctx - 1, dropped)
    return Prompt(text, tokens, dropped, _overflow(model, tokens, options.num_ctx))


def _first_kept(call: GenerationCall, sizes: list[int], room_tokens: int) -> int:
    """Return the smallest index from which the rest, with earlier system messages, fits."""
    last = len(sizes) - 1
    system_tokens = 0
    rest_tokens = sum(sizes)
    for index, message in enumerate(call.messages):
        if index == last or system_tokens + rest_tokens <= room_tokens:
            return index
        rest_tokens -= sizes[index]
        if message.get("role") == "system":
            system_tokens += sizes[index]
    return 0


def _overflow(model: SimModel, tokens: int, num_ctx: int) -> OllamaError:
    if not model.native_chat:
        return OllamaError(400, OVERFLOW_MESSAGE)
    detail = {
        "error": {
            "code": 400,
            "message": f"request ({tokens} tokens) exceeds the available context size"
            f" ({num_ctx} tokens), try increasing it",
            "type": "exceed_context_size_error",
            "n_prompt_tokens": tokens,
            "n_ctx": num_ctx,
        }
    }
    return OllamaError(400, orjson.dumps(detail).decode())
