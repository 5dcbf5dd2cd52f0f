"""Whose prompt stands in a system prompt, and whose only nearly does."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from routing.prompts import (
    MIN_PROMPT_CHARS,
    PromptFinding,
    PromptIndex,
    normalise_prompt,
    tag_line,
    tagged_slug,
)
from tests.support.fleet import fleet_prompts, near_misses, system_filler
from tests.support.sizes import count

SLUGS = [f"agent-{number}" for number in range(117)]
FLEET = fleet_prompts(SLUGS)
INDEX = PromptIndex.build(FLEET)

CODER = "You write code.\n\n- Small steps.\n- Tests first, always.\n\nAnd say what you did not do."
CLERK = (
    "You keep the lists.\n\n- Sort them by date.\n- Never lose an entry.\n\nAsk before deleting."
)
PAIR = PromptIndex.build({"coder": CODER, "clerk": CLERK})


def test_the_made_up_fleet_is_of_real_size() -> None:
    """117 prompts make about 600 kB, and all of them can be recognised."""
    assert 550_000 < sum(map(len, FLEET.values())) < 680_000
    assert all(report.recognisable for report in INDEX.report())


@pytest.mark.parametrize("slug", SLUGS)
def test_every_agent_of_the_fleet_is_recognised(slug: str) -> None:
    """The whole prompt, with the client's notes behind it, names its agent and nobody else."""
    texts = ["a billing line", "You are a client.", f"{FLEET[slug]}\n\nMessages from the agent …"]
    assert INDEX.find(texts) == PromptFinding(matches=(slug,), chosen=slug)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(CODER, id="alone"),
        pytest.param(f"Before: {CODER} after it.", id="in the middle of lines"),
        pytest.param(CODER.replace("\n", "\r\n"), id="CRLF"),
        pytest.param(CODER.replace("\n", "\r"), id="CR"),
        pytest.param(CODER.replace("\n", " \t\n"), id="spaces at line ends"),
        pytest.param(f"- Small steps.\n- Small steps.\n{CODER}", id="a line of it comes before"),
        pytest.param(system_filler(50_000) + CODER + system_filler(50_000), id="far inside"),
    ],
)
def test_a_whole_prompt_is_found_anywhere(text: str) -> None:
    """Place, line endings and spaces at line ends do not count."""
    assert PAIR.find(["", text]).chosen == "coder"


@pytest.mark.parametrize(
    "prompt",
    [
        f"\n\n  {CODER}\n\n",
        CODER.replace("\n", "\r\n"),
        CODER.replace("\n", "  \n") + "  ",
    ],
    ids=["blank space around", "CRLF", "spaces at line ends"],
)
def test_a_file_is_normalised_like_a_request(prompt: str) -> None:
    """The client trims the body of a file, so blank space around it is not part of the prompt."""
    assert PromptIndex.build({"coder": prompt}).find([CODER]).chosen == "coder"


def test_a_thousand_near_misses_are_nobody() -> None:
    """Truncated, quoted, reordered, mixed, edited, split and joined prompts recognise no agent."""
    kinds: Counter[str] = Counter()
    for miss in near_misses(FLEET, count(quick=1_000, ci=3_000, full=20_000)):
        found = INDEX.find(miss.system_texts)
        assert (found.matches, found.chosen) == ((), None), miss
        kinds[miss.kind] += 1
    assert len(kinds) == 7
    assert min(kinds.values()) >= 100


@pytest.mark.parametrize("kind", ["truncated", "reordered", "mixed", "edited", "split"])
def test_a_near_miss_is_named(kind: str) -> None:
    """Where most lines of a prompt occur unchanged, its agent is near."""
    named = [
        miss.slug in INDEX.find(miss.system_texts).near
        for miss in near_misses(FLEET, 350)
        if miss.kind == kind
    ]
    assert sum(named) > 0.9 * len(named)


def test_nothing_is_near_in_other_text() -> None:
    """Headings and phrases that the whole fleet shares make nobody near."""
    assert INDEX.find([system_filler(100_000, seed=7)]) == PromptFinding()


def test_a_variant_of_a_recognised_prompt_is_not_near() -> None:
    """Lines of the prompt that was recognised say nothing about another agent who shares them."""
    variant = f"{FLEET['agent-3']}\n- One more line, of the variant alone."
    index = PromptIndex.build({"agent-3": FLEET["agent-3"], "variant": variant})
    assert index.find([FLEET["agent-3"]]) == PromptFinding(("agent-3",), "agent-3")


def test_of_a_prompt_inside_another_the_outer_wins() -> None:
    """A prompt that quotes another one whole is the one that is meant, wherever both occur."""
    outer = f"You lead the team. Your coder works by this:\n\n{CODER}\n\nLead it well."
    index = PromptIndex.build({"coder": CODER, "lead": outer})
    assert index.find([outer]) == PromptFinding(("lead", "coder"), "lead")
    assert index.find([CODER, outer]).chosen == "lead"
    assert index.find([CODER]).chosen == "coder"
    assert "lead, which wins" in index.report()[0].reason


