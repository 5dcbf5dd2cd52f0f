"""Texts that come again are recognised as themselves, and weigh what they weigh."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccproxy.pipeline.weighed_texts import WeighedTexts
from ccproxy.wire import estimate
from ccproxy.wire.estimate import LONG_CHARS, estimate_prompt, units_of_text

TEXT = st.text(st.sampled_from(["a", "-", " ", "\n", "é", "\ud800", "7"]), max_size=30)
BLOCKS = st.lists(st.tuples(TEXT, st.sampled_from([1, 200, 400])).map(lambda it: it[0] * it[1]))


@given(st.lists(st.sampled_from(["a" * 50, "a" * 49 + "b", "b" * 50, "c" * 120, "\ud83d" * 50])))
def test_every_text_weighs_what_it_weighs(texts):
    """Whatever came before, also texts that look alike, and however little may be kept."""
    weighed = WeighedTexts(limit_chars=130)
    for text in texts:
        assert units_of_text(text) == weighed.units(text)
        assert weighed.kept_chars <= 130


def test_a_text_is_weighed_once():
    """While it is kept, and again when it had to make room for others."""
    seen = []
    weighed = WeighedTexts(limit_chars=250, weigh=lambda text: seen.append(text) or 1)
    for text in ("a" * 100, "b" * 100, "a" * 100, "c" * 100, "a" * 100, "b" * 100):
        weighed.units(text)

    assert ["a", "b", "c", "b"] == [text[0] for text in seen]


@given(BLOCKS)
def test_an_estimate_is_the_same_however_texts_are_weighed(texts):
    """Long texts one by one, short ones together: as if all were one text of many lines."""
    body = {"system": [{"type": "text", "text": text} for text in texts]}
    whole = {"system": "\n".join(texts)} if texts else {}

    together = estimate_prompt(body, WeighedTexts().units)
    assert together == estimate_prompt(whole, units_of_text)


@pytest.mark.parametrize("chars", [LONG_CHARS - 1, LONG_CHARS])
def test_only_long_texts_are_kept(chars):
    """Short ones are weighed together, which is quicker than to look for each."""
    weighed = WeighedTexts()
    estimate.estimate_prompt({"system": "x" * chars}, weighed.units)

    assert (chars if chars >= LONG_CHARS else 0) == weighed.kept_chars
