"""The price file, and whether ours says what its source says."""

import json
import re
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path

import pytest

from ccproxy.config.pricing_file import load_pricing
from ccproxy.config.problems import ConfigError
from routing.pricing import Price, Rates

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
    expected = Price(rates_in(entry))
    if above is not None:
        expected = Price(expected.rates, above * 1000, rates_in(entry, f"_above_{above}k_tokens"))

    assert SHIPPED.find(model) == expected


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
        ("{1: " + GOOD + "}", "3:10 models.1: must be a model's id; quote it"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_place(tmp_path, models, problem):
    """Line, column, key and what belongs there."""
    assert problem in problems_of(tmp_path, f"{HEAD}models: {models}\n")


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
