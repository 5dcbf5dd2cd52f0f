"""The token estimate: bounds against a real tokenizer, and the laws it keeps."""

from __future__ import annotations

import base64
import importlib.util
import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccproxy.wire.estimate import (
    MAX_IMAGE_TOKENS,
    UNKNOWN_IMAGE_TOKENS,
    estimate_input_tokens,
    most_input_tokens,
    text_units,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    import tiktoken

ROOT = Path(__file__).parents[3]
TEXTS = ROOT / "tests" / "data" / "texts"
LOWEST, HIGHEST = 0.9, 1.35


@pytest.fixture(scope="module")
def tokenizer() -> Iterator[tiktoken.Encoding]:
    """Return cl100k_base from the copy inside LiteLLM, without importing LiteLLM."""
    spec = importlib.util.find_spec("litellm")
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent / "litellm_core_utils" / "tokenizers"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "TIKTOKEN_CACHE_DIR", str(folder))
        import tiktoken  # noqa: PLC0415 - reads the variable when a vocabulary is first loaded

        yield tiktoken.get_encoding("cl100k_base")


@cache
def read(pattern: str) -> str:
    """Return the text of our own files that match, at most 60,000 characters."""
    files = sorted(ROOT.glob(pattern))
    assert files, pattern
    return "\n".join(file.read_text("utf-8") for file in files)[:60_000]


def pricing() -> list[dict[str, Any]]:
    """Return records with numbers, names and nested objects."""
    return [
        {
            "model": f"claude-example-{index}",
            "input_cost_per_token": 3e-06 * index,
            "max_tokens": 8192 * index,
            "supports": {"vision": index % 2 == 0, "tools": True},
            "aliases": [f"alias-{index}", None],
        }
        for index in range(1, 60)
    ]


SAMPLES = {
    "code: routing": lambda: read("routing/*.py"),
    "code: wire": lambda: read("ccproxy/wire/*.py"),
    "code: tests": lambda: read("tests/ccproxy/wire/*.py"),
    "prose: English": lambda: read("tests/data/texts/en.txt"),
    "prose: German": lambda: read("tests/data/texts/de.txt"),
    "JSON: roster": lambda: read("config/orchestra-config.json"),
    "JSON: records, compact": lambda: orjson.dumps(pricing()).decode(),
    "JSON: records, indented": lambda: orjson.dumps(pricing(), option=orjson.OPT_INDENT_2).decode(),
    "YAML: configuration": lambda: read("config/*.yaml"),
    "CJK: Chinese": lambda: read("tests/data/texts/zh.txt"),
    "CJK: Japanese": lambda: read("tests/data/texts/ja.txt"),
    "CJK: Korean": lambda: read("tests/data/texts/ko.txt"),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_estimate_stays_within_its_bound(name: str, tokenizer: tiktoken.Encoding) -> None:
    """Code, prose, JSON and CJK are estimated at 0.9 to 1.35 of cl100k_base (conformance 244)."""
    text = SAMPLES[name]()
    real = len(tokenizer.encode(text, disallowed_special=()))
    ratio = text_units(text.encode()) / 50 / real
    assert LOWEST <= ratio <= HIGHEST


@pytest.mark.parametrize("name", SAMPLES)
def test_mixed_request_stays_within_its_bound(name: str, tokenizer: tiktoken.Encoding) -> None:
    """In a whole request the fixed amounts add little to a long text (conformance 244)."""
    text = SAMPLES[name]() * 3
    real = len(tokenizer.encode(text, disallowed_special=()))
    body = {"messages": [{"role": "user", "content": text}, {"role": "assistant", "content": "ok"}]}
    assert LOWEST <= estimate_input_tokens(body) / real <= HIGHEST


def message(content: object) -> dict[str, Any]:
    """Return a body with one user message."""
    return {"messages": [{"role": "user", "content": content}]}


def png(width: int, height: int, payload: int = 0) -> dict[str, Any]:
    """Return an image block with a PNG header and some payload bytes."""
    header = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + width.to_bytes(4) + height.to_bytes(4)
    data = base64.b64encode(header + b"\x5a" * payload).decode()
    return {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}


WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)


@given(WORDS, WORDS)
def test_more_text_never_counts_less(text: str, more: str) -> None:
    """Appending or prepending text never lowers the estimate, and it repeats exactly (244)."""
    base = estimate_input_tokens(message(text))
    assert base >= 1
    assert estimate_input_tokens(message(text)) == base
    assert estimate_input_tokens(message(text + more)) >= base
    assert estimate_input_tokens(message(more + text)) >= base


@given(st.binary(max_size=20_000))
def test_units_are_the_plain_sum_of_weights(data: bytes) -> None:
    """The sum over a text is the sum over its bytes, however long it is."""
    assert text_units(data) == sum(text_units(bytes([byte])) for byte in data)


def test_sum_is_exact_where_weights_are_highest() -> None:
    """A long run of the heaviest byte does not overflow the checksum that sums it."""
    assert text_units(b"\xf0" * 100_000) == 100_000 * text_units(b"\xf0")


ADDITIONS = {
    "system": {"system": "You are careful and brief."},
    "system blocks": {"system": [{"type": "text", "text": "You are careful."}]},
    "tools": {"tools": [{"name": "get", "description": "Gets.", "input_schema": {}}]},
}


@pytest.mark.parametrize("addition", ADDITIONS.values(), ids=ADDITIONS.keys())
def test_everything_beside_messages_counts(addition: dict[str, Any]) -> None:
    """System prompt and tools are included (conformance 244)."""
    body = message("Hello")
    assert estimate_input_tokens(body | addition) > estimate_input_tokens(body)


