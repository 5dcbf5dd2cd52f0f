"""When people are told of trouble."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.alerts import EMPTY, AlertKind, AlertRules, Phase, Trouble, due, ended, noticed

RULES = AlertRules(repeat_s=100, settle_s=10, limit=3)
DOWN = Trouble(AlertKind.BACKEND_DOWN, "http://a")
CUT = Trouble(AlertKind.TRUNCATION, "qwen")


def told(*steps, trouble=DOWN, lasts=True):
    """Return what is told of `(time, word)` steps, as `(time, phase, times)`; words: on, off, tick."""
    book, heard = EMPTY, []
    for now_s, word in steps:
        if word == "on":
            book, news = noticed(book, trouble, "t", lasts=lasts, now_s=now_s, rules=RULES)
            items = [news]
        elif word == "off":
            book, news = ended(book, trouble, "t", now_s=now_s, rules=RULES)
            items = [news]
        else:
            book, items = due(book, now_s, RULES)
        heard += [(now_s, str(item.phase), item.times) for item in items if item]
    return heard


@pytest.mark.parametrize(
    ("steps", "heard"),
    [
        ([(0, "on")], [(0, "raised", 1)]),
        ([(0, "on"), (1, "on"), (99, "on")], [(0, "raised", 1)]),
        ([(0, "on"), (1, "on"), (100, "on")], [(0, "raised", 1), (100, "repeated", 2)]),
        ([(0, "on"), (100, "tick"), (150, "tick")], [(0, "raised", 1), (100, "repeated", 0)]),
        ([(0, "on"), (5, "off"), (6, "off")], [(0, "raised", 1), (5, "over", 0)]),
        ([(5, "off")], []),
        # It flaps: told when it has lasted, or not at all.
        ([(0, "on"), (1, "off"), (2, "on"), (3, "off"), (11, "tick")], [(0, "raised", 1), (1, "over", 0)]),
        (
            [(0, "on"), (1, "off"), (2, "on"), (10, "tick"), (11, "tick"), (12, "off")],
            [(0, "raised", 1), (1, "over", 0), (11, "raised", 1), (12, "over", 0)],
        ),
        ([(0, "on"), (1, "off"), (11, "tick"), (12, "on")], [(0, "raised", 1), (1, "over", 0), (12, "raised", 1)]),
    ],
)  # fmt: skip
def test_a_state_is_told_at_once_then_seldom_and_when_it_is_over(steps, heard):
    """Told first at once, again every `repeat_s`, its end once; flapping is held back."""
    assert told(*steps) == heard


@pytest.mark.parametrize(
    ("steps", "heard"),
    [
        ([(0, "on"), (1, "on"), (100, "tick")], [(0, "raised", 1), (100, "repeated", 1)]),
        ([(0, "on"), (100, "tick"), (101, "on")], [(0, "raised", 1), (101, "raised", 1)]),
        ([(0, "on"), (1, "on"), (2, "on"), (100, "on")], [(0, "raised", 1), (100, "repeated", 3)]),
    ],
)
def test_what_happens_at_a_moment_is_counted_between_messages(steps, heard):
    """Notices in between are counted; without one in `repeat_s` it is forgotten, without a word."""
    assert told(*steps, trouble=CUT, lasts=False) == heard


def test_troubles_are_told_apart():
    """The same kind with another subject, or the same subject of another kind, is another trouble."""
    book, first = noticed(EMPTY, DOWN, "t", lasts=True, now_s=0)
    for other in (Trouble(DOWN.kind, "http://b"), Trouble(AlertKind.DISK_LOW, DOWN.subject)):
        book, news = noticed(book, other, "t", lasts=True, now_s=0)
        assert news is not None
    assert first is not None
    assert len(book) == 3


def test_the_book_has_a_limit():
    """What is over goes first, then what was told longest ago; texts are cut."""
    book = EMPTY
    for at, name in enumerate("abcd"):
        trouble = Trouble(AlertKind.BACKEND_DOWN, name)
        book, _ = noticed(book, trouble, "t" * 9999, lasts=True, now_s=at, rules=RULES)
        if name == "b":
            book, _ = ended(book, trouble, "t", now_s=at, rules=RULES)
    assert ["a", "c", "d"] == [trouble.subject for trouble in book]
    book, _ = noticed(book, Trouble(DOWN.kind, "e" * 9999), "t", lasts=True, now_s=9, rules=RULES)
    assert ["c", "d", "e" * 500] == [trouble.subject for trouble in book]
    assert max(len(known.text) for known in book.values()) == 500


@pytest.mark.parametrize("wrong", [{"repeat_s": 0}, {"settle_s": 0}, {"limit": 0}])
def test_rules_that_could_not_work_are_refused(wrong):
    """Times and the limit are positive."""
    with pytest.raises(ValueError, match="above 0"):
        AlertRules(**wrong)


STEPS = st.lists(st.tuples(st.integers(0, 20), st.sampled_from(["on", "off", "tick"])), max_size=40)


@given(STEPS)
def test_two_messages_in_a_time_at_most_and_they_alternate(steps):
    """Whatever comes: beginnings are `settle_s` apart, and each end follows a beginning that was told."""
    now_s, timed = 0, []
    for pause_s, word in steps:
        now_s += pause_s
        timed.append((now_s, word))
    heard = told(*timed)

    raised = [at for at, phase, _ in heard if phase == Phase.RAISED]
    assert all(later - earlier >= 10 for earlier, later in pairwise(raised))
    turns = [phase for _, phase, _ in heard if phase != Phase.REPEATED]
    assert turns == [Phase.RAISED, Phase.OVER] * (len(turns) // 2) + [Phase.RAISED] * (
        len(turns) % 2
    )
