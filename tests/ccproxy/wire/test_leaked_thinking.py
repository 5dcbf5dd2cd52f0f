"""Thinking in the text of an answer (conformance 212, 225)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccproxy.wire.leaked_thinking import ThinkingFilter

ANSWERS = {
    "text": ("Hello", "", "Hello"),
    "thinking, then text": ("<think>\nHm.\n</think>\n\nHello", "\nHm.\n", "Hello"),
    "the longer tag": ("<thinking>Hm.</thinking>Hello", "Hm.", "Hello"),
    "whitespace before": ("\n <think>Hm.</think> Hello\n", "Hm.", "Hello\n"),
    "empty": ("<think>\n\n</think>\n\nHello", "\n\n", "Hello"),
    "not closed": ("<think>Hm. Let me", "Hm. Let me", ""),
    "half closed": ("<think>Hm.</thi", "Hm.</thi", ""),
    "another tag's end inside": ("<think>a</thinking>b</think>c", "a</thinking>b", "c"),
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


def test_text_flows() -> None:
    """Once it is no tag, a piece comes out at once and alone."""
    leaks = ThinkingFilter()
    assert [delta.text for delta in leaks.feed("He")] == ["He"]
    assert [delta.text for delta in leaks.feed("<think>")] == ["<think>"]
