"""Where Claude's prompt cache could begin and end in a request."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccproxy.wire import cache_layout as module
from ccproxy.wire.cache_layout import cache_layout
from routing.prompt_cache import PromptCache
from tests.support.conversations import conversations
from tests.support.sizes import count

KEY = b"k" * 32
MARK = {"cache_control": {"type": "ephemeral"}}
HOUR = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
TOOL = {"name": "read", "description": "Reads a file.", "input_schema": {"type": "object"}}


def text(words, **more):
    return {"type": "text", "text": words, **more}


def body(*messages, **more):
    return {"model": "m", "max_tokens": 9, "messages": list(messages), **more}


def user(*content):
    return {"role": "user", "content": list(content)}


def digests(request, key=KEY):
    return [block.digest for block in layout_of(request, key).blocks]


def layout_of(request, key=KEY):
    """Return the layout of a request whose last block is marked."""
    return cache_layout({**request, "cache_control": {"type": "ephemeral"}}, key)


@pytest.mark.parametrize(
    ("request_body", "blocks", "marks"),
    [
        (body(user(text("a"))), 0, []),
        (body(user(text("a", **MARK))), 1, [(0, 300)]),
        (body(user(text("a", **HOUR))), 1, [(0, 3600)]),
        (body(user(text("a", **MARK), text("b"))), 1, [(0, 300)]),
        (body(user(text("a")), system="s", tools=[TOOL]), 0, []),
        (body(user(text("a")), system=[text("s"), text("t", **MARK)], tools=[TOOL]), 3, [(2, 300)]),
        (body(user(text("a", **MARK)), system="s", tools=[{**TOOL, **HOUR}]), 3, [(0, 3600), (2, 300)]),
        (body({"role": "user", "content": "a"}, **MARK), 1, [(0, 300)]),
        (body(user(text("a", **MARK)), **MARK), 1, [(0, 300)]),
        (body(user(text("a", **HOUR)), **MARK), 1, [(0, 3600)]),
        (body(user(text("a", **MARK)), user(text("b")), **HOUR), 2, [(0, 300), (1, 3600)]),
        (body(user(text("a")), {"role": "assistant", "content": [text("b"), {"type": "thinking", "thinking": "c"}]}, **MARK), 2, [(1, 300)]),
        (body(user(text("a"), text("")), **MARK), 1, [(0, 300)]),
        (body(user(text("a")), cache_control=None), 0, []),
        (body(user({"type": "tool_result", "tool_use_id": "t", "content": [text("a", **HOUR)]})), 1, [(0, 3600)]),
        (body(user(*(text(str(n), **MARK) for n in range(6)))), 6, [(2, 300), (3, 300), (4, 300), (5, 300)]),
    ],
)  # fmt: skip
def test_marks(request_body, blocks, marks):
    """Blocks up to the last mark, four marks at most, the request's own on its last block."""
    layout = cache_layout(request_body, KEY)

    assert len(layout.blocks) == blocks
    assert [tuple(mark) for mark in layout.breakpoints] == marks


BASE = body(user(text("a")), system=[text("s")], tools=[TOOL, {**TOOL, "name": "write"}])


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({}, 4),
        ({"max_tokens": 5, "metadata": {"user_id": "u"}, "stream": True, "temperature": 1}, 4),
        ({"system": "s"}, 4),
        ({"messages": [{"role": "user", "content": "a"}]}, 4),
        ({"messages": [user(text("a", **MARK))]}, 4),
        ({"tools": [{**TOOL, **HOUR}, {**TOOL, "name": "write"}]}, 4),
        ({"messages": [user(text("b"))]}, 3),
        ({"messages": [{"role": "assistant", "content": "a"}]}, 3),
        ({"tool_choice": {"type": "any"}}, 3),
        ({"thinking": {"type": "enabled", "budget_tokens": 2048}}, 3),
        ({"output_config": {"effort": "low"}}, 3),
        ({"system": "S"}, 2),
        ({"system": [text("s"), text("more")]}, 3),
        ({"tools": [TOOL, {**TOOL, "name": "other"}]}, 1),
        ({"tools": [{**TOOL, "name": "other"}, TOOL]}, 0),
    ],
)
def test_what_a_change_breaks(changes, same):
    """Tools, system prompt and messages in this order: everything from the change on is another."""
    before, after = digests(BASE), digests({**BASE, **changes})
    shared = next((n for n, pair in enumerate(zip(before, after, strict=False)) if len({*pair}) > 1), min(len(before), len(after)))  # fmt: skip

    assert shared == same


def test_the_billing_line_breaks_nothing():
    """It differs with every request, and Claude's cache is read all the same (conformance 167)."""
    line = "x-anthropic-billing-header: cc_version=2.1.329.{}; cc_entrypoint=cli;"
    one, other = (
        digests({**BASE, "system": [text(line.format(number)), text("s")]}) for number in range(2)
    )

    assert one == other == digests(BASE)


