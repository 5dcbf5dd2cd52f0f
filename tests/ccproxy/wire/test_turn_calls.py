"""Which calls of a turn count, and which take the place of others."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccproxy.ports import ToolCall
from ccproxy.wire.turn_calls import MadeCall, heirs, sort_calls


def made(word: str) -> MadeCall:
    """Return a call: `a` with input 1, `a2` with input 2, `!a` wrong, `~a` recovered from text."""
    name, number = word.strip("!~")[0], word.strip("!~")[1:] or "1"
    errors = ("no",) if "!" in word else ()
    return MadeCall(ToolCall(None, name, {"n": int(number)}), errors, is_recovered="~" in word)


# Calls, room: kept, wrong, dropped
SORTED = {
    ("a b !c", None): ("a b", "!c", ""),
    ("a b !c", 3): ("a b", "!c", ""),
    ("a b !c", 2): ("a b", "", "!c"),
    ("!c a b", 1): ("a", "", "!c b"),
    ("!c !d", 1): ("", "!c", "!d"),
    ("!c !d", None): ("", "!c !d", ""),
    ("~a a", None): ("a", "", "~a"),
    ("a ~a ~a", None): ("a", "", "~a ~a"),
    ("a ~a2", None): ("a ~a2", "", ""),
    ("~a ~a", None): ("~a ~a", "", ""),
    ("!~a !a", None): ("", "!a", "!~a"),
    ("~a a b", 1): ("a", "", "~a b"),
    ("a", 0): ("", "", "a"),
}


@pytest.mark.parametrize(("words", "room"), SORTED)
def test_sort_calls(words: str, room: int | None) -> None:
    """The first right calls count, wrong ones where there is room, repeats in text never."""
    spelled = {made(word): word for word in words.split()}

    found = sort_calls(list(spelled), room)

    lists = (found.kept, found.wrong, found.dropped)
    assert SORTED[words, room] == tuple(" ".join(spelled[each] for each in some) for some in lists)


# Wrong, brought: what takes each one's place (. for nothing), what is left
HEIRS = {
    ("a", "a2"): ("a2", ""),
    ("a b", "b2 a2"): ("a2 b2", ""),
    ("a b", "c b2"): ("c b2", ""),
    ("a a", "a2"): ("a2 .", ""),
    ("a b", "b2"): (". b2", ""),
    ("a", "b c a2 d"): ("a2", "b c d"),
    ("a b", "c"): ("c .", ""),
    ("", "a b"): ("", "a b"),
}


@pytest.mark.parametrize(("wrong", "brought"), HEIRS)
def test_heirs(wrong: str, brought: str) -> None:
    """A call of the same tool takes a wrong one's place, else the next one that has none."""
    calls = {made(word): word for word in brought.split()}
    places = [made(word) for word in wrong.split()]

    found, others = heirs(places, calls)

    taken = [calls[found[each]] if each in found else "." for each in places]
    assert HEIRS[wrong, brought] == (" ".join(taken), " ".join(calls[each] for each in others))


@given(
    st.lists(st.sampled_from(["a", "b", "c", "!a", "!b", "~a", "~b", "!~a"]), max_size=8),
    st.none() | st.integers(0, 3),
)
def test_every_call_is_in_one_list(words: list[str], room: int | None) -> None:
    """No call is lost and none counts twice; never do more count than there is room for."""
    calls = [made(word) for word in words]

    found = sort_calls(calls, room)

    lists = (found.kept, found.wrong, found.dropped)
    assert sorted(map(id, calls)) == sorted(id(each) for some in lists for each in some)
    for some in lists:
        assert some == [each for each in calls if each in some]
    assert not any(each.is_wrong for each in found.kept)
    assert room is None or len(found.kept) + len(found.wrong) <= room
