"""JSON as it goes on the wire: valid UTF-8, one line for every reader, never an exception.

Rules:
1. Surrogates: a pair becomes its character, a lone one U+FFFD; neither exists in UTF-8.
2. NaN and the infinities become null; JSON has no word for them.
3. U+0085, U+2028 and U+2029 are written as escapes: some clients split lines at them
   (`str.splitlines`), and a frame must stay one line (conformance 130, 131).
4. Integers of any size are kept, and so is the order of keys.
"""

from __future__ import annotations

import json
from math import isfinite
from typing import Any

import orjson


def encodable(text: str) -> str:
    """Return the text with its surrogates replaced (rule 1); most texts come back as they are."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def text_json(text: str) -> bytes:
    """Return a JSON string, quotes included."""
    try:
        raw = orjson.dumps(text)
    except TypeError:
        raw = orjson.dumps(encodable(text))
    return raw if raw.isascii() else _one_line(raw)


def json_bytes(value: object) -> bytes:
    """Return compact JSON of dicts, lists, strings, numbers, booleans and None.

    Raises:
        ValueError: Nested more than some hundred levels deep.
        TypeError: Something that JSON does not know.
    """
    try:
        raw = orjson.dumps(value)
    except TypeError:  # a surrogate, an integer beyond 64 bits, or more than 254 levels
        try:
            text = json.dumps(_plain(value), ensure_ascii=False, separators=(",", ":"))
        except RecursionError as exc:
            msg = "the value is nested too deeply for JSON"
            raise ValueError(msg) from exc
        raw = text.encode()
    return raw if raw.isascii() else _one_line(raw)


def read_json(text: str) -> Any:  # noqa: ANN401 - any JSON value
    """Return the value of a JSON text, which may hold lone surrogates as itself or as escapes.

    Raises:
        ValueError: It is no JSON; the message says where, for people. Or it is nested more than
            some hundred levels deep.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as exc:
        refused = exc
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise refused from None


def _refuse(word: str) -> Any:  # noqa: ANN401 - never returns
    raise ValueError(word)


def _one_line(raw: bytes) -> bytes:
    # These byte sequences are whole characters wherever they occur in valid UTF-8.
    return (
        raw.replace(b"\xc2\x85", b"\\u0085")
        .replace(b"\xe2\x80\xa8", b"\\u2028")
        .replace(b"\xe2\x80\xa9", b"\\u2029")
    )


def _plain(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, dict):
        return {encodable(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not isfinite(value):
        return None
    return value
