"""What local answers would have cost at Claude."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.counterfactual import claude_model, claude_tokens, would_have_cost
from routing.pricing import Price, Rates, TokenCounts, TokenRange, cost_microusd
from routing.prompt_cache import CacheSplit, CacheUse
from routing.types import Deployment, Profile, RouteRule, RoutingTable, Side, Tier

AS_MANY = TokenRange(1000, 1000, 1000)
OPUS = Price(Rates(4_000_000, 20_000_000, 5_000_000, 8_000_000, 200_000), token_range=AS_MANY)
STEPPED = Price(
    Rates(100_000, 500_000, 125_000, 200_000, 10_000),
    100_000,
    Rates(500_000, 2_500_000, 625_000, 1_000_000, 50_000),
    token_range=AS_MANY,
)
NONE = CacheSplit()
USE = CacheUse(
    1000,
    0,
    best=CacheSplit(800, 800, 1000),
    simulated=CacheSplit(400, 600, 1000),
    worst=CacheSplit(0, 600, 1000),
)
LOCAL = TokenCounts(input_tokens=10_000, output_tokens=100)


def deployment(name, side, model, base=None):
    return Deployment(name, side, leaves_host=True, upstream_model=model, base_model=base)


DEPLOYMENTS = {
    each.name: each
    for each in (
        deployment("qwen", Side.LOCAL, "claude-like-opus"),
        deployment("other", Side.OTHER, "gpt-opus"),
        deployment("opus", Side.CLAUDE, "*", "claude-opus-5-5"),
        deployment("old-opus", Side.CLAUDE, "claude-opus-4-8"),
        deployment("sonnet", Side.CLAUDE, "claude-sonnet-5-5"),
        deployment("any", Side.CLAUDE, "*"),
    )
}


def table(deployments=DEPLOYMENTS, **tiers):
    rules = {
        Tier(name): RouteRule(tuple(route)) for name, route in tiers.items() if name != "default"
    }
    default = RouteRule(tuple(tiers["default"])) if "default" in tiers else None
    profile = Profile("p", tiers=rules, default=default)
    return RoutingTable(profile, {"p": profile}, deployments, "v")


@pytest.mark.parametrize(
    ("requested", "tier", "routes", "model"),
    [
        ("claude-haiku-4-5", Tier.OPUS, {}, "claude-haiku-4-5"),
        ("claude-next", None, {}, "claude-next"),
        ("agent/x", Tier.OPUS, {}, "claude-opus-5-5"),
        ("agent/x", Tier.OPUS, {"opus": ["qwen", "old-opus"]}, "claude-opus-4-8"),
        ("agent/x", Tier.OPUS, {"opus": ["qwen", "sonnet"]}, "claude-opus-5-5"),
        ("agent/x", Tier.OPUS, {"opus": ["gone"]}, "claude-opus-5-5"),
        ("agent/x", Tier.SONNET, {}, "claude-sonnet-5-5"),
        ("agent/x", Tier.HAIKU, {"default": ["sonnet"]}, None),
        ("gpt-4", None, {"default": ["qwen", "other", "any", "sonnet"]}, "claude-sonnet-5-5"),
        ("gpt-4", None, {"default": ["qwen"]}, None),
        ("gpt-4", None, {}, None),
    ],
)
def test_with_which_model_a_request_is_compared(requested, tier, routes, model):
    """Its own if that is Claude's, else its tier's, else that of the default route."""
    is_claudes = requested.startswith("claude")

    assert claude_model(requested, is_claudes=is_claudes, tier=tier, table=table(**routes)) == model


def test_a_table_without_claude_compares_with_nothing():
    """Nothing is invented."""
    local = {"qwen": DEPLOYMENTS["qwen"]}

    assert claude_model("agent/x", is_claudes=False, tier=Tier.OPUS, table=table(local)) is None


@pytest.mark.parametrize(
    ("use", "split", "permille", "tokens"),
    [
        (USE, NONE, 1000, TokenCounts(10_000, 100)),
        (USE, USE.simulated, 1000, TokenCounts(0, 100, 4000, 2000, 4000)),
        (USE, USE.best, 1500, TokenCounts(0, 150, 3000, 0, 12_000)),
        (USE, CacheSplit(400, 400, 500), 1000, TokenCounts(5000, 100, 1000, 0, 4000)),
        (replace(USE, left_out_tokens=1000), USE.simulated, 1000, TokenCounts(0, 100, 2000, 1000, 2000)),
        (replace(USE, total_tokens=3), CacheSplit(1, 1, 2), 1000, TokenCounts(3334, 100, 3333, 0, 3333)),
    ],
)  # fmt: skip
def test_claudes_tokens(use, split, permille, tokens):
    """The local model's count is shared out as the prompt is; what Claude does not read is taken off."""
    assert claude_tokens(use, split, LOCAL, permille) == tokens


