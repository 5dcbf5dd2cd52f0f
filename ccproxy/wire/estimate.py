"""How many tokens a Messages request holds, without a tokenizer.

Used for token rules, the preflight check of a local model, `message_start` and count_tokens, so
that all four agree (conformance 244-246).

Method: every byte of text has a fixed weight by its class (lower-case letter, digit, space, ...),
in fiftieths of a token; the sum, rounded up, plus fixed amounts for each message, tool, call and
image is the estimate. So it is deterministic, never falls when text is added, is linear in the
bytes and works at C speed (0.4 ms for 400 kB on the machine of benchmarks/).

Bound: against `cl100k_base`, a close relative of Qwen's vocabulary, the estimate of plain text is
0.9 to 1.35 times the real count for program code, prose, JSON, and Chinese, Japanese and Korean
text of a few hundred bytes and more. Text without words (base64 or emoji as text) may be half as
much as real. Digits weigh more than in `cl100k_base`, because Qwen gives each digit its own token.
Source: weights fitted to the files and samples that tests/ccproxy/wire/test_estimate.py names.
"""

from __future__ import annotations

import binascii
import string
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

UNKNOWN_IMAGE_TOKENS: Final = 1600
"""An image whose size is not in its first bytes; about Anthropic's most for one image."""
MAX_IMAGE_TOKENS: Final = 4096
_IMAGE_PATCH_PX: Final = 28
"""Qwen2.5-VL spends one token on 28 by 28 pixels. Source: its technical report (2025)."""

_REQUEST_TOKENS: Final = 8
_MESSAGE_TOKENS: Final = 5
_TOOLS_PREAMBLE_TOKENS: Final = 120
_TOOL_TOKENS: Final = 12
_CALL_TOKENS: Final = 20
"""The markup around these in Qwen2.5's chat template, rounded up."""

_UNITS_PER_TOKEN: Final = 50
_MOST_TOKENS_PER_BYTE: Final = 5
"""Text has at most 0.8; `{},` among the tools has most: three bytes for 12 tokens and its text."""


def _byte_weights() -> bytes:
    """Return a 256-byte table: the weight of each byte value in fiftieths of a token."""
    weights = bytearray([21]) * 256  # ASCII punctuation and control characters
    classes: tuple[tuple[bytes, int], ...] = (
        (string.ascii_lowercase.encode(), 14),
        (string.ascii_uppercase.encode(), 16),
        (string.digits.encode(), 40),
        (b" ", 7),
        (b"\t", 14),
        (b"\r\n", 22),
        (b'",', 17),
        (bytes(range(0x80, 0xC0)), 19),  # continuation bytes
        (bytes(range(0xC0, 0xE0)), 6),  # first of two: Latin accents, Greek, Cyrillic
        (bytes(range(0xE0, 0xF0)), 23),  # first of three: most of CJK
        (bytes(range(0xF0, 0x100)), 40),  # first of four: emoji
    )
    for members, weight in classes:
        for byte in members:
            weights[byte] = weight
    return bytes(weights)


_WEIGHTS: Final = _byte_weights()
_CHUNK_BYTES: Final = 65_520 // max(_WEIGHTS)
"""Longest run whose weights cannot sum to more than Adler-32's modulus, 65521, less one."""


def text_units(data: bytes) -> int:
    """Return the weight of UTF-8 text in fiftieths of a token."""
    weights = data.translate(_WEIGHTS)
    # The low half of Adler-32, started at 0, is the plain sum of the bytes modulo 65521: the one
    # sum over bytes that the standard library does at C speed.
    return sum(
        zlib.adler32(weights[start : start + _CHUNK_BYTES], 0) & 0xFFFF
        for start in range(0, len(weights), _CHUNK_BYTES)
    )


@dataclass(slots=True)
class _Tally:
    """What has been found so far."""

    tokens: int = _REQUEST_TOKENS
    texts: list[str] = field(default_factory=list)
    blobs: list[bytes] = field(default_factory=list)

    def total_tokens(self) -> int:
        """Return the fixed amounts plus the weight of all text, rounded up."""
        text = "\n".join(self.texts).encode("utf-8", "surrogatepass")
        units = text_units(text) + sum(map(text_units, self.blobs))
        return self.tokens - (-units // _UNITS_PER_TOKEN)

    def add_json(self, value: object) -> None:
        """Count a value as the JSON text a chat template would render."""
        try:
            self.blobs.append(orjson.dumps(value))
        except orjson.JSONEncodeError:
            # Nested deeper than orjson writes, although it can read it.
            self.texts.extend(_strings(value))


def estimate_input_tokens(body: Mapping[str, Any]) -> int:
    """Return the estimated input tokens of a parsed Messages body, at least 1.

    Never raises: what is malformed counts for little, since validation refuses it anyway. base64
    payloads are not counted as text.
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
    return tally.total_tokens()


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
        return
    for block in _dicts(content):
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
            tally.tokens += _CALL_TOKENS
            _add_nested(tally, block.get("content"))
        case "image":
            tally.tokens += _image_tokens(block.get("source"))
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
                tally.tokens += _image_tokens(block.get("source"))
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
