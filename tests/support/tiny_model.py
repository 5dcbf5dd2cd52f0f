"""A language model of 200 kB, made on the fly, that llama.cpp really runs token by token.

It is a qwen2 graph whose weights are set by hand so that tests know what it says:
- The next token follows from the last one: the output matrix is a table of such pairs.
- Where an answer begins, one attention head looks for a trigger in the whole prompt, the strongest
  first: a tool's result makes it comment on it, `TRIGGER_ENDLESS` makes it go on for ever, offered
  tools make it call `TOOL_NAME` for two cities, anything else makes it say `TEXT`. So an answer
  depends on what stands in the KV cache, and a wrong prefix would show.
- Under a grammar it closes strings, objects and lists as early as it may.

One byte of a prompt is one token, but for the few marks below.

Source: GGUF keys and tensor names of llama.cpp's qwen2 (gguf-py/gguf/constants.py, 0.19).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TEXT: Final = "Hello, this tiny local model really says one word after another."
COMMENT: Final = "So that is how the weather is."
THOUGHT: Final = "Let me think about it."
ENDLESS: Final = ("tick", " tock;")
TRIGGER_ENDLESS: Final = "endless"
TOOL_NAME: Final = "get_weather"
CITIES: Final = ("Paris", "Berlin")
TRAINED_TOKENS: Final = 262144

_END: Final = "<|im_end|>"
_NEWLINE: Final = "\n"
_WIDTH: Final = 64
"""Of the embedding and of the one attention head."""
_START_STATE: Final = 0
"""The dimension that is 1 in tokens after which an answer begins."""
_CONSTANT: Final = 62
"""The dimension that is 1 in every token."""
_OTHER: Final = 63
"""The dimension that is 1 in every token which no script continues."""
_SLOW_PAIR: Final = 31
"""The pair of dimensions (this one and the last of the head's other half) that RoPE turns least:
2e-6 radians a position, so that a trigger is found wherever it stands."""
_TRIGGERS: Final = ("<tools>", TRIGGER_ENDLESS, "<tool_response>")
"""Weakest first."""
_NEXT: Final = 100.0
_START: Final = 50.0
_TRIGGERED: Final = 75.0
"""Where an answer begins, `_START + _TRIGGERED` beats `_NEXT`; elsewhere `_TRIGGERED` does not."""
_GRAMMAR_TASTE: Final = {'"': 40, "}": 34, "]": 30, ":": 26, ",": 20, "{": 16, "[": 12, "1": 8}
"""What it prefers where a grammar forbids everything that it would say."""

TEMPLATE: Final = """\
{%- if tools %}
{{- '<|im_start|>system\\n' }}
{%- if messages[0].role == 'system' %}{{- messages[0].content + '\\n\\n' }}{%- endif %}
{{- '# Tools\\n\\nYou may call functions. Signatures within <tools></tools>:\\n<tools>' }}
{%- for tool in tools %}{{- '\\n' }}{{- tool | tojson }}{%- endfor %}
{{- '\\n</tools>\\n\\nReturn each call as JSON within <tool_call></tool_call>:\\n<tool_call>\\n{"name": <function-name>, "arguments": <args-json-object>}\\n</tool_call><|im_end|>\\n' }}
{%- elif messages[0].role == 'system' %}
{{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
{%- if message.role == 'user' or (message.role == 'system' and not loop.first) %}
{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
{%- elif message.role == 'assistant' %}
{{- '<|im_start|>assistant\\n' }}
{%- if message.reasoning_content %}{{- '<think>' + message.reasoning_content + '</think>' }}{%- endif %}
{%- if message.content %}{{- message.content }}{%- endif %}
{%- for tool_call in message.tool_calls or [] %}
{%- if tool_call.function %}{%- set tool_call = tool_call.function %}{%- endif %}
{%- if loop.index0 > 0 or message.content %}{{- '\\n' }}{%- endif %}
{{- '<tool_call>\\n{"name": "' }}{{- tool_call.name }}{{- '", "arguments": ' }}{{- tool_call.arguments | tojson }}{{- '}\\n</tool_call>' }}
{%- endfor %}
{{- '<|im_end|>\\n' }}
{%- elif message.role == 'tool' %}
{{- '<|im_start|>user\\n<tool_response>\\n' + message.content + '\\n</tool_response><|im_end|>\\n' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|im_start|>assistant\\n' }}
{%- if enable_thinking %}{{- '<think>' }}{%- endif %}
{%- endif %}
"""
"""ChatML with tools as qwen2.5 has it, and thinking that is switched on by the prompt."""


def write_tiny_model(path: Path) -> None:
    """Write the model as GGUF; needs the packages `gguf` and `numpy`."""
    import gguf  # noqa: PLC0415 -- half a second that only tests with an engine pay
    import numpy as np  # noqa: PLC0415

    vocabulary = _vocabulary()
    size = len(vocabulary.tokens)
    writer = gguf.GGUFWriter(path, "qwen2")
    writer.add_name("ccproxy-tiny")
    writer.add_context_length(TRAINED_TOKENS)
    writer.add_embedding_length(_WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(_WIDTH)
    writer.add_head_count(1)
    writer.add_head_count_kv(1)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(1e6)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_vocab_size(size)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types(vocabulary.types)
    writer.add_token_merges([f"{_BYTES[ord('t')]} {_BYTES[ord('h')]}"])
    writer.add_bos_token_id(vocabulary.ids["<|endoftext|>"])
    writer.add_eos_token_id(vocabulary.ids[_END])
    writer.add_pad_token_id(vocabulary.ids["<|endoftext|>"])
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE)
    for name, tensor in _tensors(vocabulary, np).items():
        writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@dataclass(slots=True)
class _Vocabulary:
    """Tokens in the spelling of byte-level BPE, which has a printable letter for each byte."""

    tokens: list[str] = field(default_factory=list)
    types: list[int] = field(default_factory=list)
    ids: dict[str, int] = field(default_factory=dict)
    """By plain text; of single bytes only those that are ASCII."""

    def add(self, text: str, kind: int, spelled: str | None = None) -> int:
        """Return the token's id; an equal token is there only once."""
        if text not in self.ids:
            self.ids[text] = len(self.tokens)
            self.tokens.append(text if spelled is None else spelled)
            self.types.append(kind)
        return self.ids[text]


_NORMAL: Final = 1
_CONTROL: Final = 3
_USER_DEFINED: Final = 4
"""Kinds of token. Source: llama.h `llama_token_type`."""


def _byte_letters() -> tuple[str, ...]:
    """Return GPT-2's printable letter for each byte."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = iter(range(256, 512))
    return tuple(chr(byte if byte in printable else next(others)) for byte in range(256))


_BYTES: Final = _byte_letters()


def _vocabulary() -> _Vocabulary:
    made = _Vocabulary()
    for byte, letter in enumerate(_BYTES):
        made.add(chr(byte) if byte < 128 else f"byte {byte}", _NORMAL, letter)
    for mark in ("<|endoftext|>", "<|im_start|>", _END):
        made.add(mark, _CONTROL)
    for mark in ("<tool_call>", "</tool_call>", "<think>", "</think>", *_TRIGGERS):
        made.add(mark, _USER_DEFINED)
    for script in _scripts().values():
        for text in script:
            made.add(text, _NORMAL, "".join(_BYTES[byte] for byte in text.encode()))
    return made


def _scripts() -> dict[str | None, list[str]]:
    """Return what is said, as tokens, by trigger; None is for no trigger."""
    calls = [f'\n{{"name": "{TOOL_NAME}", "arguments": {{"city": "{city}"}}}}\n' for city in CITIES]
    between = "</tool_call>\n<tool_call>"
    return {
        None: _words(TEXT),
        "<tools>": ["<tool_call>", calls[0] + between + calls[1], "</tool_call>"],
        TRIGGER_ENDLESS: list(ENDLESS),
        "<tool_response>": _words(COMMENT),
        "<think>": _words(THOUGHT),
    }


def _words(text: str) -> list[str]:
    """Return a text's words as tokens that occur in no other text."""
    first, *rest = text.split(" ")
    return [first, *(f" {word}" for word in rest)]


def _tensors(vocabulary: _Vocabulary, np: Any) -> dict[str, Any]:
    """Return every weight; see the module for what they do."""
    size = len(vocabulary.tokens)

    def zeros(*shape: int) -> Any:
        return np.zeros(shape, np.float32)

    embedding, output = zeros(size, _WIDTH), zeros(size, _WIDTH)
    query_bias, key, value = zeros(_WIDTH), zeros(_WIDTH, _WIDTH), zeros(_WIDTH, _WIDTH)
    embedding[:, _CONSTANT] = embedding[:, _OTHER] = 1
    output[vocabulary.ids[_END], _OTHER] = _NEXT
    for text, taste in _GRAMMAR_TASTE.items():
        output[vocabulary.ids[text], _CONSTANT] = taste
    free = iter(range(_START_STATE + 1, _CONSTANT))
    query_bias[_SLOW_PAIR] = 8
    for strength, trigger in enumerate(_TRIGGERS, start=1):
        seen = next(free)
        _place(embedding, vocabulary.ids[trigger], seen)
        key[_SLOW_PAIR, seen] = 10 * strength
        value[seen, seen] = 0.2  # the input is normalised to about 5
        first = vocabulary.ids[_scripts()[trigger][0]]
        output[first, _START_STATE], output[first, seen] = _START, _TRIGGERED
    _learn_scripts(vocabulary, embedding, output, free)
    ones = np.ones(_WIDTH, np.float32)
    return {
        "token_embd.weight": embedding,
        "output_norm.weight": ones,
        "output.weight": output,
        "blk.0.attn_norm.weight": ones,
        "blk.0.ffn_norm.weight": ones,
        "blk.0.attn_q.weight": zeros(_WIDTH, _WIDTH),
        "blk.0.attn_q.bias": query_bias,
        "blk.0.attn_k.weight": key,
        "blk.0.attn_k.bias": zeros(_WIDTH),
        "blk.0.attn_v.weight": value,
        "blk.0.attn_v.bias": zeros(_WIDTH),
        "blk.0.attn_output.weight": np.eye(_WIDTH, dtype=np.float32),
        "blk.0.ffn_gate.weight": zeros(_WIDTH, _WIDTH),
        "blk.0.ffn_up.weight": zeros(_WIDTH, _WIDTH),
        "blk.0.ffn_down.weight": zeros(_WIDTH, _WIDTH),
    }


def _learn_scripts(
    vocabulary: _Vocabulary, embedding: Any, output: Any, free: Iterator[int]
) -> None:
    """Give each pair of tokens in a script a dimension of its own."""
    scripts = _scripts()
    for beginning in (_NEWLINE, "</think>"):
        _place(embedding, vocabulary.ids[beginning], _START_STATE)
    output[vocabulary.ids[scripts[None][0]], _START_STATE] = _NEXT
    for trigger, script in scripts.items():
        chain = [*script, _END]
        if trigger == "<think>":
            chain = [trigger, *script, "</think>"]
        elif trigger == TRIGGER_ENDLESS:
            chain = [*script, script[0]]
        for here, following in pairwise(chain):
            state = next(free)
            _place(embedding, vocabulary.ids[here], state)
            output[vocabulary.ids[following], state] = _NEXT


def _place(embedding: Any, token: int, dimension: int) -> None:
    """Make a token stand for one state, or for one trigger."""
    embedding[token] = 0
    embedding[token, [_CONSTANT, dimension]] = 1
