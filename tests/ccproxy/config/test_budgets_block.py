"""The `budgets:` list of `ccproxy.yaml`."""

import json

import jsonschema
import pytest
import yaml

from ccproxy.config.problems import ConfigError
from ccproxy.config.schema import ccproxy_schema
from ccproxy.config.settings import load_settings
from routing.budget_book import Budget, BudgetScope, Counted, OnReach, Window
from tests.support.tools import ROOT

MODELS = "model_list: [{model_name: qwen, litellm_params: {model: ollama_chat/q}}]\n"
GOOD = {
    "name": "b",
    "scope": "total",
    "counts": "usd",
    "window": "day",
    "limit": 1,
    "on_reach": "refuse",
}


def load(folder, *budgets):
    path = folder / "ccproxy.yaml"
    path.write_text(
        MODELS + "budgets:\n" + "".join(f"  - {json.dumps(each)}\n" for each in budgets)
    )
    return load_settings(path, {}).budgets


def without(key):
    return {name: value for name, value in GOOD.items() if name != key}


def test_a_budget_arrives(tmp_path):
    """Words as words, dollars as whole microdollars."""
    each = {**GOOD, "name": "a.b_c-1", "scope": "agent", "value": "*", "limit": 0.1}

    assert load(tmp_path, GOOD, {**each, "on_reach": "local_only"}) == (
        Budget("b", BudgetScope.TOTAL, "", Counted.USD, Window.DAY, 1_000_000, OnReach.REFUSE),
        Budget(
            "a.b_c-1", BudgetScope.AGENT, "*", Counted.USD, Window.DAY, 100_000, OnReach.LOCAL_ONLY
        ),
    )


@pytest.mark.parametrize(
    ("budget", "said"),
    [
        ({**GOOD, "limt": 2}, "budgets[0].limt: unknown key. Did you mean 'limit'?"),
        (without("limit"), "budgets[0].limit: is required"),
        ({**GOOD, "name": "a b"}, "budgets[0].name: may hold up to 64 letters"),
        ({**GOOD, "on_reach": "refus"}, "Did you mean 'refuse'?"),
        ({**GOOD, "window": "week"}, "budgets[0].window: must be one of minute, day, month."),
        ({**GOOD, "limit": True}, "budgets[0].limit: must be a number"),
        ({**GOOD, "limit": 0}, "budgets[0].limit: Input should be greater than 0"),
        ({**GOOD, "limit": 1e-7}, "budgets[0].limit: must be at least 0.000001"),
        ({**GOOD, "counts": "tokens", "limit": 1.5}, "budgets[0].limit: must be a whole number"),
        ({**GOOD, "value": "x"}, "budgets[0].value: take it out: the scope total is everybody's"),
        ({**GOOD, "scope": "agent"}, "budgets[0].value: is required: the agent's name, or '*'"),
        ({**GOOD, "counts": "concurrency"}, "budgets[0].window: take it out"),
        (without("window"), "budgets[0].window: is required: one of minute, day, month"),
        (
            {**GOOD, "scope": "deployment", "value": "qwn"},
            "budgets[0].value: there is no deployment 'qwn'. Did you mean 'qwen'?",
        ),
        (
            {**GOOD, "scope": "deployment", "value": "*", "on_reach": "local_only"},
            "budgets[0].on_reach: must be warn or refuse for a deployment",
        ),
    ],
)
def test_a_mistake_is_named(budget, said, tmp_path):
    """With file, line, key, and the nearest word where there is one."""
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, budget)

    (problem,) = caught.value.problems
    assert f"{tmp_path}/ccproxy.yaml:3:" in str(problem)
    assert said in str(problem)


def test_names_are_unique(tmp_path):
    """Metrics and messages tell budgets apart by them."""
    with pytest.raises(ConfigError, match=r"budgets\[1\]\.name: 'b' is the name of an earlier"):
        load(tmp_path, GOOD, {**GOOD, "window": "month"})


def test_the_shipped_examples_are_good(tmp_path):
    """The commented budgets of the shipped file are read, satisfy the schema, and stand in the docs."""
    text = (ROOT / "config/ccproxy.yaml").read_text()
    lines = text[text.index("# budgets:") :].split("\n\n")[0].splitlines()
    examples = yaml.safe_load("\n".join(line.removeprefix("# ") for line in lines))["budgets"]
    schema = ccproxy_schema()
    for each in examples:
        jsonschema.validate([each], {**schema["properties"]["budgets"], "$defs": schema["$defs"]})
        if each["scope"] == "deployment":
            each["value"] = "qwen"

    assert 5 == len(load(tmp_path, *examples))
    page = (ROOT / "docs/budgets.md").read_text()
    for name in ("scope", "counts", "window", "on_reach"):
        for word in ccproxy_schema()["$defs"]["BudgetBlock"]["properties"][name]["enum"]:
            assert f"`{word}`" in page
    shown = page[page.index("budgets:\n") : page.index("\n```\n", page.index("budgets:\n"))]
    assert [each["name"] for each in examples] == [
        each["name"] for each in yaml.safe_load(shown)["budgets"]
    ]


def test_the_schema_refuses_mistakes():
    """What an editor can see, it shows while typing."""
    schema = ccproxy_schema()["$defs"]["BudgetBlock"]
    jsonschema.validate(GOOD, schema)
    for wrong in ({**GOOD, "limt": 2}, {**GOOD, "limit": 0}, {**GOOD, "on_reach": "refus"}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schema)
