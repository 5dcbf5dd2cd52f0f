"""Byte spans of JSON values, and replacing the model without touching anything else."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccproxy.wire.spans import find_member, items, members, replace_model, root

TEXT = st.text(max_size=12)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=25,
)
SPACE = st.text(alphabet=" \t\r\n", max_size=3)


def _string(draw: st.DrawFn, value: str) -> str:
    if draw(st.booleans()):
        return json.dumps(value, ensure_ascii=draw(st.booleans()))
    spelled = []
    for character in value:
        if ord(character) < 0x10000 and draw(st.booleans()):
            spelled.append(f"\\u{ord(character):04x}")
        else:
            spelled.append(json.dumps(character, ensure_ascii=False)[1:-1])
    return '"' + "".join(spelled) + '"'


def _spell(draw: st.DrawFn, value: Any) -> str:
    """Return some legal spelling of `value`."""
    left, right = draw(SPACE), draw(SPACE)
    if isinstance(value, str):
        inner = _string(draw, value)
    elif isinstance(value, list):
        inner = "[" + (",".join(_spell(draw, v) for v in value) or draw(SPACE)) + "]"
    elif isinstance(value, dict):
        pairs = [
            f"{draw(SPACE)}{_string(draw, k)}{draw(SPACE)}:{_spell(draw, v)}"
            for k, v in value.items()
        ]
        inner = "{" + (",".join(pairs) or draw(SPACE)) + "}"
    else:
        inner = json.dumps(value)
    return f"{left}{inner}{right}"


@st.composite
def bodies(draw: st.DrawFn) -> tuple[bytes, dict[str, Any]]:
    """Draw a request-like document in a random spelling, with a `model` somewhere in it."""
    before = draw(st.dictionaries(TEXT | st.just("model"), JSON, max_size=3))
    after = draw(st.dictionaries(TEXT, JSON, max_size=3))
    nested = {"tools": [{"model": draw(TEXT), "x": {"model": "deep"}}]}
    document: dict[str, Any] = {**before, **nested}
    document.pop("model", None)
    document["model"] = draw(TEXT)
    document.update({key: value for key, value in after.items() if key != "model"})
    return _spell(draw, document).encode(), document


@given(bodies(), TEXT)
def test_only_the_model_changes(drawn: tuple[bytes, dict[str, Any]], model: str) -> None:
    """The parsed result differs in `model` alone, and all other bytes are equal (conformance 259)."""
    body, document = drawn
    span = find_member(body, "model", root(body))
    assert span is not None

    replaced = replace_model(body, model)

    assert {**document, "model": model} == orjson.loads(replaced)
    assert body[: span.start] == replaced[: span.start]
    assert replaced.endswith(body[span.end :])
    assert len(body) - (span.end - span.start) + len(orjson.dumps(model)) == len(replaced)


@given(JSON, st.data())
def test_spans_are_the_values(value: Any, data: st.DataObject) -> None:
    """Every span parses to the value that a parser finds there, in any spelling."""
    document = {"a": value, "list": [value, 1, [value]], "z": [], "y": {}}
    body = data.draw(st.composite(lambda draw: _spell(draw, document))()).encode()

    found = {
        orjson.loads(key): orjson.loads(body[a:b]) for key, (a, b) in members(body, root(body))
    }
    span = find_member(body, "list", root(body))

    assert orjson.loads(body) == found
    assert span is not None
    assert found["list"] == [orjson.loads(body[a:b]) for a, b in items(body, span.start)]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"model":"a"}', b'{"model":"new"}'),
        (b'{"model":"a","model" : "b"}', b'{"model":"a","model" : "new"}'),
        (b'{"mod\\u0065l":"a","x":1}', b'{"mod\\u0065l":"new","x":1}'),
        (b'{"model":"a","mod\\u0065l":"b"}', b'{"model":"a","mod\\u0065l":"new"}'),
        (b'{"x":{"model":"a"},"model":"a"}', b'{"x":{"model":"a"},"model":"new"}'),
        (b'{"x":{"model":"new"},"model":"a"}', b'{"x":{"model":"new"},"model":"new"}'),
        (b'{"x":"\\"model\\":\\"q\\"","model":"a"}', b'{"x":"\\"model\\":\\"q\\"","model":"new"}'),
        (b'{"x":"\\\\","model":null}', b'{"x":"\\\\","model":"new"}'),
        (b'{"model":1.50e+3 , "y":[]}', b'{"model":"new" , "y":[]}'),
        (b'{"model":{"a":[1,{}]}}', b'{"model":"new"}'),
        (b'\n{ "model"\t:\r"a" }\n', b'\n{ "model"\t:\r"new" }\n'),
        (b'{"model":"new"}', b'{"model":"new"}'),
    ],
)
def test_replacing_in_every_spelling(body: bytes, expected: bytes) -> None:
    """Duplicates (the last wins), escapes, nesting and white space are told apart."""
    assert expected == replace_model(body, "new")


def test_nesting_deeper_than_any_pattern() -> None:
    """A nesting bomb is walked over in linear time, without recursion."""
    bomb = b"[" * 50_000 + b"]" * 50_000
    body = b'{"a":' + bomb + b',"model":"x"}'

    assert b'{"a":' + bomb + b',"model":"y"}' == replace_model(body, "y")


@pytest.mark.parametrize("body", [b"{}", b'{"x":{"model":"a"}}', b"[]", b'"model"', b"1"])
def test_no_model_to_replace(body: bytes) -> None:
    """A document without a top-level `model` is an error, never a silent copy."""
    with pytest.raises(ValueError, match=r"model|no object"):
        replace_model(body, "new")