BLOCKS = {
    "text": {"type": "text", "text": "word " * 50},
    "thinking": {"type": "thinking", "thinking": "word " * 50, "signature": "s"},
    "tool_use": {"type": "tool_use", "id": "a", "name": "b", "input": {"x": "word " * 50}},
    "tool_result": {"type": "tool_result", "tool_use_id": "a", "content": "word " * 50},
    "tool_result blocks": {
        "type": "tool_result",
        "tool_use_id": "a",
        "content": [{"type": "text", "text": "word " * 50}],
    },
    "document": {
        "type": "document",
        "source": {"type": "text", "media_type": "text/plain", "data": "word " * 50},
    },
    "document in a result": {
        "type": "tool_result",
        "tool_use_id": "a",
        "content": [{"type": "document", "source": {"type": "content", "content": "word " * 50}}],
    },
    "search_result": {
        "type": "search_result",
        "source": "s",
        "title": "t",
        "content": [{"type": "text", "text": "word " * 50}],
    },
    "server tool result": {
        "type": "web_search_tool_result",
        "tool_use_id": "a",
        "content": [{"title": "word " * 50}],
    },
}


@pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS.keys())
def test_every_block_counts_its_text(block: dict[str, Any]) -> None:
    """The text of every kind of block is counted, about one token a word (conformance 244)."""
    added = estimate_input_tokens(message([block])) - estimate_input_tokens(message([]))
    assert 50 <= added <= 150


def test_images_count_by_size_not_by_bytes() -> None:
    """A PNG counts by its pixels, other images a constant, and base64 never as text (244)."""
    empty = estimate_input_tokens(message([]))

    def tokens(block: dict[str, Any]) -> int:
        return estimate_input_tokens(message([block])) - empty

    jpeg = {"type": "base64", "media_type": "image/jpeg", "data": "/9j/" * 100_000}
    assert tokens(png(280, 28)) == 10
    assert tokens(png(281, 29)) == 22
    assert tokens(png(1, 1)) == 1
    assert tokens(png(10_000, 10_000)) == MAX_IMAGE_TOKENS
    assert tokens(png(280, 28, payload=300_000)) == 10
    assert tokens({"type": "image", "source": jpeg}) == UNKNOWN_IMAGE_TOKENS
    assert tokens({"type": "image", "source": {"type": "url", "url": "https://x"}}) == 1600
    inside = {"type": "tool_result", "tool_use_id": "a", "content": [png(280, 28)]}
    assert tokens(inside) == 10 + tokens({"type": "tool_result", "tool_use_id": "a"})


def test_base64_of_other_blocks_is_not_text() -> None:
    """The payload of a document costs nothing as text."""
    source = {"type": "base64", "media_type": "application/pdf", "data": "A" * 100_000}
    assert estimate_input_tokens(message([{"type": "document", "source": source}])) < 100


def test_encrypted_thinking_costs_nothing() -> None:
    """Redacted thinking never reaches a local model and is not counted."""
    block = {"type": "redacted_thinking", "data": "x" * 10_000}
    assert estimate_input_tokens(message([block])) == estimate_input_tokens(message([]))


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"messages": None},
        {"messages": ["x", 1, None, {"content": 5}, {"content": [1, {"type": []}]}]},
        {"messages": [{"content": [{"type": "image", "source": 1}, {"type": "image"}]}]},
        {"messages": [{"content": [{"type": "image", "source": {"type": "base64"}}]}]},
        {"system": 1, "tools": {"a": 1}},
        {"messages": [{"content": "\ud83d"}], "tools": [{"name": "\ud83d"}]},
    ],
)
def test_malformed_bodies_are_counted_too(body: dict[str, Any]) -> None:
    """The estimate never raises, since it may be taken before validation (conformance 244)."""
    assert estimate_input_tokens(body) >= 1


def test_deep_values_are_counted() -> None:
    """A value nested as deep as a body can be is counted like any other."""
    deep: Any = "word " * 50
    for _ in range(1000):
        deep = [deep]
    block = {"type": "tool_use", "id": "a", "name": "b", "input": deep}
    assert estimate_input_tokens(message([block])) >= 60


ODD_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(-1e300, 1e300) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["type", "text", "a"]), inner),
    max_leaves=8,
)
ODD_BLOCKS = st.builds(
    lambda kind, rest: {**rest, "type": kind},
    st.sampled_from(["text", "thinking", "tool_use", "tool_result", "document", "x"]),
    st.dictionaries(st.sampled_from(["text", "thinking", "input", "content", "name"]), ODD_VALUES),
)


@given(
    st.lists(st.builds(lambda c: {"role": "user", "content": c}, st.lists(ODD_BLOCKS) | st.text())),
    st.lists(st.just({}) | st.dictionaries(st.text(), ODD_VALUES)),
)
def test_the_bound_by_length_holds(
    messages: list[dict[str, Any]], tools: list[dict[str, Any]]
) -> None:
    """Without images no body of a length, however odd, has more tokens than the bound says."""
    body = {"messages": messages, "tools": tools}
    assert estimate_input_tokens(body) <= most_input_tokens(len(orjson.dumps(body)))


def test_the_bound_holds_for_what_is_densest() -> None:
    """Empty tools, and numbers that are longer written out."""
    for body in (b'{"tools":[%s]}' % b",".join([b"{}"] * 3000), b'{"tools":[{"a":[%s]}]}' % (
        b",".join([b"1e15"] * 3000)
    )):  # fmt: skip
        assert estimate_input_tokens(orjson.loads(body)) <= most_input_tokens(len(body))
