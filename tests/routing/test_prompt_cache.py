"""Claude's prompt cache, simulated.

Prompts are written as text: each letter is a block of 100 tokens, `|` marks the block before it for
5 minutes, `!` for an hour; `u` is a tool call and `r` a result, of which runs are one position.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.prompt_cache import Block, Breakpoint, CacheLayout, CacheSplit, PromptCache
from tests.support.sizes import count

ENTRIES = 5
MANY = "abcdefghijklmnopqst" * 2


def layout(text):
    blocks, marks, prefix = [], [], ""
    for letter in text:
        if letter in "|!":
            marks.append(Breakpoint(len(blocks) - 1, 300 if letter == "|" else 3600))
            continue
        runs_on = letter in "ur" and prefix.endswith(letter)
        prefix += letter
        blocks.append(Block(prefix.encode(), 100 * len(prefix), runs_on))
    last = marks[-1].block if marks else -1
    return CacheLayout(100 * len(prefix), blocks[: last + 1], marks)


def looked(steps, **options):
    """Return the simulated splits of prompts that came one after the other."""
    cache = PromptCache()
    uses = [cache.look("m", layout(text), now_s=now_s, **options) for now_s, text in steps]
    return [
        (use.simulated.read, use.simulated.one_hour, use.simulated.five_minutes) for use in uses
    ]


NOTHING = (0, 0, 0)


@pytest.mark.parametrize(
    ("steps", "last"),
    [
        # A longer prompt reads the shorter one that it begins with, and writes the rest.
        ([(0, "ab|")], (0, 0, 200)),
        ([(0, "ab|"), (10, "ab|")], (200, 200, 200)),
        ([(0, "ab|"), (10, "ab|cd|")], (200, 200, 400)),
        ([(0, "ab|"), (10, "abcd|")], (200, 200, 400)),
        ([(0, "ab|"), (10, "ab|cd")], (200, 200, 200)),
        ([(0, "ab|"), (10, "abc|"), (20, "abcd|")], (300, 300, 400)),
        # Only marked ends are entries; a difference breaks everything behind it.
        ([(0, "abc|"), (10, "ab|")], (0, 0, 200)),
        ([(0, "ab|"), (10, "xb|")], (0, 0, 200)),
        ([(0, "a|bc|"), (10, "a|xc|")], (100, 100, 300)),
        ([(0, "ab"), (10, "ab")], NOTHING),
        ([(0, "ab"), (10, "ab|")], (0, 0, 200)),
        # Five minutes after the last use it is gone, and each read is a use.
        ([(0, "ab|"), (299, "ab|")], (200, 200, 200)),
        ([(0, "ab|"), (300, "ab|")], (0, 0, 200)),
        ([(0, "ab|"), (299, "abc|"), (598, "abcd|")], (300, 300, 400)),
        ([(0, "ab|"), (299, "abc|"), (598, "abd|")], (200, 200, 300)),
        ([(0, "ab|"), (300, "ab|"), (310, "ab|")], (200, 200, 200)),
        # An hour where the mark says so; what is written for an hour stands before the rest.
        ([(0, "ab!"), (3599, "ab!")], (200, 200, 200)),
        ([(0, "ab!"), (3600, "ab!")], (0, 200, 200)),
        ([(0, "a!b|c")], (0, 100, 200)),
        ([(0, "a!b|"), (400, "a!b|c|")], (100, 100, 300)),
        ([(0, "a|"), (10, "ab!c|")], (100, 200, 300)),
        ([(0, "a|"), (10, "a!"), (400, "a!")], (100, 100, 100)),
        # Twenty positions, the mark's own block included; a run of calls or results is one of them.
        ([(0, "ab|"), (10, "ab" + MANY[:19] + "|")], (200, 200, 2100)),
        ([(0, "ab|"), (10, "ab" + MANY[:20] + "|")], (0, 0, 2200)),
        ([(0, "ab|"), (10, "ab|" + MANY[:20] + "|")], (200, 200, 2200)),
        ([(0, "ab|"), (10, "ab" + MANY[:9] + "|" + MANY[:15] + "|")], (200, 200, 2600)),
        ([(0, "ab|"), (10, "ab" + "u" * 30 + "r" * 30 + "|")], (200, 200, 6200)),
        ([(0, "ab|"), (10, "ab" + "ur" * 10 + "|")], (0, 0, 2200)),
        # Nobody reads what is only being written.
        ([(0, "ab|"), (1.9, "abc|")], (0, 0, 300)),
        ([(0, "ab|"), (2.0, "abc|")], (200, 200, 300)),
        ([(0, "ab|"), (1.9, "ab|"), (2.0, "ab|")], (200, 200, 200)),
        ([(10, "ab|"), (0, "abc|")], (0, 0, 300)),
        ([(0, "ab|"), (300, "ab|"), (301, "ab|")], (0, 0, 200)),
        # Requests are not always looked at in the order in which they came.
        ([(0, "ab|"), (200, "ab|"), (100, "ab|"), (450, "ab|")], (200, 200, 200)),
    ],
)  # fmt: skip
def test_what_the_last_prompt_reads_and_writes(steps, last):
    """By the rules of Anthropic's docs."""
    assert looked(steps)[-1] == last


