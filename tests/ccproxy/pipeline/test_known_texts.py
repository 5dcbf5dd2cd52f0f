"""Texts that come again are recognised as themselves, and weigh what they weigh."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccproxy.pipeline.known_texts import KnownSystems, WeighedTexts
from ccproxy.wire import estimate
from ccproxy.wire.estimate import LONG_CHARS, estimate_prompt, units_of_text
from routing.prompts import PromptIndex

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


PROMPTS = {
    "painter": "You paint walls.\nMind the edges and the light.\nNever paint over a switch.",
    "baker": "You bake bread.\nWeigh the flour, then the water.\nTell when it is done.",
}
TEXTS = ["", "Notes.\n", *PROMPTS.values(), PROMPTS["baker"].replace("flour", "sugar"), "x" * 90]


@given(st.lists(st.tuples(st.booleans(), st.lists(st.sampled_from(TEXTS), max_size=3))))
def test_whose_prompt_it_is_stays_true(requests):
    """Also of texts that differ where no sample is taken, and under a fleet that changes."""
    fleets = [PromptIndex.build(PROMPTS), PromptIndex.build({"mason": PROMPTS["baker"]})]
    systems = KnownSystems()
    for changed, texts in requests:
        index = fleets[changed]
        assert index.find(texts) == systems.find(index, texts)


def test_a_system_is_searched_once():
    """While the fleet is the same."""

    class Counting(PromptIndex):
        searched = 0

        def find(self, system_texts):
            self.searched += 1
            return super().find(system_texts)

    fleet, systems = Counting.build(PROMPTS), KnownSystems()
    found = {systems.find(fleet, [PROMPTS["baker"], "Notes."]).chosen for _ in range(3)}

    assert ({"baker"}, 1) == (found, fleet.searched)
