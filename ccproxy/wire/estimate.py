"""How many tokens a Messages request holds, without a tokenizer.

Used for token rules, the preflight check of a local model, `message_start` and count_tokens, so
that all four agree (conformance 244-246). Where the deployment is known, the ratio that was
learned of it (`routing.calibration`) multiplies the estimate.

Method: every byte of text has a fixed weight by its class (lower-case letter, digit, space, ...),
in fiftieths of a token; the sum, rounded up, plus fixed amounts for each message, tool, call and
image is the estimate. So it is deterministic, never falls when text is added, is linear in the
bytes and works at C speed (about 1 ms for 400 kB).

Long runs of one ruling character count for less, and still never fall when they grow.

Bound: against Qwen's own vocabulary (Qwen2 to Qwen3 share it) the estimate of plain text is 0.9 to
1.4 times the real count for program code, prose, JSON, YAML, and Chinese, Japanese and Korean text
of a few hundred bytes and more, and so is that of a request with tools and calls, written out by
Qwen2.5's chat template. Text without words may be as little as 0.6 of real (base64) or twice as
much (emoji). Every digit is a token of its own in Qwen.
Source: weights fitted to 1100 pieces of 4 kB in 16 programming and markup languages and 5 spoken
ones, of which 97 in 100 are within the bound and none is outside 0.8 to 1.6; the bound is checked
on other texts, which tests/ccproxy/wire/test_estimate.py names.
"""

from __future__ import annotations

import binascii
import re
import string
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from routing.records import record

UNKNOWN_IMAGE_TOKENS: Final = 1600
"""An image whose size is not in its first bytes; about Anthropic's most for one image."""
MAX_IMAGE_TOKENS: Final = 4096
_IMAGE_PATCH_PX: Final = 28
"""Qwen2.5-VL spends one token on 28 by 28 pixels. Source: its technical report (2025)."""

_REQUEST_TOKENS: Final = 24
"""Includes the system prompt that Qwen2.5's template puts where a request has none."""
_MESSAGE_TOKENS: Final = 5
_TOOLS_PREAMBLE_TOKENS: Final = 90
_TOOL_TOKENS: Final = 7
_CALL_TOKENS: Final = 18
_RESULT_TOKENS: Final = 10
"""The markup around these in Qwen2.5's chat template, as Qwen's tokenizer counts it."""
_COMPACT_JSON_PERCENT: Final = 85
"""Of the weight of other text: where no space is between them, quotes, colons and commas share
tokens (`":"`, `","`)."""

_UNITS_PER_TOKEN: Final = 50
LONG_CHARS: Final = 4096
"""Texts from here on are weighed one by one: system prompts, files, which come again."""
_MOST_TOKENS_PER_BYTE: Final = 5
"""Text has at most 1.4; `{},` among the tools has most: three bytes for 7 tokens and its text."""


def _byte_weights() -> bytes:
    """Return a 256-byte table: the weight of each byte value in fiftieths of a token."""
    weights = bytearray([27]) * 256  # the rest of ASCII punctuation
    classes: tuple[tuple[bytes, int], ...] = (
        (bytes(range(0x20)), 40),  # control characters
        (string.ascii_lowercase.encode(), 14),
        (string.ascii_uppercase.encode(), 17),
        (string.digits.encode(), 54),  # and often a token for the space before them
        (b" ", 4),
        (b"\t", 22),
        (b"\r\n", 20),
        (b'",', 24),
        (b"-=*#/.", 32),
        (b"_", 10),
        (bytes(range(0x80, 0xC0)), 8),  # continuation bytes
        (bytes(range(0xC0, 0xC6)), 37),  # Latin accents
        (bytes(range(0xC6, 0xCE)), 32),
        (bytes(range(0xCE, 0xD0)), 62),  # Greek
        (bytes(range(0xD0, 0xD5)), 18),  # Cyrillic
        (bytes(range(0xD5, 0xE0)), 32),  # Hebrew, Arabic
        (bytes(range(0xE0, 0xE2)), 29),  # Indic, Thai
        (b"\xe2", 32),  # typographic punctuation, box drawing
        (b"\xe3", 16),  # kana
        (bytes(range(0xE4, 0xEA)), 20),  # Han
        (bytes(range(0xEA, 0xEE)), 25),  # Hangul
        (bytes(range(0xEE, 0xF0)), 24),  # full-width punctuation
        (bytes(range(0xF0, 0x100)), 70),  # emoji
    )
    for members, weight in classes:
        for byte in members:
            weights[byte] = weight
    return bytes(weights)


