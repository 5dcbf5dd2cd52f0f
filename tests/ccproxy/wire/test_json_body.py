"""Bytes to one JSON object, or a 400 in Anthropic's words."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccproxy.wire.errors import ApiError
from ccproxy.wire.json_body import MAX_STRUCTURE_BYTES, parse_json_object

INVALID = {
    "not JSON (067)": b"hello",
    "unfinished (067)": b'{"a": ',
    "trailing content (067)": b"{} x",
    "lone high surrogate (068)": b'{"a": "\\ud83d"}',
    "lone low surrogate (068)": b'{"a": "\\udc00"}',
    "invalid UTF-8 (069)": b'{"a": "\xff"}',
    "encoded surrogate (069)": b'{"a": "\xed\xa0\xbd"}',
    "byte order mark (069)": b"\xef\xbb\xbf{}",
    "empty (070)": b"",
    "blank (070)": b" \n",
    "null (070)": b"null",
    "array (070)": b"[]",
    "string (070)": b'"x"',
    "number (070)": b"1",
    "NaN (070)": b'{"a": NaN}',
    "Infinity (070)": b'{"a": Infinity}',
    "-Infinity (070)": b'{"a": -Infinity}',
    "number beyond double": b'{"a": 1e999}',
    "open arrays, 100 000 deep (070)": b"[" * 100_000,
    "closed arrays, 100 000 deep (070)": b"[" * 100_000 + b"]" * 100_000,
    "objects, 100 000 deep (070)": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
}


@pytest.mark.parametrize("body", INVALID.values(), ids=INVALID.keys())
def test_invalid_body_is_a_400(body: bytes) -> None:
    """What is not one JSON object in UTF-8 is a 400 that says where (conformance 067-070)."""
    with pytest.raises(ApiError) as caught:
        parse_json_object(body)
    error = caught.value
    assert (error.status, error.error_type) == (400, "invalid_request_error")
    assert error.message.startswith("The request body is not valid JSON: ")
    assert ": line 1 column " in error.message or ": line 2 column " in error.message
    assert error.message.endswith(")")
    assert error.should_retry is False


def test_position_is_where_the_fault_is() -> None:
    """The message ends with line, column and offset of the fault (conformance 067)."""
    with pytest.raises(ApiError) as caught:
        parse_json_object(b'{"model": oops}')
    assert caught.value.message.endswith(": line 1 column 11 (char 10)")


def test_error_does_not_hold_the_document() -> None:
    """A refused body is not kept alive by the error, as JSONDecodeError would do."""
    with pytest.raises(ApiError) as caught:
        parse_json_object(b"{" * 10)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_last_duplicate_key_wins() -> None:
    """Of duplicate keys the last one counts (conformance 071)."""
    assert parse_json_object(b'{"model": "a", "model": "b"}') == {"model": "b"}


@pytest.mark.parametrize("unit", [b"[],", b"{},", b"1,", b'"a",'])
def test_too_many_values_is_a_413_before_parsing(unit: bytes) -> None:
    """A body of very many small values is refused without building them."""
    body = b'{"a": [' + unit * (MAX_STRUCTURE_BYTES + 1) + b"1]}"
    with pytest.raises(ApiError) as caught:
        parse_json_object(body)
    assert (caught.value.status, caught.value.error_type) == (413, "request_too_large")


def test_large_text_is_not_many_values() -> None:
    """A body that is large by its text passes."""
    text = "The quick brown fox jumps over the lazy dog, again. " * 100_000
    assert parse_json_object(orjson.dumps({"text": text})) == {"text": text}


@given(st.binary(max_size=200))
def test_any_bytes_give_an_object_or_an_api_error(body: bytes) -> None:
    """No bytes raise anything but ApiError."""
    try:
        outcome: object = parse_json_object(body)
    except ApiError as error:
        outcome = error.status
    assert outcome == 400 or isinstance(outcome, dict)


@pytest.mark.parametrize(
    ("value", "least_bytes"),
    [(b'{"":0}', 180), (b"[]", 64), (b'"ab"', 59), (b"1.5", 32)],
)
def test_many_values_are_held_before_they_are_made(value, least_bytes):
    """What they take is told first, and not less than it is; whoever counts may refuse it."""
    number, held = 100_000, []
    body = b'{"x":[' + b",".join([value] * number) + b"]}"

    assert len(parse_json_object(body, held.append)["x"]) == number
    assert sum(held) >= number * least_bytes
    with pytest.raises(ApiError, match="no room"):
        parse_json_object(body, refuse)


def refuse(_size_bytes):
    raise ApiError(529, "no room")