@pytest.mark.parametrize(
    ("price", "costs"),
    [
        # 4000 read, 2000 for an hour, 4000 for five minutes, 100 out: 800 + 16000 + 20000 + 2000
        (OPUS, (1600 + 10_000 + 2000, 38_800, 48_000 + 20_000 + 2000)),
        (replace(OPUS, token_range=TokenRange(500, 1000, 2000)), (6800, 38_800, 140_000)),
        (replace(OPUS, token_range=None), None),
        (replace(OPUS, rates=Rates(1_000_000, 0, 1_000_000, 1_000_000, 9_000_000)), (10_000, 42_000, 74_000)),
    ],
)  # fmt: skip
def test_costs(price, costs):
    """Least, as a rule and most; a cache that makes it dearer turns them round."""
    assert would_have_cost(USE, LOCAL, price) == costs


def test_a_longer_count_at_claude_may_cross_its_limit():
    """80,000 local tokens may be 120,000 of Claude's, all at the price of long prompts."""
    price = replace(STEPPED, token_range=TokenRange(1000, 1200, 1500))
    use = CacheUse(1, 0, NONE, NONE, NONE)

    assert would_have_cost(use, TokenCounts(80_000), price) == (8000, 9600, 60_000)


PARTS = st.tuples(*[st.integers(0, 500)] * 4).map(sorted)
RANGES = (
    st.lists(st.integers(0, 3000), min_size=3, max_size=3).map(sorted).map(lambda r: TokenRange(*r))
)
LOCALS = st.builds(TokenCounts, st.integers(0, 300_000), st.integers(0, 9000))


@st.composite
def uses(draw):
    """Draw what a cache says: at best more is read than is simulated, at worst nothing."""
    read, more, one_hour, last = draw(PARTS)
    total, left_out = draw(st.integers(max(1, last), 900)), draw(st.integers(0, 300))
    best = CacheSplit(more, one_hour, last)
    simulated = CacheSplit(read, one_hour, last)
    return CacheUse(total, left_out, best, simulated, CacheSplit(0, one_hour, last))


@given(uses(), LOCALS, RANGES, st.sampled_from([OPUS, STEPPED]))
def test_the_range_is_in_order(use, local, token_range, price):
    """Least, as a rule, most."""
    costs = would_have_cost(use, local, replace(price, token_range=token_range))

    assert 0 <= costs.low <= costs.expected <= costs.high


@given(uses(), LOCALS, st.sampled_from([OPUS, STEPPED]))
def test_never_below_all_hits_and_never_above_all_misses(use, local, price):
    """With as many tokens there as here: all of the marked prompt read, or all of it written."""
    marked = use.simulated.five_minutes
    hits = CacheSplit(marked, marked, marked)
    misses = CacheSplit(0, marked, marked)
    least, most = (
        cost_microusd(claude_tokens(use, split, local, 1000), price) for split in (hits, misses)
    )

    assert least <= would_have_cost(use, local, price).expected <= most


@given(uses(), LOCALS, st.integers(0, 3000))
def test_no_token_is_lost_or_counted_twice(use, local, permille):
    """However the prompt is shared out, all of it is charged once."""
    splits = (use.best, use.simulated, use.worst, NONE)
    counts = [claude_tokens(use, split, local, permille) for split in splits]

    assert len({each.prompt_tokens for each in counts}) == 1
    assert all(min(each.input_tokens, each.cache_read_tokens, each.cache_write_5m_tokens, each.cache_write_1h_tokens) >= 0 for each in counts)  # fmt: skip
