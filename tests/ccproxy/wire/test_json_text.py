"""JSON that always can be sent."""

from __future__ import annotations

import json

import pytest
from hypothesis import given

from ccproxy.wire.json_text import encodable, json_bytes, text_json
from tests.support.model_answers import json_objects


@pytest.mark.parametrize(
    ("text", "encoded"),
    [
        ("", b'""'),
        ("plain", b'"plain"'),
        ("é😀", '"é😀"'.encode()),
        ("\u2028\u2029\x85", b'"\\u2028\\u2029\\u0085"'),
        ("\\\u2028", b'"\\\\\\u2028"'),
        ("\x00\x1f", b'"\\u0000\\u001f"'),
        ("\ud83d\ude00", '"😀"'.encode()),
        ("a\ud83d", '"a\ufffd"'.encode()),
        ("\ude00b", '"\ufffdb"'.encode()),
    ],
)
def test_text_json(text: str, encoded: bytes) -> None:
    """Text becomes one line of valid UTF-8; surrogate pairs join, lone ones are replaced (130)."""
    assert text_json(text) == encoded
    assert json_bytes(text) == encoded
    assert encodable(text).encode() == json.loads(encoded).encode()


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        ({"b": 1, "a": {"z": None, "y": [True]}}, b'{"b":1,"a":{"z":null,"y":[true]}}'),
        ({"x": float("nan"), "y": float("-inf")}, b'{"x":null,"y":null}'),
        ({"n": 2**80, "x": float("inf")}, b'{"n":1208925819614629174706176,"x":null}'),
        ({"\ud800": ("\udfff", 1.5)}, '{"\ufffd":["\ufffd",1.5]}'.encode()),
    ],
)
def test_json_bytes(value: object, encoded: bytes) -> None:
    """Key order, big integers and characters survive; what JSON lacks becomes null (130, 211)."""
    assert json_bytes(value) == encoded


def test_bottomless_value_is_a_value_error() -> None:
    """Nesting beyond what can be written is a ValueError, not a crash."""
    value: dict[str, object] = {}
    for _ in range(100_000):
        value = {"a": value}
    with pytest.raises(ValueError, match="nested too deeply"):
        json_bytes(value)


@given(json_objects())
def test_any_object_can_be_written(value: dict[str, object]) -> None:
    """Every object becomes one line of JSON in UTF-8 (130)."""
    text = json_bytes(value).decode()
    assert len(text.splitlines()) == 1
    assert isinstance(json.loads(text), dict)
