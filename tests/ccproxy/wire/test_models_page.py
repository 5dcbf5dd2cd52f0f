"""The models list: shape, pages, lookup, merge."""

from __future__ import annotations

import pytest
from anthropic.types import ModelInfo

from ccproxy.wire.errors import ApiError
from ccproxy.wire.models_page import (
    ModelEntry,
    PageQuery,
    claude_entries,
    find,
    merge,
    page,
    parse_page_query,
)

FIVE = [ModelEntry(id=name, display_name=name.upper()) for name in "abcde"]


def ids(answer: dict[str, object]) -> str:
    """Join the ids of a page."""
    data = answer["data"]
    assert isinstance(data, list)
    return "".join(info["id"] for info in data)


def test_entry_is_a_model_info_of_the_sdk() -> None:
    """An entry's JSON validates as the SDK's ModelInfo, every key present (conformance 249)."""
    info = ModelEntry(id="qwen3:30b", display_name="Qwen 3", max_input_tokens=32768).as_info()
    parsed = ModelInfo.model_validate(info)
    assert (parsed.type, parsed.id, parsed.max_input_tokens) == ("model", "qwen3:30b", 32768)
    assert parsed.created_at.year == 1970
    assert set(ModelInfo.model_fields) <= set(info)


def test_capabilities_pass_in_anthropics_shape() -> None:
    """Given capabilities are shown as they are (conformance 250)."""
    capabilities = {"image_input": {"supported": False}}
    entry = ModelEntry(id="a", display_name="A", capabilities=capabilities)
    assert entry.as_info()["capabilities"] == capabilities


def test_claude_info_is_given_back_unchanged() -> None:
    """Claude's own entries keep every key, known or not (conformance 249)."""
    info = {"type": "model", "id": "claude-x", "display_name": "X", "brand_new": [1]}
    assert [entry.as_info() for entry in claude_entries([info])] == [info]


@pytest.mark.parametrize("data", [None, {}, "x", [None, 1, {}, {"id": 3}, {"id": ""}]])
def test_odd_claude_data_is_left_out(data: object) -> None:
    """Whatever Claude's list is not, it breaks nothing (conformance 254)."""
    assert claude_entries(data) == []


def test_merge_is_local_first_and_without_duplicates() -> None:
    """Local deployments come first, then Claude's, and the first of an id stays (256)."""
    local = [ModelEntry(id="b", display_name="local"), ModelEntry(id="a", display_name="local")]
    claude = [ModelEntry(id=name, display_name="claude") for name in "cbd"]
    merged = merge(local, claude)
    assert [(entry.id, entry.display_name) for entry in merged] == [
        ("b", "local"),
        ("a", "local"),
        ("c", "claude"),
        ("d", "claude"),
    ]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, ("abcde", False, "a", "e")),
        ({"limit": 2}, ("ab", True, "a", "b")),
        ({"limit": 5}, ("abcde", False, "a", "e")),
        ({"limit": 2, "after_id": "b"}, ("cd", True, "c", "d")),
        ({"limit": 2, "after_id": "c"}, ("de", False, "d", "e")),
        ({"after_id": "e"}, ("", False, None, None)),
        ({"limit": 2, "before_id": "e"}, ("cd", True, "c", "d")),
        ({"limit": 2, "before_id": "c"}, ("ab", False, "a", "b")),
        ({"before_id": "a"}, ("", False, None, None)),
    ],
)
def test_pages(arguments: dict[str, object], expected: tuple[object, ...]) -> None:
    """Cursors are honoured in both directions and has_more is true to the rest (252, 253)."""
    answer = page(FIVE, **arguments)  # type: ignore[arg-type]
    assert (ids(answer), answer["has_more"], answer["first_id"], answer["last_id"]) == expected


def test_empty_list_has_null_ids() -> None:
    """An empty list has null ids and no more (conformance 253)."""
    assert page([]) == {"data": [], "has_more": False, "first_id": None, "last_id": None}


def test_pagination_ends_and_misses_nothing() -> None:
    """Following last_id until has_more is false visits every entry once (conformance 252)."""
    seen, after_id = "", None
    for _ in range(10):
        answer = page(FIVE, 2, after_id)
        seen += ids(answer)
        after_id = answer["last_id"]
        if not answer["has_more"]:
            break
    assert seen == "abcde"


def test_lifecycle_filter() -> None:
    """Only the wanted lifecycles are listed (conformance 251)."""
    entries = [*FIVE, ModelEntry(id="old", display_name="Old", lifecycle="deprecated")]
    assert ids(page(entries, lifecycle=("deprecated",))) == "old"
    assert ids(page(entries, lifecycle=("active",))) == "abcde"


@pytest.mark.parametrize("cursor", [{"after_id": "zz"}, {"before_id": "zz"}])
def test_unknown_cursor_is_a_400(cursor: dict[str, str]) -> None:
    """A cursor that is not in the list is refused by name (conformance 252)."""
    with pytest.raises(ApiError, match="zz") as caught:
        page(FIVE, 20, **cursor)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (b"", PageQuery()),
        (b"beta=true&other=1", PageQuery()),
        (b"limit=1", PageQuery(limit=1)),
        (b"limit=1000", PageQuery(limit=1000)),
        (b"limit=5&limit=7", PageQuery(limit=7)),
        (b"after_id=qwen3%3A30b", PageQuery(after_id="qwen3:30b")),
        (b"before_id=a%2Fb", PageQuery(before_id="a/b")),
        (b"lifecycle%5B%5D=active&lifecycle[]=retired", PageQuery(lifecycle=("active", "retired"))),
    ],
)
def test_query(query: bytes, expected: PageQuery) -> None:
    """Limit 1 to 1000 (20 by default), cursors and lifecycle are read (conformance 251)."""
    assert parse_page_query(query) == expected


@pytest.mark.parametrize(
    ("query", "named"),
    [
        (b"limit=0", "limit"),
        (b"limit=-1", "limit"),
        (b"limit=1001", "limit"),
        (b"limit=", "limit"),
        (b"limit=ten", "limit"),
        (b"limit=1.5", "limit"),
        (b"limit=1_0", "limit"),
        (b"limit=%D9%A1", "limit"),
        (b"limit=" + b"9" * 10_000, "limit"),
        (b"after_id=a&before_id=b", "before_id"),
        (b"lifecycle[]=new", "lifecycle"),
    ],
)
def test_bad_query_is_a_400(query: bytes, named: str) -> None:
    """A bad parameter is refused by name (conformance 251, 252)."""
    with pytest.raises(ApiError, match=f"^{named}: ") as caught:
        parse_page_query(query)
    assert caught.value.status == 400


@pytest.mark.parametrize("wanted", ["qwen3:30b", "qwen3%3A30b", "hf.co/x/y", "hf.co%2Fx%2fy"])
def test_find_takes_encoded_and_plain_ids(wanted: str) -> None:
    """Ids with `:`, `/` and `.` resolve, percent-encoded or not (conformance 005)."""
    entries = [ModelEntry(id=name, display_name="") for name in ("qwen3:30b", "hf.co/x/y")]
    assert find(entries, wanted).id in {"qwen3:30b", "hf.co/x/y"}


def test_find_unknown_is_a_404() -> None:
    """An unknown id is a 404 that names it (conformance 005)."""
    with pytest.raises(ApiError) as caught:
        find(FIVE, "nope")
    assert (caught.value.status, caught.value.error_type) == (404, "not_found_error")
    assert caught.value.message == "model: nope"
