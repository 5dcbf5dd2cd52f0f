"""Thinking in the text of an answer (conformance 212, 225)."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccproxy.wire.leaked_thinking import LEADING_CHARS, ThinkingFilter
from tests.support.sizes import count

ANSWERS = {
    "text": ("Hello", "", "Hello"),
    "thinking, then text": ("<think>\nHm.\n</think>\n\nHello", "\nHm.\n", "Hello"),
    "the longer tag": ("<thinking>Hm.</thinking>Hello", "Hm.", "Hello"),
    "whitespace before": ("\n <think>Hm.</think> Hello\n", "Hm.", "Hello\n"),
    "empty": ("<think>\n\n</think>\n\nHello", "\n\n", "Hello"),
    "not closed": ("<think>Hm. Let me", "Hm. Let me", ""),
    "half closed": ("<think>Hm.</thi", "Hm.</thi", ""),
    "not closed, and empty": ("<think>", "", ""),
    "the other tag closes": ("<think>a</thinking>b", "a", "b"),
    "the shorter tag closes": ("<thinking>a</think>b", "a", "b"),
    "closed once more": ("<think>a</thinking>\n</think>\nc", "a", "c"),
    "closed once more, behind text": ("<think>a</think>b\n</think>\n\nc", "a", "b\nc"),
    "twice": ("<think>a</think>\n\n<think>b</think>c", "ab", "c"),
    "twice, and different": ("<think>a</think><thinking>b</thinking>\nc", "ab", "c"),
    "twice, not closed": ("<think>a</think> <think>b", "ab", ""),
    "nearly twice": ("<think>a</think>\n<thin ice", "a", "<thin ice"),
    "half a tag behind": ("<think>a</think>\n<thi", "a", "<thi"),
    "opened by the template, with words": ("Hm.\nSo.\n</think>\n\nHello", "", "Hm.\nSo.\nHello"),
    "with words, the longer tag": ("Hm.\n  </thinking> \r\nHello", "", "Hm.\nHello"),
    "with words, and nothing behind": ("Hm.\n</think>", "", "Hm.\n"),
    "with words, and whitespace behind": ("Hm.\n</think> \n\n", "", "Hm.\n"),
    "with words, then thinking": ("Hm.\n</think>\n<think>a</think>b", "a", "Hm.\nb"),
    "closing tag on a line with text": ("Hm.\n</think> it is", "", "Hm.\n</think> it is"),
    "closing tag at a line's end": ("Hm.</think>\nHello", "", "Hm.</think>\nHello"),
    "half a closing tag": ("Hm.\n</thi", "", "Hm.\n</thi"),
    "tags shown": ("Write\n<think>\nHm.\n</think>\n", "", "Write\n<think>\nHm.\n</think>\n"),
    "shown in code": ("So:\n```\n</think>\n```\n", "", "So:\n```\n</think>\n```\n"),
    "shown in code that ends": ("So:\n```\n</think>", "", "So:\n```\n</think>"),
    "indented code": ("So:\n\n    </think>\n", "", "So:\n\n    </think>\n"),
    "opened by the template": ("\n</think>\n\nHello", "", "Hello"),
    "about the tag": ("The tag <think>is</think> text", "", "The tag <think>is</think> text"),
    "once only": (
        "<think>a</think>b<think>c</think>",
        "a",
        "b<think>c</think>",
    ),
    "nearly a tag": ("<thin ice", "", "<thin ice"),
    "half a tag": ("<thi", "", "<thi"),
    "whitespace": (" \n", "", " \n"),
    "nothing": ("", "", ""),
}


def _told(pieces: list[str]) -> tuple[str, str]:
    leaks = ThinkingFilter()
    deltas = [delta for piece in pieces for delta in leaks.feed(piece)]
    deltas += leaks.finish()
    return "".join(delta.thinking for delta in deltas), "".join(delta.text for delta in deltas)


@pytest.mark.parametrize("name", ANSWERS)
def test_every_split(name: str) -> None:
    """What is thinking does not depend on where the text was cut (212, 225)."""
    text, thinking, rest = ANSWERS[name]
    for first in range(len(text) + 1):
        for second in range(first, len(text) + 1):
            pieces = [text[:first], text[first:second], text[second:]]
            assert _told(pieces) == (thinking, rest)


@given(st.lists(st.sampled_from(["<think>", "</think>", "<", "/thi", "nk>", " ", "a"])))
def test_no_word_is_lost(pieces: list[str]) -> None:
    """Without its tags and the whitespace around them, all of the text comes out."""
    thinking, text = _told(pieces)
    whole = "".join(pieces)
    for tag in ("<think>", "</think>"):
        whole, thinking, text = (each.replace(tag, "") for each in (whole, thinking, text))
    assert "".join((thinking + text).split()) == "".join(whole.split())


@pytest.mark.parametrize(
    ("text", "unclosed"),
    [
        ("<think>Hm.", True),
        ("<think>", True),
        ("<think>a</think><thinking>b</thi", True),
        ("<think>Hm.</think>", False),
        ("<think>Hm.</think>Hello", False),
        ("Hello <think>", False),
        ("<thin", False),
        ("", False),
    ],
)
def test_thinking_without_an_end_is_told(text: str, unclosed: bool) -> None:
    """After the end the filter says whether the answer ended within thinking (212)."""
    leaks = ThinkingFilter()
    leaks.feed(text)
    assert not leaks.unclosed
    leaks.finish()
    assert leaks.unclosed is unclosed


@pytest.mark.parametrize("extra", [0, 1])
@pytest.mark.parametrize("size", [1, 10**6])
def test_whitespace_before_an_answer_is_held_to_a_limit(extra: int, size: int) -> None:
    """Behind more whitespace than that the answer is text, its tag too; what is held is bounded."""
    space = " " * (LEADING_CHARS + extra)
    text = f"{space}<think>a</think>b"
    told = _told([text[start : start + size] for start in range(0, len(text), size)])
    assert told == (("", text) if extra else ("a", "b"))
    leaks = ThinkingFilter()
    flowed = [delta.text for char in " " * 3000 for delta in leaks.feed(char)]
    assert len("".join(flowed)) > 3000 - LEADING_CHARS
    assert len(flowed[0]) == LEADING_CHARS + 1


SLOW = {
    "whitespace": ("", " \n"),
    "thinking": ("<think>", "</thin"),
    "pairs": ("", "<think></think>"),
    "closing tags": ("", "</think>\n"),
    "closing tags in code": ("```\n", "</think>\n"),
    "lines": ("a", "\n</thin"),
    "less": ("a", "\n<"),
}


@pytest.mark.parametrize("kind", SLOW)
def test_work_is_linear(kind: str) -> None:
    """A long piece costs no more than the same in short pieces, and of those little is kept."""
    head, unit = SLOW[kind]
    chars = 1_000_000 if kind == "pairs" else count(100_000, 400_000, 1_000_000)
    text = head + unit * (chars // len(unit))
    pieces = [text[start : start + 100] for start in range(0, len(text), 100)]
    # Work that grows with the square would be hundreds of times as much.
    assert _seconds([text]) < 20 * _seconds(pieces) + 0.5
    leaks = ThinkingFilter()
    for piece in pieces[:100]:
        leaks.feed(piece)
        assert len(leaks._unread) - leaks._place <= LEADING_CHARS


def _seconds(pieces: list[str]) -> float:
    leaks = ThinkingFilter()
    started = time.process_time()
    for piece in pieces:
        assert len(leaks.feed(piece)) <= 2
    return time.process_time() - started


def test_text_flows() -> None:
    """Once it is no tag, a piece comes out at once and alone."""
    leaks = ThinkingFilter()
    assert [delta.text for delta in leaks.feed("He")] == ["He"]
    assert [delta.text for delta in leaks.feed("<think>")] == ["<think>"]
