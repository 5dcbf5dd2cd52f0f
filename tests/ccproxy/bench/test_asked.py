"""What is run where the command line says little."""

import json

import pytest

from ccproxy.bench.asked import Asked, AskedError

OLLAMA = {"model": "ollama_chat/mine:3b", "num_ctx": 2048, "api_base": "http://127.0.0.1:9"}
CLAUDE = {"model": "anthropic/claude-sonnet-5-5", "api_key": "k"}
OTHER = {"model": "openai/gpt", "api_key": "k"}


def simulation(config):
    return Asked(
        routes=(), workload="quick", tasks=1, concurrency=1, warm_up=0, seed=1, base_url=None,
        tokens=(), free=(), shapes_of=None, simulate=True, config=config,
    )  # fmt: skip


def written(folder, *deployments):
    """A config file with these deployments, called d0, d1 and so on."""
    config, routing, roster = (folder / name for name in ("c.yaml", "routing.yaml", "roster.json"))
    items = [
        {"model_name": f"d{number}", **({} if own is None else own), "litellm_params": params}
        for number, (params, own) in enumerate(deployments)
    ]
    config.write_text(
        json.dumps({"roster": roster.name, "routing": routing.name, "model_list": items})
    )
    roster.write_text(json.dumps({"codingAgents": [{"name": "Debugger", "model": "sonnet"}]}))
    routing.write_text("version: 1\nactive_profile: p\nprofiles: {p: {default: {route: [d0]}}}\n")
    return config


@pytest.mark.parametrize(
    ("deployments", "labels"),
    [
        ([(OTHER, None), (CLAUDE, None), (OLLAMA, None), (OLLAMA, None)], ["d2", "d1"]),
        ([(CLAUDE, None), (CLAUDE, None)], ["d0"]),
        ([(OLLAMA, None)], ["d0"]),
        ([(OLLAMA, None), ({"model": "anthropic/*"}, {"credentials": "client"})], ["d0"]),
    ],
)
async def test_a_simulation_proposes_its_routes(tmp_path, deployments, labels):
    """The first local deployment and the first of Claude that needs no credential of a client's."""
    async with simulation(written(tmp_path, *deployments)).bench() as bench:
        assert labels == [route.label for route in bench.plan.routes]


async def test_nothing_to_simulate(tmp_path):
    """Where nothing of the config has a stand-in, that is said."""
    with pytest.raises(AskedError, match="model_list has nothing that can be simulated"):
        async with simulation(written(tmp_path, (OTHER, None))).bench():
            pass


async def test_a_simulation_needs_a_config(tmp_path, monkeypatch):
    """Without any file it says how to get one."""
    monkeypatch.delenv("CCPROXY_CONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AskedError, match="needs a config file: --config FILE; `ccproxy init`"):
        async with simulation(None).bench():
            pass
