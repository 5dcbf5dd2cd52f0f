"""The fast search agrees with the plain one."""

from __future__ import annotations

import time
from collections import Counter
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routing.prompt_search import (
    AROUND_CHARS,
    NOTHING,
    PromptSearch,
    normalised_lines,
    unify_line_ends,
)
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


@settings(max_examples=count(quick=60, ci=200, full=3_000))
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


def with_ends(random: Random, text: str) -> str:
    """Return a text with other line ends: all of a kind, of two kinds, or with spaces as well."""
    one_kind = ["\n"], ["\r\n"], ["\r"], [" \r\n"], ["\r\r\n"]
    two_kinds = ["\n", "\r\n"], ["\n", " \t\n"], ["\n"] * 5 + ["\r"], ["\r\n"] * 5 + ["\r"]
    ends = random.choice([*one_kind, *two_kinds])
    return "".join(line + random.choice(ends) for line in text.split("\n"))


def test_samples_find_exactly_what_a_plain_search_finds() -> None:
    """Prompts that share lines, whole, cut and edited, several in a text, with any line ends."""
    seen: Counter[str] = Counter()
    for seed in range(count(quick=300, ci=1_000, full=4_000)):
        random = Random(seed)  # noqa: S311 -- repeatable
        lines = [f"{number}{'-' * random.randrange(90)}" for number in range(300)] + [""] * 9
        # Now and then one is too short for samples.
        shortest = random.choice([40, 40, 3])
        prompts = {
            f"p{number}": "\n".join(random.sample(lines, random.randint(shortest, 70))).strip()
            for number in range(12)
        }
        pieces = []
        for prompt in random.sample(list(prompts.values()), 4):
            at = random.randrange(len(prompt))
            pieces += random.choice([[prompt], [prompt, prompt], [prompt[at:]], [prompt[:at]]])
            pieces += random.choice([[], ["x" * at], [f"{prompt[:at]}x{prompt[at:]}"]])
        text = with_ends(random, random.choice(["\n", " "]).join(pieces))
        search = PromptSearch(prompts)
        found = search.find(text)
        assert set(found.starts) == plain(prompts, text), seed
        assert found.touched.isdisjoint(found.starts)
        for slug, start in found.starts.items():
            assert normalise(text[start:]).startswith(prompts[slug]) or "\r" in text, seed
        seen.update(found=len(found.starts), touched=len(found.touched))
    assert min(seen["found"], seen["touched"]) > 300


@pytest.mark.parametrize("many", [1, 60])
def test_the_place_of_a_short_prompt_is_that_in_the_text(many: int) -> None:
    """Spaces at the ends of lines before a prompt are counted, also where it has them itself."""
    prompts = {f"p{at}": f"First of {at}.\nSecond of {at}.\nThird of {at}." for at in range(many)}
    before = "One \t\n\nTwo   \n  and "
    text = before + prompts["p0"].replace("\n", "  \n")

    assert PromptSearch(prompts).find(text).starts == {"p0": len(before)}


def test_a_line_that_a_prompt_has_twice_hides_no_other_prompt() -> None:
    """A line that names one prompt alone, but stands often in another, ends no search for that."""
    twice = "This line stands in two prompts."
    filler = [f"{number}{' word' * 12}" for number in range(120)]
    once = "\n".join([*filler[:40], twice, *filler[40:60]])
    often = "\n".join([*(f"{twice}\n{line}" for line in filler[60:])])
    search = PromptSearch({"once": once, "often": often})
    for offset in range(0, 2_100, 7):
        assert set(search.find("x" * offset + often).starts) == {"often"}
        assert set(search.find("x" * offset + once).starts) == {"once"}


def test_around_a_place_is_as_much_text_on_both_sides() -> None:
    """However long the text is, only what is near the lines of a prompt is looked at again."""
    prompt = "\n".join(f"{number}{' word' * 12}" for number in range(60))
    search = PromptSearch({"p": prompt})
    before, behind = f"{'b' * 63}\n" * 1_024, f"\n{'c' * 63}" * 1_024

    found = search.find(f"{before}{prompt[:2_000]}{behind}")

    assert found.touched == {"p"}
    assert prompt[:2_000] in found.around
    assert len(found.around) < 2_000 + 2 * (AROUND_CHARS + 64)
    assert search.find(before + behind) == NOTHING


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
        "{line}\r\n",
        "{line}\r",
        "{prompt}\n",
        "{prompt}\r\n",
    ],
)
def test_no_text_takes_long(unit: str) -> None:
    """Megabytes of anything, also of a prompt's own lines, are searched before the time limit."""
    prompts = fleet_prompts([f"agent-{number}" for number in range(117)])
    prompts = {slug: normalise(prompt).strip() for slug, prompt in prompts.items()}
    search = PromptSearch(prompts)
    prompt = prompts["agent-3"]
    line = max(prompt.split("\n")[1:-1], key=len)
    unit = unit.format(line=line, prompt=prompt[:-1])
    text = unit * (count(1_000_000, 2_000_000, 10_000_000) // len(unit))
    assert search.find(text).starts == {}


def test_a_line_that_a_prompt_repeats_takes_no_longer() -> None:
    """A text full of a line that a prompt has a thousand times is not compared a thousand times."""
    line = "The same line over and over."
    prompt = f"{line}\n" * 1_000 + "\n".join(f"{number}{' word' * 12}" for number in range(99))
    search = PromptSearch({"p": prompt})
    text = f"{line}\n" * 30_000
    started = time.process_time()
    assert search.find(text).starts == {}
    assert set(search.find(text + prompt).starts) == {"p"}
    assert time.process_time() - started < 5


def test_a_long_prompt_is_compared_once_for_each_copy() -> None:
    """A copy that begins with another letter is not gone through again for each sample in it."""
    prompt = "\n".join(f"{number}{' word' * 12}" for number in range(30_000))
    search = PromptSearch({"p": prompt})
    text = f"x{prompt[1:]}".replace("\n", " \n")
    started = time.process_time()
    assert search.find(text).touched == {"p"}
    assert time.process_time() - started < 5


@pytest.mark.parametrize(("end", "found"), [("\r", True), (" \r", True), ("\r\r\n", False)])
@pytest.mark.parametrize("others", ["\n", "\r\n"])
def test_one_other_line_end_in_a_prompt(end: str, found: bool, others: str) -> None:
    """A carriage return alone ends a line wherever it stands; two with a line feed end two lines."""
    lines = [f"{number}{' word' * 12}" for number in range(60)]
    search = PromptSearch({"p": "\n".join(lines)})
    for number in range(59):
        before, behind = others.join(lines[: number + 1]), others.join(lines[number + 1 :])
        assert ("p" in search.find(f"{before}{end}{behind}").starts) is found