@pytest.mark.parametrize(
    ("least_tokens", "splits"),
    [
        (200, [(0, 0, 200), (200, 200, 400)]),
        (201, [NOTHING, (0, 0, 400)]),
        (401, [NOTHING, NOTHING]),
    ],
)
def test_a_prefix_that_is_too_short_is_not_cached(least_tokens, splits):
    """Neither written nor read, without a word."""
    assert looked([(0, "ab|"), (10, "ab|cd|")], least_tokens=least_tokens) == splits


def test_each_model_has_a_cache_of_its_own():
    """What one has read the other reads anew."""
    cache = PromptCache()
    for model in ("m", "n"):
        assert cache.look(model, layout("ab|"), now_s=0).simulated == CacheSplit(0, 0, 200)
    assert cache.look("n", layout("ab|"), now_s=9).simulated == CacheSplit(200, 200, 200)


def test_the_longest_unused_go_first():
    """What is used stays, whenever it was written."""
    cache = PromptCache(most_entries=2)
    for number, text in enumerate(["a|", "b|", "a|", "c|"]):
        cache.look("m", layout(text), now_s=10 * number)

    assert cache.look("m", layout("a|"), now_s=50).simulated.read == 100
    assert cache.look("m", layout("b|"), now_s=60).simulated.read == 0


def test_a_slow_answer_does_not_use_up_the_lifetime():
    """It counts from the answer's end: Claude would not have taken as long."""
    cache = PromptCache()
    use = cache.look("m", layout("ab|"), now_s=0)
    cache.ended(use, 1000)

    assert cache.look("m", layout("abc|"), now_s=1299).simulated.read == 200
    assert cache.look("m", layout("abd|"), now_s=1599).simulated.read == 0


def test_who_has_been_answered_reads_at_once():
    """A turn that follows a quick answer finds what the one before wrote."""
    cache = PromptCache()
    cache.ended(cache.look("m", layout("ab|"), now_s=0), 0.5)

    assert cache.look("m", layout("abc|"), now_s=0.5).simulated.read == 200
    assert cache.look("m", layout("abd|"), now_s=0.4).simulated.read == 0


@pytest.mark.parametrize(
    ("steps", "best", "worst"),
    [
        ([(0, "ab|")], (0, 0, 200), (0, 0, 200)),
        ([(0, "ab|"), (9999, "abc|")], (200, 200, 300), (0, 0, 300)),
        ([(0, "ab|"), (10, "ab" + MANY + "|")], (200, 200, 4000), (0, 0, 4000)),
        ([(0, "a!"), (9999, "a!b|")], (100, 100, 200), (0, 100, 200)),
        ([(0, "ab|"), (1, "abc")], NOTHING, NOTHING),
    ],
)
def test_best_and_worst(steps, best, worst):
    """At best every entry is still there, at worst none; what is written is as the marks say."""
    cache = PromptCache()
    for now_s, text in steps:
        use = cache.look("m", layout(text), now_s=now_s)

    assert (use.best, use.worst) == (CacheSplit(*best), CacheSplit(*worst))


PROMPTS = st.text("ab|!", max_size=8).filter(
    lambda text: not text.startswith(("|", "!")) and "||" not in text and "!!" not in text
    and "|!" not in text and "!|" not in text and sum(map(text.count, "|!")) <= 4
)  # fmt: skip
STEPS = st.lists(st.tuples(st.floats(0, 9000), PROMPTS), max_size=15)


@given(STEPS)
def test_it_never_remembers_more_than_its_bound(steps):
    """However many prompts come, and in whatever order of time."""
    cache = PromptCache(most_entries=ENTRIES)
    for now_s, text in steps:
        cache.look("m", layout(text), now_s=now_s)
        assert len(cache) <= ENTRIES


@given(STEPS, st.integers(0, 400))
def test_simulated_is_between_best_and_worst(steps, least_tokens):
    """Parts end in order within the prompt; at best no less is read, at worst nothing."""
    cache = PromptCache(most_entries=ENTRIES)
    for now_s, text in steps:
        use = cache.look("m", layout(text), now_s=now_s, least_tokens=least_tokens)
        for split in (use.best, use.simulated, use.worst):
            assert 0 <= split.read <= split.one_hour <= split.five_minutes <= use.total_tokens
        assert use.worst.read == 0 <= use.simulated.read <= use.best.read
        assert use.simulated.five_minutes <= use.best.five_minutes == use.worst.five_minutes


@given(st.lists(PROMPTS, min_size=1, max_size=count(quick=6, ci=10, full=20)))
def test_it_reads_what_a_plain_cache_would(prompts):
    """Within five minutes and twenty blocks: the longest marked prefix that ever came."""
    cache, known = PromptCache(), set()
    for number, text in enumerate(prompts):
        use = cache.look("m", layout(text), now_s=10 * number)
        plain = layout(text).blocks
        expected = max((b.end_tokens for b in plain if b.digest in known), default=0)
        assert use.simulated.read == expected
        known |= {plain[mark.block].digest for mark in layout(text).breakpoints}
