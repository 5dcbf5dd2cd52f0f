"""The price file, and whether ours says what its source says."""

import json
import re
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path

import pytest

from ccproxy.config.pricing_file import load_pricing
from ccproxy.config.problems import ConfigError
from routing.pricing import NO_PRICES, Price, Rates, TokenRange

SHIPPED = load_pricing(Path(__file__).parents[3] / "config/pricing.yaml")
HEAD = "version: 1\nas_of: 2026-11-21\n"
COST_MAP = "model_prices_and_context_window_backup.json"
COST_KEYS = (
    "input_cost_per_token",
    "output_cost_per_token",
    "cache_creation_input_token_cost",
    "cache_creation_input_token_cost_above_1hr",
    "cache_read_input_token_cost",
)


def source_prices():
    """The Claude models of LiteLLM's packaged file, which is read without importing LiteLLM."""
    (folder,) = find_spec("litellm").submodule_search_locations
    entries = json.loads((Path(folder) / COST_MAP).read_text())
    return {
        name: entry
        for name, entry in entries.items()
        if entry.get("litellm_provider") == "anthropic" and name.startswith("claude-")
    }


SOURCE = source_prices()


def rates_in(entry, suffix=""):
    return Rates(*(int(Decimal(repr(entry[key + suffix])) * 10**12) for key in COST_KEYS))


@pytest.mark.parametrize("model", sorted(SOURCE))
def test_the_shipped_prices_are_those_of_the_source(model):
    """Every model of the source, dated ids included, has the source's rates, also the long ones."""
    entry = SOURCE[model]
    (above,) = {
        int(found[1]) for key in entry if (found := re.search(r"_above_(\d+)k_tokens$", key))
    } or {None}
    expected = (rates_in(entry), None, None)
    if above is not None:
        expected = (expected[0], above * 1000, rates_in(entry, f"_above_{above}k_tokens"))

    found = SHIPPED.find(model)
    assert (found.rates, found.long_above_tokens, found.long_rates) == expected


@pytest.mark.parametrize("model", sorted(SOURCE))
def test_the_shipped_multipliers_are_those_of_the_source(model):
    """Fast mode and place of inference as the source has them, batches where it has prices."""
    entry = SOURCE[model]
    expected = dict(entry.get("provider_specific_entry", {}))
    if "input_cost_per_token_batches" in entry:
        expected["batch"] = entry["input_cost_per_token_batches"] / entry["input_cost_per_token"]

    assert SHIPPED.find(model).multipliers_permille == {
        name: round(times * 1000) for name, times in expected.items()
    }


def test_the_shipped_fees_are_those_of_the_source():
    """A web search costs what the source says of each model that says it."""
    (said,) = {
        entry["search_context_cost_per_query"]["search_context_size_medium"]
        for entry in SOURCE.values()
        if "search_context_cost_per_query" in entry
    }
    assert SHIPPED.fees_microusd == {"web_search_requests": said * 10**6, "web_fetch_requests": 0}


def test_what_the_shipped_file_says_of_savings():
    """Each model has a tokenizer and a least length to cache; local work costs nothing."""
    assert all(price.token_range and price.cache_from_tokens for price in SHIPPED.prices.values())
    assert SHIPPED.find("claude-opus-5-5").token_range == TokenRange(1000, 1550, 1800)
    assert SHIPPED.find("claude-haiku-4-5").cache_from_tokens == 4096
    assert SHIPPED.local_microusd_per_hour is None is NO_PRICES.local_microusd_per_hour


def test_the_shipped_prices_have_no_other_models():
    """Nothing in the file is without a source; it says of which day it is."""
    assert set(SHIPPED.prices) <= set(SOURCE)
    assert SHIPPED.as_of == "2026-11-21"


def problems_of(tmp_path, text):
    path = tmp_path / "pricing.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_pricing(path)
    return [
        f"{each.line}:{each.column} {each.key}: {each.message}" for each in caught.value.problems
    ]


GOOD = "{input: 1, output: 2, cache_write_5m: 3, cache_write_1h: 4, cache_read: 0.05}"