@pytest.mark.parametrize("texts", [[CODER + CLERK], [CLERK, CODER], [CODER, CLERK]])
def test_of_two_prompts_the_longer_wins_and_the_other_is_a_rival(texts: list[str]) -> None:
    """Two whole prompts of which neither is inside the other are a conflict."""
    assert len(CLERK) > len(CODER)
    assert PAIR.find(texts) == PromptFinding(("clerk", "coder"), "clerk", rivals=("coder",))


def test_of_equally_long_prompts_the_earlier_wins() -> None:
    """The order of the texts decides between prompts of one length."""
    first, second = "a" * 80 + "\nline\n" + "b", "c" * 80 + "\nline\n" + "d"
    index = PromptIndex.build({"first": first, "second": second})
    assert index.find([first, second]).chosen == "first"
    assert index.find([f"{second}\n\n{first}"]).chosen == "second"


@pytest.mark.parametrize("lines", [1, 2])
def test_a_prompt_without_inner_lines_is_recognised_too(lines: int) -> None:
    """One or two lines do if they are long enough."""
    prompt = "\n".join(["You answer questions about the price list, in euros."] * lines)
    prompt += " Never guess a price."
    index = PromptIndex.build({"pricer": prompt})
    assert index.find([f"Hello. {prompt} Goodbye."]).chosen == "pricer"
    assert index.find([prompt[:-1]]).chosen is None


@pytest.mark.parametrize(
    ("prompts", "agents", "reasons"),
    [
        ({"a": ""}, (), {"a": "empty"}),
        ({"a": " \n\n"}, (), {"a": "empty"}),
        ({"a": "You help."}, (), {"a": f"9 of at least {MIN_PROMPT_CHARS} characters"}),
        ({"a": CODER, "b": f"\n{CODER}  \r\n"}, (), {"a": "that of b", "b": "that of a"}),
        ({}, ("a",), {"a": "no prompt"}),
        ({"a": CODER}, (), {"a": ""}),
        ({"a": f"Hi.\n{tag_line('a')}"}, (), {"a": ""}),
        ({"a": f"Hi.\n{tag_line('b')}"}, ("b",), {"a": "29 of at least", "b": "no prompt"}),
        (
            {"a": f"{CODER}\n{tag_line('a')}", "b": f"{CODER}\n{tag_line('a')}"},
            (),
            {"a": "", "b": "that of a"},
        ),
    ],
)
def test_the_report_says_who_cannot_be_recognised(
    prompts: dict[str, str], agents: tuple[str, ...], reasons: dict[str, str]
) -> None:
    """Each agent either can be recognised, or there is a reason why not."""
    index = PromptIndex.build(prompts, agents)
    reports = {report.slug: report for report in index.report()}
    assert list(reports) == sorted(reasons)
    for slug, reason in reasons.items():
        assert reports[slug].recognisable == (not reason)
        assert reason in reports[slug].reason
        if reason and slug in prompts and tag_line("a") not in prompts[slug]:
            assert slug not in index.find([prompts[slug]]).matches


def test_client_prompts_are_too_short_to_be_an_agents() -> None:
    """The one-line prompts on every request of Claude Code can never become an agent's."""
    for line in (
        "You are Claude Code, Anthropic's official CLI for Claude.",
        "You are a Claude agent, built on Anthropic's Claude Agent SDK.",
    ):
        index = PromptIndex.build({"a": line})
        assert not index.report()[0].recognisable
        assert index.find([line]) == PromptFinding()


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        (tag_line("coder"), "coder"),
        (f"Some prompt.\r\n\r\n{tag_line('coder')}  \r\nNotes", "coder"),
        (tag_line("nameless"), "nameless"),
        (f"See {tag_line('coder')}", None),
        (f"> {tag_line('coder')}", None),
        (f"{tag_line('coder')} and more", None),
        (tag_line("coder")[:-1], None),
        (f"{CLERK}\n{tag_line('coder')}", "clerk"),
    ],
)
def test_a_tag_line_names_its_agent(text: str, chosen: str | None) -> None:
    """A tag on a line of its own is recognised, also without a prompt; a longer prompt outdoes it."""
    index = PromptIndex.build({"coder": CODER, "clerk": CLERK}, ["nameless"])
    assert index.find([text]).chosen == chosen


@pytest.mark.parametrize("marks", [0, 1, 2, 49, 50, 51, 200])
@pytest.mark.parametrize("between", ["", "a", "<!-- "])
def test_a_tag_is_found_behind_any_number_of_exclamation_marks(marks: int, between: str) -> None:
    """However it is searched for, a tag counts wherever it stands."""
    index = PromptIndex.build({"coder": CODER})
    noise = f"!{between}" * marks

    for text in (f"{noise}\n{tag_line('coder')}", f"{noise}\n{tag_line('coder')}\n{noise}"):
        assert index.find([text]).chosen == "coder"
    assert index.find([noise]).chosen is None


