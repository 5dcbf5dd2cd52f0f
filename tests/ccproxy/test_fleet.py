"""What the proxy takes for known of a deployment's model before it sends anything there."""

import pytest

from ccproxy.config.settings import load_settings
from ccproxy.fleet import _facts_source
from ccproxy.health.board import HealthBoard
from ccproxy.health.monitor import OllamaMonitor


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
    facts = await _facts_source(deployment(tmp_path, params), None)()

    assert expected is facts.remote


async def test_an_ollama_that_has_not_answered_may_forward_to_its_cloud(tmp_path):
    """Nothing is assumed of a model of which Ollama has said nothing yet."""
    monitor = OllamaMonitor({}, {}, HealthBoard((), {}))
    facts = await _facts_source(deployment(tmp_path, "{model: ollama_chat/a}"), monitor)()

    assert None is facts.remote
