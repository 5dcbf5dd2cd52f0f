"""The token estimate: bounds against a real tokenizer, and the laws it keeps."""

from __future__ import annotations

import base64
from functools import cache
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccproxy.ports import ModelFacts
from ccproxy.wire.estimate import (
    MAX_IMAGE_TOKENS,
    UNKNOWN_IMAGE_TOKENS,
    PromptEstimate,
    estimate_input_tokens,
    estimate_prompt,
    most_input_tokens,
    text_units,
)
from ccproxy.wire.normalise import normalise
from ccproxy.wire.validate import validate_request
from tests.support.qwen_prompt import QwenTokenizer, qwen_prompt

ROOT = Path(__file__).parents[3]
TEXTS = ROOT / "tests" / "data" / "texts"
LOWEST, HIGHEST = 0.9, 1.4


@cache
def tokenizer() -> QwenTokenizer:
    """Return Qwen's own; it takes a second to build."""
    return QwenTokenizer()


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
    **{
        f"code: {file.name}": lambda name=file.name: read(f"tests/data/texts/code/{name}")
        for file in sorted((TEXTS / "code").iterdir())
    },
    "prose: documentation": lambda: read("docs/*.md"),
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


@pytest.mark.needs("qwen")
@pytest.mark.parametrize("name", SAMPLES)
def test_estimate_stays_within_its_bound(name: str) -> None:
    """Code, prose, JSON and CJK are estimated at 0.9 to 1.4 of what Qwen counts (conformance 244)."""
    text = SAMPLES[name]()
    ratio = text_units(text.encode()) / 50 / tokenizer().count(text)
    assert LOWEST <= ratio <= HIGHEST


def tool(name: str, text: str) -> dict[str, Any]:
    """Return a tool as agents offer them, with a schema of some depth."""
    properties = {
        "file_path": {"type": "string", "description": "The absolute path of the file"},
        "limit": {"type": "integer", "minimum": 1, "maximum": 2000, "description": text[:80]},
        "mode": {"type": "string", "enum": ["content", "files_with_matches", "count"]},
        "edits": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"old_string": {"type": "string"}, "new_string": {"type": "string"}},
                "required": ["old_string", "new_string"],
            },
        },
    }
    return {
        "name": name,
        "description": text,
        "input_schema": {"type": "object", "properties": properties, "required": ["file_path"]},
    }


def tool_turns(results: list[str]) -> list[dict[str, Any]]:
    """Return a conversation in which each of these was the result of a call."""
    turns: list[dict[str, Any]] = [{"role": "user", "content": "Find the bug, and tell me why."}]
    for number, result in enumerate(results):
        call = {
            "type": "tool_use",
            "id": f"toolu_{number}",
            "name": "Read",
            "input": {"file_path": f"/srv/app/src/module_{number}.py", "limit": 200},
        }
        said = {"type": "text", "text": f"Let me look at module {number}."}
        turns += [
            {"role": "assistant", "content": [said, call]},
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": f"toolu_{number}", "content": result}
                ],
            },
        ]
    return turns


def pieces(pattern: str, size: int, count: int) -> list[str]:
    """Return the first pieces of our own files that match."""
    text = read(pattern)
    return [text[start : start + size] for start in range(0, size * count, size)]


ENGLISH = "tests/data/texts/en.txt"
REQUESTS: dict[str, dict[str, Any]] = {
    "one question": {"messages": [{"role": "user", "content": read(ENGLISH)[:500]}]},
    "system and turns": {
        "system": read(ENGLISH),
        "messages": [
            {"role": role, "content": text}
            for role, text in zip(
                ["user", "assistant"] * 4 + ["user"], pieces("docs/*.md", 700, 9), strict=True
            )
        ],
    },
    "many tools": {
        "system": "You are careful and brief.",
        "tools": [tool(f"Tool{number}", read(ENGLISH)[:300]) for number in range(20)],
        "messages": [{"role": "user", "content": "Which tool would you use?"}],
    },
    "tools and results": {
        "system": read(ENGLISH),
        "tools": [tool(name, read(ENGLISH)) for name in ("Read", "Grep", "Edit", "Bash")],
        "messages": tool_turns(pieces("ccproxy/wire/*.py", 1500, 12)),
    },
    "many small results": {
        "tools": [tool("Read", "Reads a file.")],
        "messages": tool_turns(["ok"] * 60),
    },
    "JSON results": {
        "tools": [tool("Fetch", "Fetches records.")],
        "messages": tool_turns([orjson.dumps(each).decode() for each in pricing()[:40]]),
    },
    "Chinese": {"messages": [{"role": "user", "content": read("tests/data/texts/zh.txt") * 3}]},
}


@pytest.mark.needs("qwen")
@pytest.mark.parametrize("name", REQUESTS)
def test_whole_requests_stay_within_their_bound(name: str) -> None:
    """A request is estimated at 0.9 to 1.4 of its prompt by Qwen's own template (conformance 244).

    The prompt is made of what is really sent to the model: the request, normalised.
    """
    body = {"model": "m", "max_tokens": 100, **REQUESTS[name]}
    validate_request(body, version="2023-06-01", counting=False)
    facts = ModelFacts(supports_tools=True)
    real = tokenizer().count(qwen_prompt(normalise(body, facts, max_output_tokens_cap=None)))
    assert LOWEST <= estimate_input_tokens(body) / real <= HIGHEST


RULED = {
    "rules": ("-" * 78 + "\n") * 40,
    "headings": "Results\n" + "=" * 70 + "\nAll is well.\n" + "#" * 70 + "\n",
    "indents": "\n".join(" " * 60 + word for word in ("alpha", "beta", "gamma") * 20),
    "comments": "/" * 80 + "\n// Helpers of the parser\n" + "*" * 80,
    "nothing else": "=" * 3000,
    "spaces": " " * 4000,
}


@pytest.mark.needs("qwen")
@pytest.mark.parametrize("name", RULED)
def test_ruled_lines_are_not_taken_for_words(name: str) -> None:
    """A line of dashes is a token or two; counted byte by byte it would be fifty."""
    real = tokenizer().count(RULED[name])
    estimated = text_units(RULED[name].encode()) / 50
    assert LOWEST * real <= estimated <= 4 * real
    assert estimate_input_tokens(message(RULED[name])) < estimated + 40


RUNS = st.lists(st.tuples(st.sampled_from("-= a"), st.integers(1, 120)), max_size=4).map(
    lambda runs: "".join(character * length for character, length in runs)
)


@given(RUNS, RUNS | st.sampled_from(["-", "=", " "]))
def test_longer_runs_never_count_less(text: str, more: str) -> None:
    """The law holds for what is mostly runs, too (conformance 244)."""
    base = estimate_input_tokens(message(text))
    assert estimate_input_tokens(message(text + more)) >= base
    assert estimate_input_tokens(message(more + text)) >= base


@pytest.mark.needs("qwen")
def test_every_digit_is_a_token() -> None:
    """Numbers weigh what they weigh in Qwen, also long ones."""
    text = "3141592653589793" * 50
    assert tokenizer().count(text) == len(text)
    assert len(text) <= text_units(text.encode()) / 50 <= HIGHEST * len(text)


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


def test_what_images_add_is_told_apart() -> None:
    """Nothing is learned of guesses: they are part of the estimate, and named."""
    text = [{"type": "text", "text": "word " * 50}]
    plain = estimate_prompt(message(text))
    assert plain.image_tokens == 0
    assert estimate_prompt(message([*text, png(280, 28)])) == PromptEstimate(plain.tokens + 10, 10)


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
