"""docs/reliability.md says what the code does."""

import json
import re
from dataclasses import fields, replace

import pytest
from prometheus_client import CollectorRegistry

from ccproxy.demo.claude import SimulatedClaude
from ccproxy.demo.claude_faults import Fault, FaultKind
from ccproxy.demo.ollama_server import SimulatedOllama
from ccproxy.health.board import HealthBoard
from ccproxy.observability.health_metrics import (
    HealthStates,
    backend_change_counter,
    breaker_change_counter,
)
from routing import breaker, health, retry
from tests.support.http_wire import ask
from tests.support.messages import turn
from tests.support.proxy import running_proxy
from tests.support.reliability import PAGE, with_table
from tests.support.waiting import until_found


@pytest.fixture(scope="module")
def page():
    return PAGE.read_text(encoding="utf-8")


def test_the_table_of_failures_is_generated(page):
    """A changed consequence needs `make docs`."""
    assert with_table(page) == page


def test_a_page_without_markers_is_refused():
    """Rather than losing the table without a word."""
    with pytest.raises(ValueError, match="markers"):
        with_table("# Reliability\n")


@pytest.mark.parametrize(
    "rules", [retry.DEFAULT_RULES, health.DEFAULT_RULES, breaker.DEFAULT_RULES], ids=type
)
def test_every_default_is_told_with_its_source(page, rules):
    """Each has a row with its value, what it means and where it comes from, and there are no others."""
    _, _, table = page.partition(f"| `{type(rules).__name__}` |")
    rows = [line.split(" | ") for line in table.split("\n\n")[0].splitlines()[2:]]

    told = {row[0].strip("|` "): float(row[1]) for row in rows}
    assert told == {field.name: getattr(rules, field.name) for field in fields(rules)}
    assert all(len(row) == 4 and row[2].strip() and row[3].strip("| ") for row in rows)


def test_the_stated_times_are_those_of_the_defaults(page):
    """How soon a backend is known to be dead or back is reckoned, not guessed."""
    reckoned = page.partition("<!-- begin: written by `make soak` -->")[0]
    stated = [float(text) for text in re.findall(r"\| (\d+\.\d) s \|", reckoned)]
    assert stated == pytest.approx([health.time_to_down_s(), health.time_to_up_s()])

    refused = health.time_to_down_s(replace(health.DEFAULT_RULES, probe_timeout_s=0))
    assert f"then it is {refused:.1f} s" in page


MOMENTS = {"since", "at", "next_probe_s", "open_for_s"}
"""Keys whose values differ from run to run; None is told all the same."""


def timeless(value, addresses):
    """Return JSON with the page's addresses and without moments."""
    if isinstance(value, dict):
        return {
            key: bool(each) if key in MOMENTS else timeless(each, addresses)
            for key, each in value.items()
        }
    if isinstance(value, list):
        return [timeless(each, addresses) for each in value]
    if isinstance(value, str):
        return re.sub(r"another \d+ s", "another … s", addresses.get(value, value))
    return value


async def test_health_shows_what_the_page_shows(page):
    """After a 429 of Claude's that names 42 s, with a qwen-fast that nobody used yet."""
    model = {"model": "ollama_chat/qwen-fast", "num_ctx": 32768}
    key = {"model": "anthropic/claude-sonnet-5-5", "api_key": "k"}
    sim, claude = SimulatedOllama(), SimulatedClaude()
    async with sim.serve() as ollama_url, claude.serve() as claude_url:
        models = [
            {"model_name": "qwen-fast", "litellm_params": {**model, "api_base": ollama_url}},
            {"model_name": "claude-sonnet", "litellm_params": {**key, "api_base": claude_url}},
        ]
        profile = {"default": {"route": ["qwen-fast", "claude-sonnet"]}}
        routing = {"version": 1, "active_profile": "balanced", "profiles": {"balanced": profile}}
        async with running_proxy(routing=routing, changes={"model_list": models}) as proxy:

            async def look():
                answer = await ask(proxy.base_url, "/health", method="GET", headers=proxy.headers)
                found = answer.json()
                known = found["backends"][0]["models"][0]["state"] == "present"
                return found if known else None

            claude.faults.append(Fault(FaultKind.STATUS, status=429, retry_after_s=42))
            body = turn(model="claude-sonnet")
            await ask(proxy.base_url, "/v1/messages", headers=proxy.headers, body=body)
            found = await until_found(look)

    addresses = {ollama_url: "http://127.0.0.1:11434", claude_url: "https://api.anthropic.com"}
    shown = json.loads(page.partition("```json\n")[2].partition("```")[0])
    real = {key: found[key] for key in shown}
    assert timeless(shown, {}) == timeless(real, addresses)


def test_the_metrics_of_the_page_exist(page):
    """Each metric named there is exposed under that name."""
    registry = CollectorRegistry()
    backend_change_counter(registry)
    breaker_change_counter(registry)
    board = HealthBoard((), {})
    registry.register(HealthStates(board, dict))
    families = {metric.name for metric in registry.collect()}

    named = set(re.findall(r"`(ccproxy_(?:backend|breaker)_\w+)", page))
    assert len(named) == 5
    assert {name.removesuffix("_total") for name in named} == families
