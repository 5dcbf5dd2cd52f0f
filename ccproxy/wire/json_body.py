"""A request body from bytes to one JSON object, or a 400 in Anthropic's words.

What is refused here never reaches a parser of ours again: invalid UTF-8, lone surrogates, `NaN`,
byte order marks, nesting beyond orjson's limit of 1024, and bodies built of so many small values
that the parsed tree would be far larger than the bytes. Of duplicate keys the last one wins
(conformance 067-071).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from ccproxy.wire.errors import ApiError, invalid_request

if TYPE_CHECKING:
    from collections.abc import Callable

COUNTED_BYTES: Final = 256 * 1024
"""To count through a body takes 0.1 ms for each 100 KB, which shorter ones are spared."""
MAX_STRUCTURE_BYTES: Final = 1_000_000
"""Most `[`, `{` and `,` a body may hold; each starts at most one value of about 64 bytes.

The signs are counted inside strings too, which errs toward refusing. A prompt that fills a
context of a million tokens holds a third of that (JSON text: one such sign per 8 bytes), and large
bodies are large by base64, which has none of them.
"""


def _for_nobody(_size_bytes: int) -> None:
    """Count nothing: a body of ours, or of an upstream."""


def parse_json_object(body: bytes, hold: Callable[[int], object] = _for_nobody) -> dict[str, Any]:
    """Return the object in `body`.

    Args:
        body: Its bytes.
        hold: Called before with about the memory that its values take besides their text; may
            raise. A list is 56 bytes and 8 in what it is in, an object of one key 180 to 230.

    Raises:
        ApiError: 400 if it is not one JSON object in UTF-8; 413 if it has too many values.
    """
    if len(body) >= COUNTED_BYTES:
        commas, lists, objects = map(body.count, (b",", b"[", b"{"))
        if commas + lists + objects > MAX_STRUCTURE_BYTES:
            raise ApiError(
                413,
                f"The request body has more than {MAX_STRUCTURE_BYTES} JSON values."
                " Send fewer and larger values.",
                should_retry=False,
            )
        hold(64 * (commas + lists) + 240 * objects)
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        # The exception carries a copy of the whole document, so it must not be chained.
        message = f"The request body is not valid JSON: {error}"
    else:
        if isinstance(parsed, dict):
            return parsed
        message = "The request body is not valid JSON: expected an object: line 1 column 1 (char 0)"
    raise invalid_request(message)
