"""Stop sequences across chunk boundaries."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccproxy.wire.stops import StopMatcher


@pytest.mark.parametrize(
    ("sequences", "pieces", "emitted", "matched"),
    [
        (["END"], ["abc", "def"], ["abc", "def"], None),
        (["END"], ["abENDcd"], ["ab"], "END"),
        (["END"], ["ab", "E", "N", "D", "x"], ["ab", "", "", ""], "END"),
        (["END"], ["abE", "x"], ["ab", "Ex"], None),
        (["END"], ["EEN", "EN", "D"], ["E", "EN", ""], "END"),
        (["ab", "abc"], ["ab", "c"], [""], "ab"),
        (["abcd", "bc"], ["xabcd"], ["xa"], "bc"),
        (["bcd", "abcd"], ["xabcd"], ["x"], "abcd"),
        (["", "END"], ["a"], ["a"], None),
        (["\n\nHuman:"], ["hi\n", "\nHu", "man: x"], ["hi", "", ""], "\n\nHuman:"),
        (["aab"], ["aa", "a", "b"], ["", "a", ""], "aab"),
        (["😀é"], ["x😀", "é"], ["x", ""], "😀é"),
    ],
)
def test_pieces(
    sequences: list[str], pieces: list[str], emitted: list[str], matched: str | None
) -> None:
    """What could still become a stop waits, the rest goes on at once (conformance 216, 217)."""
    matcher = StopMatcher(sequences)
    seen: list[str] = []
    found = None
    for piece in pieces:
        text, found = matcher.feed(piece)
        seen.append(text)
        if found is not None:
            break
    assert (seen, found) == (emitted, matched)


def test_flush_gives_what_was_held_once() -> None:
    """The end of the text releases what was held back."""
    matcher = StopMatcher(["END"])
    assert matcher.feed("abEN") == ("ab", None)
    assert matcher.flush() == "EN"
    assert matcher.flush() == ""


def _naive(text: str, sequences: list[str]) -> tuple[str, str | None]:
    for end in range(len(text) + 1):
        complete = [one for one in sequences if one and text[:end].endswith(one)]
        if complete:
            longest = max(complete, key=len)
            return text[: end - len(longest)], longest
    return text, None


@given(
    st.text("abc", max_size=20),
    st.lists(st.text("abc", max_size=4), max_size=4),
    st.lists(st.integers(0, 20), max_size=6),
)
def test_equals_a_search_over_the_whole_text(
    text: str, sequences: list[str], cuts: list[int]
) -> None:
    """At any split the outcome is that of a search character by character, and nothing is late."""
    matcher = StopMatcher(sequences)
    emitted, matched = "", None
    marks = sorted(min(cut, len(text)) for cut in cuts)
    for start, end in zip([0, *marks], [*marks, len(text)], strict=True):
        safe, matched = matcher.feed(text[start:end])
        emitted += safe
        if matched is not None:
            break
        held = text[len(emitted) : end]
        assert held == _longest_beginning(text[:end], sequences)
    if matched is None:
        emitted += matcher.flush()
    assert (emitted, matched) == _naive(text, sequences)


def _longest_beginning(text: str, sequences: list[str]) -> str:
    ends = [text[start:] for start in range(len(text))]
    return next((end for end in ends if any(one.startswith(end) for one in sequences)), "")
