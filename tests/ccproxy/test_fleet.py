"""What the proxy takes for known of a deployment's model before it sends anything there."""

import math
from contextlib import asynccontextmanager

import pytest

from ccproxy.config.settings import load_settings
from ccproxy.demo.ollama_server import SimulatedOllama
from ccproxy.deployed import facts_source
from ccproxy.fleet import build_fleet
from ccproxy.health.board import HealthBoard
from ccproxy.health.monitor import OllamaMonitor
from ccproxy.pipeline.token_ratios import TokenRatios
from ccproxy.ports import ModelDelta, ModelDone
from tests.support.messages import turn
from tests.support.parsed_requests import request_of


def deployment(folder, params):
    file = folder / "ccproxy.yaml"
    file.write_text(f"model_list: [{{model_name: q, litellm_params: {params}}}]")
    return load_settings(file, {}).deployments[0]


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ("{model: openai/a, api_base: 'http://127.0.0.1:1', api_key: k}", False),
        ("{model: openai/a, api_base: 'https://api.example.com', api_key: k}", True),
        ("{model: openai/a, api_key: k}", True),
    ],
    ids=["on this host", "elsewhere", "at its provider"],
)
async def test_an_upstream_that_nobody_watches_is_where_its_address_is(params, expected, tmp_path):
    """Without a monitor the config decides whether inference runs on another host."""
    facts = await facts_source(deployment(tmp_path, params), None)()

    assert expected is facts.remote


async def test_an_ollama_that_has_not_answered_may_forward_to_its_cloud(tmp_path):
    """Nothing is assumed of a model of which Ollama has said nothing yet."""
    monitor = OllamaMonitor({}, {}, HealthBoard((), {}))
    facts = await facts_source(deployment(tmp_path, "{model: ollama_chat/a}"), monitor)()

    assert None is facts.remote


class Saying:
    """A model behind a simulated Ollama that loads nothing there."""

    async def stream(self, _call):
        yield ModelDelta(text="well")
        yield ModelDone("stop")


@asynccontextmanager
async def watched_fleet(folder):
    """Run a fleet of one deployment, whose Ollama has been looked at."""
    async with SimulatedOllama(speed=math.inf).serve() as url:
        file = folder / "ccproxy.yaml"
        params = f"{{model: ollama_chat/qwen-fast, api_base: '{url}', num_ctx: 8192}}"
        file.write_text(f"model_list: [{{model_name: q, litellm_params: {params}}}]")
        settings = load_settings(file, {})
        fleet = build_fleet(settings, patience_s=8, token_ratios=TokenRatios({}))
        fleet.monitor.start()
        try:
            await fleet.settle()
            yield fleet
        finally:
            await fleet.monitor.aclose()
            for control in fleet._controls:  # `running` would close them, and imports LiteLLM
                await control.aclose()


async def test_routing_knows_at_once_which_model_has_been_loaded_by_a_request(tmp_path):
    """An answer says so before Ollama is looked at again: the next turn is not sent elsewhere."""
    async with watched_fleet(tmp_path) as fleet:
        before = fleet.occupancy()["q"].loaded
        fleet.served["q"].upstream = Saying()
        await fleet.served["q"].open(request_of(turn()))

        assert (before, fleet.occupancy()["q"].loaded) == (False, True)
