"""Finding line and column of a JSON value."""

from __future__ import annotations

import json

import pytest

from ccproxy.config.json_places import find_places

TEXT = """{
  "a": 1,
  "list": [10, {"deep": "x, ] } : \\" y"}, []],
  "empty": {},
\t"\\u0061b": {"after": null}
}
"""


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ((), (1, 1)),
        (("a",), (2, 3)),
        (("list", 0), (3, 12)),
        (("list", 1), (3, 16)),
        (("list", 1, "deep"), (3, 17)),
        (("list", 2), (3, 43)),
        (("empty",), (4, 3)),
        (("ab",), (5, 2)),
        (("ab", "after"), (5, 14)),
        (("list", 1, "missing", 3), (3, 16)),
        (("nowhere",), (1, 1)),
    ],
)
def test_each_key_and_item_is_found(path: tuple[str | int, ...], expected: tuple[int, int]) -> None:
    """A path leads to the line and column of its key or item, else of what encloses it."""
    json.loads(TEXT)

    assert find_places(TEXT).line_and_column(path) == expected


@pytest.mark.parametrize("text", ["1", '"x"', "[]", "{}", "[[[]]]", ' {"a":[{}]} ', "-1.5e3"])
def test_any_json_is_walked(text: str) -> None:
    """Every kind of JSON document has a root place."""
    assert () in find_places(text).offsets


def test_repeated_keys_are_told_and_the_last_counts() -> None:
    """A key that comes twice is reported once, and what the first one held is forgotten."""
    text = '{"a": [{"b": 1}, {"b": 2}],\n "a": [{"b": 3}]}'
    places = find_places(text)

    assert places.repeated == (("a",),)
    assert places.line_and_column(("a", 0, "b")) == (2, 9)
    assert ("a", 1) not in places.offsets