def test_deferred_tools_are_not_in_claudes_prompt():
    """A local model reads them; Claude is charged for them when they are asked for."""
    deferred = {**TOOL, "name": "rare", "description": "word " * 200, "defer_loading": True}
    plain, more = layout_of(BASE), layout_of({**BASE, "tools": [*BASE["tools"], deferred]})

    assert (more.blocks, more.total_tokens) == (plain.blocks, plain.total_tokens)
    assert plain.left_out_tokens == 0
    assert more.left_out_tokens > 200


def test_runs_of_calls_and_results():
    """Calls side by side are one position, so are results; texts are not."""
    calls = [{"type": "tool_use", "id": f"t{n}", "name": "read", "input": {}} for n in range(3)]
    results = [{"type": "tool_result", "tool_use_id": f"t{n}", "content": "x"} for n in range(3)]
    request = body({"role": "assistant", "content": [text("a"), text("b"), *calls]}, user(*results))
    runs = [block.continues_run for block in layout_of(request).blocks]

    assert runs == [False, False, False, True, True, False, True, True]


@pytest.mark.parametrize("pixels", ["AAAA", "A" * 400_000])
@pytest.mark.parametrize("nested", [False, True])
def test_an_image_weighs_the_same_whatever_its_bytes(pixels, nested):
    """base64 is no text; but another picture is another prompt."""
    image = {
        "type": "image",
        "source": {"type": "base64", "media_type": "image/png", "data": pixels},
    }
    block = {"type": "tool_result", "tool_use_id": "t", "content": [image]} if nested else image
    layout = layout_of(body(user(block)))

    assert layout.total_tokens == 1600
    assert [layout.blocks[0].digest] != digests(body(user({**block, "more": 1})))


def test_lengths_are_shares_of_the_prompt():
    """A block four times as long takes four times as much of it."""
    request = body(user(text("word " * 400)), user(text("word " * 1600)))
    first, second = layout_of(request).blocks

    assert second.end_tokens == layout_of(request).total_tokens
    assert 4.8 < second.end_tokens / first.end_tokens < 5.1


def test_nothing_of_the_content_is_kept():
    """Digests and numbers: without the key of this process nobody can try a text against them."""
    request = body(user(text("a secret")))
    layout = layout_of(request)

    assert "secret" not in repr(layout)
    assert {len(block.digest) for block in layout.blocks} == {16}
    assert digests(request) != digests(request, b"other")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (body(user(text("ab"))), body(user(text("a"), text("b")))),
        (body(user(text("a")), user(text("b"))), body(user(text("a"), text("b")))),
        (body(user(text("a")), system="b"), body(user(text("b")), system="a")),
    ],
)
def test_prompts_with_the_same_words_are_told_apart(one, other):
    """Where blocks and messages end is part of the prompt."""
    assert digests(one)[-1] != digests(other)[-1]


def test_too_much_or_too_deep_is_not_looked_at(monkeypatch):
    """A prompt of very many blocks, and one that no JSON writer writes."""
    deep = {"a": 1}
    for _ in range(5000):
        deep = {"a": deep}
    monkeypatch.setattr(module, "MOST_BLOCKS", 3)

    assert cache_layout(body(user(*[text("a")] * 3)), KEY) is not None
    assert cache_layout(body(user(*[text("a")] * 4)), KEY) is None
    assert cache_layout(body(user({"type": "tool_use", "input": deep})), KEY) is None


@settings(max_examples=count(quick=25, ci=60, full=400))
@given(conversations())
def test_claude_codes_next_turn_reads_the_one_before(conversation):
    """Turn n+1 extends turn n: it reads all of n's prompt and writes what is new (conformance 106).

    Claude Code moves its marks, rewrites older messages and changes its billing line meanwhile.
    """
    cache, end, before = PromptCache(), 0, None
    for number, request in enumerate(conversation.requests()):
        layout = cache_layout(json.loads(json.dumps(request)), KEY)
        use = cache.look("m", layout, now_s=10 * number).simulated
        ends = [block.end_tokens for block in layout.blocks]
        near = before is None or len(ends) - before < 20
        assert use.five_minutes == (ends[-1] if layout.breakpoints else 0)
        if near and before is not None:
            assert use.read == ends[before - 1] == end
        before, end = len(ends), use.five_minutes


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
BLOCKS = st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "image", "tool_use", "tool_result", "thinking", "new"])},
    optional={"text": st.text(max_size=9), "content": JSON, "cache_control": JSON, "source": JSON},
)
CONTENT = st.text(max_size=9) | st.lists(BLOCKS, max_size=4)


@settings(max_examples=count(quick=50, ci=150, full=2000))
@given(
    st.lists(st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant", "system"]), "content": CONTENT}), max_size=4),
    CONTENT,
    JSON,
)  # fmt: skip
def test_any_body_has_a_layout(messages, system, mark):
    """Never an exception; lengths only grow, and the last of them is not beyond the prompt."""
    request = {"messages": messages, "system": system, "cache_control": mark}
    layout = cache_layout(request, KEY)
    ends = [block.end_tokens for block in layout.blocks]

    assert ends == sorted(ends)
    assert not ends or ends[-1] <= layout.total_tokens
    assert len(layout.breakpoints) <= 4
    assert all(0 <= mark.block < len(ends) for mark in layout.breakpoints)
