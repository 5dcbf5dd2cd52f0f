"""What a Qwen model reads: its chat template and its tokenizer, without the model.

The vocabulary is Qwen's own (`qwen.tiktoken`), as `make test` puts it into `.cache/qwen`. Text is
split as Qwen2's tokenizer does it (transformers, models/qwen2/tokenization_qwen2.py); Qwen2.5 and
Qwen3 have the same split and vocabulary. The template is Qwen2.5's (tokenizer_config.json), with
JSON as Ollama writes it into a prompt, without spaces.
"""

from __future__ import annotations

import base64
import unicodedata
from typing import TYPE_CHECKING, Any, Final

import orjson
import tiktoken

from tests.support.tools import QWEN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ccproxy.ports import ModelCall

_SPLIT: Final = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_MARKS: Final = {"<|endoftext|>": 151643, "<|im_start|>": 151644, "<|im_end|>": 151645}
_TOOLS_HEAD: Final = (
    "\n\n# Tools\n\nYou may call one or more functions to assist with the user query.\n\n"
    "You are provided with function signatures within <tools></tools> XML tags:\n<tools>"
)
_TOOLS_TAIL: Final = (
    "\n</tools>\n\nFor each function call, return a json object with function name and arguments "
    "within <tool_call></tool_call> XML tags:\n<tool_call>\n"
    '{"name": <function-name>, "arguments": <args-json-object>}\n</tool_call>'
)


class QwenTokenizer:
    """Counts tokens as Qwen does."""

    def __init__(self) -> None:
        """Read the vocabulary."""
        file = QWEN / "dashscope" / "resources" / "qwen.tiktoken"
        ranks = {
            base64.b64decode(token): int(rank)
            for token, rank in (line.split() for line in file.read_bytes().splitlines())
        }
        self._encoding = tiktoken.Encoding(
            "qwen", pat_str=_SPLIT, mergeable_ranks=ranks, special_tokens=_MARKS
        )

    def count(self, text: str) -> int:
        """Return the tokens of a text in which the template's marks are one token each."""
        normal = unicodedata.normalize("NFC", text)
        return len(self._encoding.encode(normal, allowed_special="all"))


def qwen_prompt(call: ModelCall) -> str:
    """Return a call as Qwen2.5's chat template writes it, up to where the model goes on."""
    messages = list(call.messages)
    system = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."
    if messages[0]["role"] == "system":
        system = str(messages.pop(0)["content"])
    if call.tools:
        tools = "".join("\n" + orjson.dumps(tool).decode() for tool in call.tools)
        system += _TOOLS_HEAD + tools + _TOOLS_TAIL
    turns = [_turn("system", system)]
    for position, message in enumerate(messages):
        if message["role"] == "tool":
            turns.append(_tool_response(messages, position))
        else:
            turns.append(_turn(message["role"], _said(message)))
    return "".join(turns) + "<|im_start|>assistant\n"


def _turn(role: str, content: str) -> str:
    return f"<|im_start|>{role}\n{content}<|im_end|>\n"


def _said(message: Mapping[str, Any]) -> str:
    """Return a message's text and calls."""
    parts = [message["content"]] if message["content"] else []
    for call in message.get("tool_calls", ()):
        function = call["function"]
        arguments = orjson.dumps(function["arguments"]).decode()
        parts.append(
            f'<tool_call>\n{{"name": "{function["name"]}", "arguments": {arguments}}}\n</tool_call>'
        )
    return "\n".join(parts)


def _tool_response(messages: Sequence[Mapping[str, Any]], position: int) -> str:
    """Return a result; those that follow each other share one turn of the user."""
    is_first = position == 0 or messages[position - 1]["role"] != "tool"
    is_last = position == len(messages) - 1 or messages[position + 1]["role"] != "tool"
    head = "<|im_start|>user" if is_first else ""
    tail = "<|im_end|>\n" if is_last else ""
    return f"{head}\n<tool_response>\n{messages[position]['content']}\n</tool_response>{tail}"