def test_a_tag_inside_another_prompt_is_that_prompts() -> None:
    """An agent whose prompt shows another one's tag is no conflict."""
    lead = (
        f"You lead. Your coder is marked like this, as you will see:\n\n{tag_line('coder')}\n\nEnd."
    )
    index = PromptIndex.build({"lead": lead, "coder": CODER})
    assert index.find([lead]) == PromptFinding(("lead", "coder"), "lead")


def test_tags_of_nobody_are_named_and_bounded() -> None:
    """A misspelt tag is visible; a text full of them fills no memory."""
    found = PAIR.find(["\n".join(tag_line(f"x{number}") for number in range(1000))])
    assert found.chosen is None
    assert len(found.unknown_tags) == 5
    assert PAIR.find([tag_line("codre")]).unknown_tags == ("codre",)


@given(st.text(st.characters(exclude_characters="\r\n")))
def test_a_tag_line_reads_back(slug: str) -> None:
    """`tagged_slug` undoes `tag_line`, and reads nothing out of other text."""
    assert tagged_slug(tag_line(slug)) == slug
    assert tagged_slug(slug) is None or slug.startswith("<!--")


@given(st.text(), st.text(), st.text(min_size=MIN_PROMPT_CHARS))
def test_whole_means_found_as_the_plain_search_finds_it(
    before: str, after: str, prompt: str
) -> None:
    """The index agrees with a substring search of the normalised texts, on any text."""
    index = PromptIndex.build({"a": prompt})
    usable = index.report()[0].recognisable
    for text in (before + prompt + after, prompt[1:], f"{before}\n{prompt}\n{after}"):
        there = normalise_prompt(prompt) in normalise_prompt(text)
        assert (index.find([text]).chosen == "a") == (usable and there)


@example(["a", "a", "a", "a", "a", "", "", "", ""])
@example(["", "", "", "a", "", "", "a", "a", "a"])
@given(st.lists(st.sampled_from(["a", "b", "", "  ", "## c", "a b", "long line " * 9]), min_size=9))
def test_repeated_lines_hide_nothing(lines: list[str]) -> None:
    """Prompts and texts made of the same few lines over and over are still compared exactly."""
    # The marks alone make a prompt long enough: blank lines at its ends are no part of it.
    marks = MIN_PROMPT_CHARS
    prompts = {"x": "\n".join(lines[:6]) + "!" * marks, "y": "?" * marks + "\n".join(lines[3:])}
    index = PromptIndex.build(prompts)
    for text in ("\n".join([*lines, prompts["x"], *lines]), "\n".join(lines), prompts["y"] * 2):
        expected = {
            slug
            for slug, prompt in prompts.items()
            if normalise_prompt(prompt) in normalise_prompt(text)
        }
        assert set(index.find([text]).matches) == expected


@pytest.mark.parametrize(("missing", "recognised"), [(0, True), (1, False)])
@pytest.mark.parametrize("form", ["{}", "\n\n{}\n", "  {}  \r\n\r\n"])
def test_how_long_a_prompt_must_be(missing: int, recognised: bool, form: str) -> None:
    """`MIN_PROMPT_CHARS` characters do, without the blank space around them, and one less does not."""
    prompt = form.format("a\n" + "!" * (MIN_PROMPT_CHARS - 2 - missing))
    index = PromptIndex.build({"a": prompt})

    assert index.report()[0].recognisable is recognised
    assert (index.find([f"Before.\n{prompt}\nAfter."]).chosen == "a") is recognised


@pytest.mark.parametrize("between", [0, 1_500, 6_000, 60_000])
def test_pieces_of_a_prompt_are_added_up_over_a_text(between: int) -> None:
    """Two thirds of a prompt make its agent near, however far apart they stand."""
    lines = FLEET["agent-3"].split("\n")
    third = len(lines) // 3
    text = "\n".join([*lines[:third], system_filler(between, seed=5), *lines[-third:]])

    found = INDEX.find(["", f"{system_filler(3_000)}\n{text}"])

    assert (found.chosen, found.near) == (None, ("agent-3",))


def test_the_start_of_every_text_counts_for_near() -> None:
    """A piece too short for the search is added to the piece of the same prompt that it met."""
    lines = FLEET["agent-4"].split("\n")
    share = len(lines) * 2 // 5
    one, other = "\n".join(["x", "y", *lines[1:share]]), "\n".join(lines[-share:])
    assert len(one) < 2_000

    assert [INDEX.find([text]).near for text in (one, other)] == [(), ()]
    assert INDEX.find([one, other]).near == ("agent-4",)
