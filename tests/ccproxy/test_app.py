"""The wiring: what `build_proxy` joins, and what it leaves alone."""

import asyncio
import json

import pytest

from ccproxy.app import build_proxy
from ccproxy.config.problems import ConfigError
from ccproxy.config.settings import load_settings
from tests.support.http_wire import ask
from tests.support.messages import CLAUDE, turn
from tests.support.proxy import REPOSITORY, running_proxy, settings_document


def settings_in(folder, **changes):
    document = settings_document(
        "http://127.0.0.1:9",
        "http://127.0.0.1:9",
        roster=REPOSITORY / "config/orchestra-config.json",
        routing=REPOSITORY / "config/routing.yaml",
    )
    path = folder / "ccproxy.yaml"
    path.write_text(json.dumps({**document, **changes}))
    return load_settings(path, {"HOME": str(folder)})


async def test_building_connects_nowhere(tmp_path):
    """Nothing runs and nothing is opened until the lifespan starts (design 4.2)."""
    before = asyncio.all_tasks()

    proxy = build_proxy(settings_in(tmp_path))

    assert before == asyncio.all_tasks()
    assert {"qwen-coder", "claude-opus"} <= set(proxy.live.loaded.table.deployments)
    assert 115 == len(proxy.live.loaded.roster.agents)


async def test_the_lifespan_leaves_nothing_behind():
    """Every task that serving started ends with it."""
    before = asyncio.all_tasks()
    async with running_proxy() as proxy:
        await ask(proxy.base_url, "/v1/messages", headers=proxy.headers, body=turn())
        await ask(proxy.base_url, "/v1/messages", headers=proxy.headers, body=turn(model=CLAUDE))
        assert before < asyncio.all_tasks()

    await asyncio.sleep(0.05)
    assert asyncio.all_tasks() <= before


@pytest.mark.parametrize("key", ["roster", "routing"])
async def test_an_unusable_file_is_refused(key, tmp_path):
    """A roster or table that cannot be read is a ConfigError that names it."""
    (tmp_path / "bad.yaml").write_text("]")

    with pytest.raises(ConfigError, match=r"bad\.yaml"):
        build_proxy(settings_in(tmp_path, **{key: "bad.yaml"}))


async def test_two_proxies_in_one_process():
    """Neither metrics nor routing of one are seen in the other."""
    async with running_proxy() as one, running_proxy() as other:
        await ask(one.base_url, "/v1/messages", headers=one.headers, body=turn(model=CLAUDE))
        texts = [
            (await ask(p.base_url, "/metrics", method="GET", headers=p.headers)).body.decode()
            for p in (one, other)
        ]

    assert ["ccproxy_requests_total{" in text for text in texts] == [True, False]
    assert [1, 0] == [len(p.claude.requests) for p in (one, other)]


async def test_deployments_with_one_key_share_their_connections():
    """Claude's tiers at one address use one pool of connections (conformance 276)."""
    routes = {
        "chief-architect": "claude-opus",
        "code-reviewer": "claude-sonnet",
        "rust-specialist": "claude-haiku",
    }
    agents = {agent: {"route": [deployment]} for agent, deployment in routes.items()}
    profile = {"agents": agents, "default": {"route": ["claude-sonnet"]}}
    routing = {"version": 1, "active_profile": "p", "profiles": {"p": profile}}
    async with running_proxy(routing=routing) as proxy:
        for agent, deployment in routes.items():
            answer = await ask(
                proxy.base_url,
                f"/agents/{agent}/v1/messages",
                headers=proxy.headers,
                body=turn(model=CLAUDE),
            )
            assert (200, deployment) == (answer.status, answer.header("x-ccproxy-deployment"))
        assert 1 == len(proxy.claude._server._state.connections)
