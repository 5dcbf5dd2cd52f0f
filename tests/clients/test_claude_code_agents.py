"""Claude Code spawns agents from `.claude/agents/`, and the proxy knows who they are.

Nothing is changed in the client but the base URL and the token.
"""

import asyncio
import json
from itertools import groupby

import pytest

from ccproxy.observability.decision_log import FILE_NAME, read_decisions
from tests.support.claude_code import run_claude_code
from tests.support.proxy import REPOSITORY, running_proxy

pytestmark = pytest.mark.needs("claude-code")

AGENT_FILES = REPOSITORY / "config/agents"


async def decisions_of(proxy, requests):
    """Wait until so many requests are on record, and return them in the order of arrival."""
    path = proxy.tokens_file.parent / FILE_NAME
    async with asyncio.timeout(10):
        while len(found := list(read_decisions(path))) < requests:  # noqa: ASYNC110 - a file
            await asyncio.sleep(0.05)
    return sorted(found, key=lambda decision: decision.at)


def agent_call(name, prompt):
    call = {
        "description": "A small errand",
        "prompt": prompt,
        "subagent_type": name,
        "run_in_background": False,
    }
    return f"Use the Agent tool with {json.dumps(call)}"


@pytest.mark.parametrize(
    ("name", "deployment"),
    [("debugger", "qwen-coder"), ("chief-architect", "claude-opus")],
    ids=["a local one", "one of Claude's"],
)
async def test_an_agent_from_a_file_is_named_from_its_first_request_on(name, deployment, tmp_path):
    """The proxy finds the file's text in the system prompt, on the first turn and on each later."""
    async with running_proxy() as proxy:
        run = await run_claude_code(
            agent_call(name, "Run `echo hi` and say what it printed."),
            base_url=proxy.base_url,
            token=proxy.token,
            folder=tmp_path,
            agent_files=[AGENT_FILES / f"{name}.md"],
        )
        assert (0, False) == (run.exit_code, run.result["is_error"]), run.result
        decisions = await decisions_of(proxy, 4)

    spawned = [each for each in decisions if each.match.slug is not None]
    assert [(name, "prompt")] * 2 == [(each.match.slug, each.match.source) for each in spawned]
    assert [deployment] * 2 == [each.outcome.deployment for each in spawned]
    # The second turn would be known without the prompt too, by the agent id of the first.
    assert [None, name] == [each.facts.get("bound_agent") for each in spawned]
    # The main thread has no agent's prompt: it is nobody of the roster, before and after.
    turns = [key for key, _ in groupby(each.match.slug for each in decisions)]
    assert [None, name, None] == turns


async def test_agents_in_one_folder_are_told_apart(tmp_path):
    """The client knows two agents and spawns one, then the other: each request is its own's."""
    names = ["debugger", "technical-researcher"]
    async with running_proxy() as proxy:
        for number, name in enumerate(names):
            run = await run_claude_code(
                agent_call(name, "Run `echo hi` and say what it printed."),
                base_url=proxy.base_url,
                token=proxy.token,
                folder=tmp_path / str(number),
                agent_files=[AGENT_FILES / f"{each}.md" for each in names],
            )
            assert run.exit_code == 0, run.result
        decisions = await decisions_of(proxy, 8)

    assert names == [key for key, _ in groupby(d.match.slug for d in decisions) if key is not None]