@pytest.mark.parametrize(
    ("models", "problem"),
    [
        ("{}\nmodel: {}", "4:1 model: unknown key 'model'. Did you mean 'models'?"),
        ("[]", "3:1 models: must be a map of `key: value`"),
        ("{a: 1}", "3:10 models.a: must be a map of `key: value`"),
        ("{a: " + GOOD.replace("output", "outputs") + "}", "3:24 models.a.outputs: unknown key 'outputs'. Did you mean 'output'?"),
        ("{a: " + GOOD.replace("2", "-2") + "}", "3:24 models.a.output: must be a price in dollars per million tokens, from 0"),
        ("{a: " + GOOD.replace("2", "true") + "}", "3:24 models.a.output: must be a price in dollars per million tokens, from 0"),
        ("{a: " + GOOD.replace("2", ".nan") + "}", "3:24 models.a.output: must be a price in dollars per million tokens, from 0"),
        ("{a: " + GOOD.replace("2", "0.0000001") + "}", "3:24 models.a.output: is finer than a microdollar per million tokens"),
        ("{a: " + GOOD[:-1] + ", long: " + GOOD + "}}", "3:91 models.a.long.above_input_tokens: must be a whole number of tokens above 0"),
        ("{1: " + GOOD + "}", "3:10 models.1: must be a name; quote it"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_place(tmp_path, models, problem):
    """Line, column, key and what belongs there."""
    assert problem in problems_of(tmp_path, f"{HEAD}models: {models}\n")


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ("fees: {a: -1}", "3:8 fees.a: must be dollars per use, from 0"),
        ("fees: {a: 0.0000001}", "3:8 fees.a: is finer than a microdollar"),
        ("local: {watt: 1}", "3:9 local.watt: unknown key 'watt'. Did you mean 'watts'?"),
        ("local: {watts: many}", "3:9 local.watts: must be a number, from 0"),
        ("local: 3", "3:1 local: must be a map of `key: value`"),
        ("tokenizers: {a: {low: 1, expected: 2}}", "3:14 tokenizers.a.high: must be a number of times, from 0"),
        ("tokenizers: {a: {low: 3, expected: 2, high: 4}}", "3:14 tokenizers.a: must be in order: low, expected, high"),
        ("tokenizers: {a: {low: 1, expected: 1.2345, high: 4}}", "3:26 tokenizers.a.expected: is finer than a thousandth"),
    ],
)  # fmt: skip
def test_a_mistake_besides_the_models(tmp_path, lines, problem):
    """The same for fees, local work and tokenizers."""
    assert problem in problems_of(tmp_path, f"{HEAD}{lines}\nmodels: {{}}\n")


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ("batch: 200", "models.a.batch: must be a number of times, from 0"),
        ("cache_from_tokens: -1", "models.a.cache_from_tokens: must be a whole number of tokens, from 0"),
        ("tokenizer: neu", "models.a.tokenizer: is not one of the `tokenizers` of this file. Did you mean 'new'?"),
    ],
)  # fmt: skip
def test_a_mistake_in_what_a_model_has_besides_rates(tmp_path, more, problem):
    """Multipliers, the least length to cache and the tokenizer."""
    tokenizers = "tokenizers: {new: {low: 1, expected: 1, high: 1}}"
    text = f"{HEAD}{tokenizers}\nmodels: {{a: {GOOD[:-1]}, {more}}}}}\n"
    assert [line.partition(" ")[2] for line in problems_of(tmp_path, text)] == [problem]


@pytest.mark.parametrize(
    ("local", "microusd_per_hour"),
    [
        ("{}", 0),
        ("{watts: 350, usd_per_kwh: 0.3}", 105_000),
        ("{usd_per_hour: 0.25}", 250_000),
        ("{watts: 350, usd_per_kwh: 0.3, usd_per_hour: 0.25}", 355_000),
        ("{watts: 0.5, usd_per_kwh: 0.001}", 1),
    ],
)
def test_an_hour_of_local_work(tmp_path, local, microusd_per_hour):
    """Electricity and the machine's price together, in whole microdollars."""
    path = tmp_path / "pricing.yaml"
    path.write_text(f"{HEAD}models: {{}}\nlocal: {local}\n")

    assert load_pricing(path).local_microusd_per_hour == microusd_per_hour


def test_all_mistakes_at_once(tmp_path):
    """Version, date and models are all looked at."""
    assert len(problems_of(tmp_path, "version: 2\nas_of: soon\nmodels: 1\n")) == 3


def test_no_file(tmp_path):
    """The complaint names the file."""
    with pytest.raises(ConfigError, match=r"pricing\.yaml.*cannot be read"):
        load_pricing(tmp_path / "pricing.yaml")


def test_prices_are_exact(tmp_path):
    """Decimal fractions become whole microdollars without drift."""
    path = tmp_path / "pricing.yaml"
    path.write_text(f"{HEAD}models: {{a: {GOOD.replace('0.05', '0.000029')}}}\n")

    assert load_pricing(path).prices["a"] == Price(
        Rates(10**6, 2 * 10**6, 3 * 10**6, 4 * 10**6, 29)
    )
