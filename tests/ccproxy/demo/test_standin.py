"""The simulated upstreams that stand in for those of a config file."""

import json

import httpx
import pytest

from ccproxy.config.settings import load_settings
from ccproxy.demo.standin import named_models, simulated_upstreams

FLEET = "qwen2.5-coder:32b-instruct"


def settings(folder, *deployments):
    path = folder / "ccproxy.yaml"
    items = [
        {
            "model_name": f"d{number}",
            "litellm_params": {"model": model, "api_base": "http://127.0.0.1:9", **params},
            "model_info": info,
        }
        for number, (model, params, info) in enumerate(deployments)
    ]
    path.write_text(json.dumps({"server": {"port": 0}, "model_list": items}))
    return load_settings(path, {"HOME": str(folder)})


@pytest.mark.parametrize(
    ("model", "num_ctx", "info"),
    [
        (FLEET, 32768, {}),
        ("qwen2.5-coder:7b-instruct", 32768, {"weights_gib": 4.36, "kv_kib_per_token": 56}),
        ("Mine/Tiny", 2048, {}),
        ("qwen2.5:72b", 131072, {"weights_gib": 44.2, "kv_kib_per_token": 320}),
        ("long:1b", 262144, {"weights_gib": 1}),
    ],
)
async def test_every_model_that_is_named_answers(tmp_path, model, num_ctx, info):
    """Whatever Ollama model the settings name is there, with room for it and the whole context."""
    wanted = settings(tmp_path, (f"ollama_chat/{model}", {"num_ctx": num_ctx}, info))
    question = {
        "model": model,
        "messages": [{"role": "user", "content": "Hello"}],
        "options": {"num_ctx": num_ctx},
        "stream": False,
    }
    async with simulated_upstreams(wanted) as simulation, httpx.AsyncClient() as client:
        answer = await client.post(f"{simulation.ollama_url}/api/chat", json=question, timeout=30)
        loaded = await client.get(f"{simulation.ollama_url}/api/ps")

    assert answer.status_code == 200, answer.text
    assert [num_ctx] == [each["context_length"] for each in loaded.json()["models"]]


def test_a_named_model_is_as_its_deployment_says(tmp_path):
    """Weights, context and abilities are the deployment's; a name of the demo's fleet adds none."""
    info = {
        "weights_gib": 9.9,
        "kv_kib_per_token": 100,
        "trained_context_tokens": 40960,
        "supports_tools": False,
        "supports_vision": True,
        "supports_reasoning": True,
    }
    big, small = named_models(
        settings(
            tmp_path,
            ("ollama_chat/big", {"num_ctx": 8192}, info),
            ("ollama_chat/big:latest", {"num_ctx": 8192}, info),
            (f"ollama_chat/{FLEET}", {"num_ctx": 8192}, {}),
            ("ollama_chat/small:3b", {"num_ctx": 8192}, {"weights_gib": 1.8}),
            ("anthropic/*", {}, {}),
        ).deployments
    )

    assert (9.9, 100, 40960) == (big.weights_gib, big.kv_kib_per_token, big.trained_context_tokens)
    assert ("completion", "vision", "thinking") == big.capabilities
    assert ("completion", "tools") == small.capabilities
    assert small.decode_tokens_per_s > 5 * big.decode_tokens_per_s