_WEIGHTS: Final = _byte_weights()
_LINE_END: Final = _WEIGHTS[ord("\n")]
_CHUNK_BYTES: Final = 65_520 // max(_WEIGHTS)
"""Longest run whose weights cannot sum to more than Adler-32's modulus, 65521, less one."""


@dataclass(frozen=True, slots=True)
class _LongRun:
    """Characters that lines are ruled or indented with, known by their weight."""

    longer: bytes
    """The weights of a run that is one longer than what counts in full."""
    divisor: int
    """Of the rest every so manieth counts. Qwen has tokens for up to 64 of the characters that
    lines are ruled with, and for 128 spaces."""

    def shortened(self, weights: bytes) -> bytes:
        """Return weights in which the runs are as long as they count."""
        if weights.rfind(self.longer) < 0:  # with a needle of equal bytes twice as fast as `in`
            return weights
        # The pattern begins with a literal, which is searched for at C speed.
        pattern = re.escape(self.longer) + re.escape(self.longer[:1]) + b"*"
        return re.sub(pattern, self._shorter, weights)

    def _shorter(self, run: re.Match[bytes]) -> bytes:
        full = len(self.longer) - 1
        return run[0][: full + (len(run[0]) - full) // self.divisor]


_RULED: Final = _LongRun(bytes((_WEIGHTS[ord("-")],)) * (8 + 1), 32)
_INDENTED: Final = _LongRun(bytes((_WEIGHTS[ord(" ")],)) * (24 + 1), 8)


def text_units(data: bytes) -> int:
    """Return the weight of UTF-8 text in fiftieths of a token."""
    weights = _INDENTED.shortened(_RULED.shortened(data.translate(_WEIGHTS)))
    # The low half of Adler-32, started at 0, is the plain sum of the bytes modulo 65521: the one
    # sum over bytes that the standard library does at C speed.
    units = 0
    for start in range(0, len(weights), _CHUNK_BYTES):
        units += zlib.adler32(weights[start : start + _CHUNK_BYTES], 0) & 0xFFFF
    return units


def units_of_text(text: str) -> int:
    """Return `text_units` of a text; surrogates count as the three bytes that they would be."""
    return text_units(text.encode("utf-8", "surrogatepass"))


@record(frozen=True, slots=True)
class PromptEstimate:
    """The estimated tokens of a prompt."""

    tokens: int
    """All of them, at least 1."""
    image_tokens: int = 0
    """How many of them are guesses about images, from which nothing can be learned."""


@dataclass(slots=True)
class _Tally:
    """What has been found so far."""

    tokens: int = _REQUEST_TOKENS
    image_tokens: int = 0
    texts: list[str] = field(default_factory=list)
    blobs: list[bytes] = field(default_factory=list)

    def total(self, units_of: Callable[[str], int]) -> PromptEstimate:
        """Return the fixed amounts plus the weight of all text, rounded up."""
        # Texts count as lines. No run that counts for less reaches across the end of a line.
        short: list[str] = []
        units = long = 0
        for text in self.texts:
            if len(text) < LONG_CHARS:
                short.append(text)
            else:
                units += units_of(text)
                long += 1
        line_ends = long if short else max(0, long - 1)
        units += units_of_text("\n".join(short)) + line_ends * _LINE_END
        json_units = sum(map(text_units, self.blobs))
        units -= -json_units * _COMPACT_JSON_PERCENT // 100
        tokens = self.tokens - (-units // _UNITS_PER_TOKEN)
        return PromptEstimate(tokens + self.image_tokens, self.image_tokens)

    def add_json(self, value: object) -> None:
        """Count a value as the JSON text a chat template would render."""
        try:
            self.blobs.append(orjson.dumps(value))
        except orjson.JSONEncodeError:
            # Nested deeper than orjson writes, although it can read it.
            self.texts.extend(_strings(value))


def estimate_input_tokens(
    body: Mapping[str, Any], units_of: Callable[[str], int] = units_of_text
) -> int:
    """Return the tokens of `estimate_prompt`."""
    return estimate_prompt(body, units_of).tokens


def estimate_prompt(
    body: Mapping[str, Any], units_of: Callable[[str], int] = units_of_text
) -> PromptEstimate:
    """Return the estimated input tokens of a parsed Messages body.

    Never raises: what is malformed counts for little, since validation refuses it anyway. base64
    payloads are not counted as text.

    Args:
        body: As it was parsed.
        units_of: Weighs a text of `LONG_CHARS` or more, as `units_of_text` does.
    """
    tally = _Tally()
    _add_content(tally, body.get("system"))
    for message in _dicts(body.get("messages")):
        tally.tokens += _MESSAGE_TOKENS
        _add_content(tally, message.get("content"))
    tools = _dicts(body.get("tools"))
    if tools:
        tally.tokens += _TOOLS_PREAMBLE_TOKENS + _TOOL_TOKENS * len(tools)
        for tool in tools:
            tally.add_json(tool)
    return tally.total(units_of)


def most_input_tokens(body_bytes: int) -> int:
    """Return what `estimate_input_tokens` never exceeds for a body without images.

    Args:
        body_bytes: Length of the request's JSON.
    """
    return _REQUEST_TOKENS + _TOOLS_PREAMBLE_TOKENS + _MOST_TOKENS_PER_BYTE * body_bytes


def _dicts(value: object) -> list[dict[str, Any]]:
    """Return the objects of a JSON array; nothing for anything else."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _add_content(tally: _Tally, content: object) -> None:
    """Count message or system content: a string or a list of blocks."""
    if isinstance(content, str):
        tally.texts.append(content)
    elif isinstance(content, list):
        for block in content:
            if isinstance(block, dict):
                _add_block(tally, block)


def _add_block(tally: _Tally, block: dict[str, Any]) -> None:
    """Count one content block."""
    match block.get("type"):
        case "text":
            _add_content(tally, block.get("text"))
        case "thinking":
            _add_content(tally, block.get("thinking"))
        case "redacted_thinking":
            pass  # encrypted; no local model ever sees it
        case "tool_use":
            tally.tokens += _CALL_TOKENS
            _add_content(tally, block.get("name"))
            tally.add_json(block.get("input"))
        case "tool_result":
            tally.tokens += _RESULT_TOKENS
            _add_nested(tally, block.get("content"))
        case "image":
            tally.image_tokens += _image_tokens(block.get("source"))
        case _:
            tally.texts.extend(_strings(block))


def _add_nested(tally: _Tally, content: object) -> None:
    """Count the content of a tool result, which holds no further tool results."""
    if isinstance(content, str):
        tally.texts.append(content)
        return
    for block in _dicts(content):
        match block:
            case {"type": "text", "text": str(text)}:
                tally.texts.append(text)
            case {"type": "image"}:
                tally.image_tokens += _image_tokens(block.get("source"))
            case _:
                tally.texts.extend(_strings(block))


def _image_tokens(source: object) -> int:
    """Return the tokens of an image: by size for a PNG, else `UNKNOWN_IMAGE_TOKENS`."""
    match source:
        case {"type": "base64", "data": str(data)}:
            size = _png_size_px(data)
        case _:
            size = None
    if size is None:
        return UNKNOWN_IMAGE_TOKENS
    width, height = (-(-side // _IMAGE_PATCH_PX) for side in size)
    return max(1, min(width * height, MAX_IMAGE_TOKENS))


def _png_size_px(data: str) -> tuple[int, int] | None:
    """Read width and height from the header of a base64 PNG; None for anything else."""
    try:
        head = binascii.a2b_base64(data[:32])
    except ValueError:
        return None
    if len(head) < 24 or not head.startswith(b"\x89PNG\r\n\x1a\n"):
        return None
    return int.from_bytes(head[16:20]), int.from_bytes(head[20:24])


def _strings(value: object) -> Iterator[str]:
    """Yield keys and strings of a JSON value, except base64 payloads; numbers as their text.

    An explicit stack, because a parsed body may be nested deeper than Python recurses.
    """
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, Mapping):
            yield from map(str, item)
            stack.extend(
                part
                for key, part in item.items()
                if not (key == "data" and item.get("type") == "base64")
            )
        elif isinstance(item, list):
            stack.extend(item)
        elif isinstance(item, int | float):
            yield str(item)
