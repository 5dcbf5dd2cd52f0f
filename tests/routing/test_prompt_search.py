"""The fast search agrees with the plain one."""

from __future__ import annotations

import time
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routing.prompt_search import PromptSearch, normalised_lines, unify_line_ends
from tests.support.fleet import fleet_prompts, system_filler
from tests.support.sizes import count

VOCABULARY = [f"{number}{'-' * number}" for number in range(0, 90, 6)] + ["", "", "  x"]
LINE = st.sampled_from(VOCABULARY)
ENDS = st.sampled_from(["\n", "\n", "\n", " \n", "\t \n", "\r\n", "\r", "  \r\n"])


def normalise(text: str) -> str:
    """Return a text as prompts are compared."""
    return "\n".join(normalised_lines(text))


def plain(prompts: dict[str, str], text: str) -> set[str]:
    """Return which prompts occur, by the substring search that the fast one must agree with."""
    return {slug for slug, prompt in prompts.items() if prompt in normalise(text)}


@st.composite
def fleets(draw) -> dict[str, str]:
    """Return up to six prompts of a few to forty lines from a small vocabulary."""
    lines = st.lists(LINE, min_size=1, max_size=40)
    prompts = (normalise("\n".join(each)).strip() for each in draw(st.lists(lines, max_size=6)))
    return {f"p{number}": prompt for number, prompt in enumerate(prompts) if prompt}


@settings(max_examples=count(quick=150, ci=600, full=5_000))
@given(fleets(), st.data())
def test_it_finds_exactly_what_a_plain_search_finds(prompts: dict[str, str], data) -> None:
    """Whole, cut and edited prompts between other lines, with any line ends."""
    pieces = st.sampled_from([*prompts.values(), *VOCABULARY])
    cut = st.tuples(pieces, st.integers(0, 30)).map(lambda pair: pair[0][pair[1] :])
    text = "\n".join(data.draw(st.lists(pieces | cut, max_size=8)))
    lines = text.split("\n")
    text = "".join(line + data.draw(ENDS) for line in lines[:60]) + "\n".join(lines[60:])
    found = PromptSearch(prompts).find(text)
    assert set(found.starts) == plain(prompts, text)
    assert found.touched.isdisjoint(found.starts)


@pytest.mark.parametrize("size", [300, 700, 1_500, 3_000, 8_000])
@pytest.mark.parametrize("end", ["\n", "  \n", "\r\n"])
def test_no_offset_hides_a_prompt(size: int, end: str) -> None:
    """Wherever a prompt begins between the samples, it is found, and found at its start."""
    random = Random(size)  # noqa: S311 -- repeatable
    prompts = {f"p{number}": system_filler(size, number).strip() for number in range(40)}
    search = PromptSearch(prompts)
    for _ in range(count(quick=150, ci=600, full=4_000)):
        slug = random.choice(list(prompts))
        before, after = "x" * random.randrange(3_000), "y" * random.randrange(3_000)
        text = before + prompts[slug].replace("\n", end) + after
        assert search.find(text).starts == {slug: len(before)}


@pytest.mark.parametrize("number", [5, 60])
def test_few_and_many_short_prompts(number: int) -> None:
    """Prompts too short for samples are found, however many there are."""
    prompts = {
        f"p{at}": f"Agent {at} starts.\n{at} is its number\nand {at}." for at in range(number)
    }
    prompts |= {f"line{at}": f"One line of agent {at}." for at in range(3)}
    search = PromptSearch(prompts)
    for slug, prompt in prompts.items():
        for text in (prompt, f"Hello. {prompt} Bye.", prompt.replace("\n", " \r\n")):
            assert set(search.find(text).starts) == {slug}
    assert search.find("One line\nof agent 1.").starts == {}


def test_prompts_that_share_all_their_lines() -> None:
    """Prompts without a rare line are still told apart as wholes."""
    lines = [f"{number}. {'word ' * 12}" for number in range(30)]
    prompts = {
        f"p{shift}": normalise("\n".join(lines[shift:] + lines[:shift])).strip()
        for shift in range(12)
    }
    search = PromptSearch(prompts)
    for slug, prompt in prompts.items():
        assert set(search.find(f"Before.\n\n{prompt}\n\nAfter.").starts) == {slug}


@pytest.mark.parametrize(
    ("text", "expected"), [("a", "a"), ("a\r\nb\rc\nd", "a\nb\nc\nd"), ("\r\r\n\n", "\n\n\n")]
)
def test_line_ends(text: str, expected: str) -> None:
    """CRLF and CR are one line end each."""
    assert unify_line_ends(text) == expected


@pytest.mark.parametrize(
    "unit",
    [
        "x",
        "\n",
        "x\n",
        " \n",
        "x" * 5_000 + "\n",
        "## Rules\n",
        "{line}\n",
        "{line} \n",
        "{prompt}\n",
    ],
)
def test_no_text_takes_long(unit: str) -> None:
    """Ten megabytes of anything, also of a prompt's own lines, take linear time."""
    prompts = fleet_prompts([f"agent-{number}" for number in range(117)])
    prompts = {slug: normalise(prompt).strip() for slug, prompt in prompts.items()}
    search = PromptSearch(prompts)
    prompt = prompts["agent-3"]
    line = max(prompt.split("\n")[1:-1], key=len)
    unit = unit.format(line=line, prompt=prompt[:-1])
    text = unit * (10_000_000 // len(unit))
    started = time.process_time()
    assert search.find(text).starts == {}
    assert time.process_time() - started < 5.0
