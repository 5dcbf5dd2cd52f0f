"""Rules and policies of a table over HTTP: who matches, where it goes, and what else happens."""

import asyncio
import json

import pytest
import pytest_asyncio

from ccproxy.demo.claude_faults import Fault, FaultKind
from routing.prompts import tag_line
from tests.support.http_wire import ask
from tests.support.messages import WEATHER, turn

pytestmark = pytest.mark.asyncio(loop_scope="module")

TABLE = {
    "version": 1,
    "active_profile": "p",
    "profiles": {
        "p": {
            "rules": [
                {"name": "hurry", "when": {"header": {"x-hurry": "yes"}}, "deadline_s": 0.4},
                {"name": "secret", "when": {"project": "secret-*"}, "privacy": "local_only"},
                {"name": "desks", "when": {"principal": "desk-*"}, "route": ["qwen-quality"]},
                {
                    "name": "teams",
                    "when": {"header": {"X-Team": ["red", "blue-*"]}},
                    "route": ["qwen-fast", "claude-haiku"],
                },
                {"name": "apollo", "when": {"project": "apollo"}, "route": ["claude-opus"]},
                {
                    "name": "thinks",
                    "when": {"thinking": True, "header": {"x-local": "*"}},
                    "route": ["qwen-thinker"],
                },
                {
                    "name": "tools",
                    "when": {"tool_names": "get_*", "header": {"x-local": "*"}},
                    "route": ["qwen-vision", "qwen-coder"],
                },
                {
                    "name": "images",
                    "when": {"has_images": True},
                    "route": ["qwen-coder", "qwen-vision", "claude-sonnet"],
                },
            ],
            "agents": {
                "chief-architect": {"thinking": {"max_budget_tokens": 2048}},
                "documentation-expert": {"thinking": "strip"},
                "python-pro": {"route": ["qwen-coder", "claude-haiku"], "on_overflow": "error"},
                "debugger": {"route": ["qwen-coder", "claude-haiku"]},
            },
            "default": {"route": ["claude-sonnet"]},
        }
    },
}
PROXY_OPTIONS = {"routing": TABLE, "patience_s": 0.1, "ping_after_s": 0.05}
CLAUDE = "claude-sonnet-4-5"
IMAGE = {
    "type": "image",
    "source": {
        "type": "base64",
        "media_type": "image/png",
        "data": "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==",
    },
}


class Asking:
    """Asks the module's proxy."""

    def __init__(self, proxy):
        self._proxy = proxy

    async def __call__(self, body=None, *, agent=None, token=None, **headers):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if agent is not None:
            named["x-ccproxy-agent"] = agent
        sent = {**self._proxy.headers, **named}
        if token is not None:
            sent["x-api-key"] = token
        body = turn(model=CLAUDE) if body is None else body
        return await ask(self._proxy.base_url, "/v1/messages", headers=sent, body=body)


@pytest_asyncio.fixture(loop_scope="module")
async def asking(proxy):
    return Asking(proxy)


@pytest.mark.parametrize(
    ("headers", "deployment"),
    [
        ({}, "claude-sonnet"),
        ({"x_team": "red"}, "qwen-fast"),
        ({"X_Team": "blue-7"}, "qwen-fast"),
        ({"x_team": "Red"}, "claude-sonnet"),
        ({"x_team": "green"}, "claude-sonnet"),
        ({"x_ccproxy_project": "apollo"}, "claude-opus"),
        ({"x_ccproxy_project": "apollo-2"}, "claude-sonnet"),
        ({"x_team": "red", "x_ccproxy_project": "apollo"}, "qwen-fast"),
    ],
)
async def test_rules_about_headers_and_projects(headers, deployment, asking):
    """The first rule whose patterns fit gives the route; case counts in values, not in names."""
    answer = await asking(**headers)

    assert (200, deployment) == (answer.status, answer.header("x-ccproxy-deployment"))


async def test_rules_about_principals(asking, proxy):
    """A token's name decides, not what the request says of itself."""
    token = proxy.new_token("desk-7")
    async with asyncio.timeout(10):
        while (answer := await asking(token=token)).status == 401:
            pass

    assert "qwen-quality" == answer.header("x-ccproxy-deployment")
    assert "claude-sonnet" == (await asking()).header("x-ccproxy-deployment")


async def test_a_rule_without_a_route_tightens_privacy(asking, proxy):
    """A secret project's request goes on to the rule with a route, but never off the host."""
    local = await asking(x_ccproxy_project="secret-plans", x_team="red")
    assert (200, "qwen-fast") == (local.status, local.header("x-ccproxy-deployment"))

    refused = await asking(x_ccproxy_project="secret-plans")
    assert (400, "invalid_request_error") == (refused.status, refused.error["type"])
    assert "false" == refused.header("x-should-retry")
    assert not proxy.claude.requests


async def test_local_only_does_not_fall_back_to_claude(asking, proxy):
    """The local model of a secret project fails: the client hears of it, Claude does not."""
    proxy.ollama.add_fault("busy", times=9)

    answer = await asking(x_ccproxy_project="secret-plans", x_team="red")

    assert 529 == answer.status
    assert not proxy.claude.requests


@pytest.mark.parametrize(
    ("route", "stream"), [("local", False), ("claude", False), ("claude", True)]
)
async def test_a_deadline_before_the_answer_is_a_504(stream, route, asking, proxy):
    """Nothing was heard yet, so the status can still tell it; the request may be tried again."""
    proxy.ollama.add_fault("hang")
    proxy.claude.faults.append(Fault(FaultKind.HANG))
    team = {"x_team": "red"} if route == "local" else {}

    async with asyncio.timeout(5):
        answer = await asking(turn(model=CLAUDE, stream=stream), x_hurry="yes", **team)

    assert (504, "timeout_error") == (answer.status, answer.error["type"])
    assert "0.4 s" in answer.error["message"]
    assert "true" == answer.header("x-should-retry")
    deployment = "qwen-fast" if route == "local" else "claude-sonnet"
    assert f"{deployment}:timeout_first_byte" == answer.header("x-ccproxy-attempts")
    assert "deadline_missed" in answer.header("x-ccproxy-notes")
    recorded = proxy.ollama.generations[0] if route == "local" else proxy.claude.requests[0]
    async with asyncio.timeout(5):
        await recorded.disconnected.wait()


@pytest.mark.parametrize("route", ["local", "claude"])
async def test_a_deadline_within_a_stream_is_an_error_event(route, asking, proxy):
    """The stream has begun, so it ends in an event, and the upstream is let go."""
    proxy.ollama.add_fault("stall", after_records=2)
    proxy.claude.faults.append(Fault(FaultKind.STALL, after_bytes=400))
    team = {"x_team": "red"} if route == "local" else {}
    body = turn("Give me 30 words.", CLAUDE, stream=True)

    async with asyncio.timeout(5):
        answer = await asking(body, x_hurry="yes", **team)

    assert 200 == answer.status
    name, data = answer.body.rstrip(b"\n").split(b"\n\n")[-1].split(b"\n")
    assert b"event: error" == name
    error = json.loads(data.removeprefix(b"data: "))["error"]
    assert "timeout_error" == error["type"]
    assert "0.4 s" in error["message"]
    recorded = proxy.ollama.generations[0] if route == "local" else proxy.claude.requests[0]
    async with asyncio.timeout(5):
        await recorded.disconnected.wait()


async def test_an_answer_within_its_deadline_is_whole(asking):
    """A deadline that is kept leaves no trace."""
    for team in ({}, {"x_team": "red"}):
        answer = await asking(turn(model=CLAUDE, stream=True), x_hurry="yes", **team)

        assert answer.body.endswith(b'event: message_stop\ndata: {"type":"message_stop"}\n\n')
        assert None is answer.header("x-ccproxy-notes")


BODY = (
    b'{ "max_tokens":9000 ,"model":"claude-sonnet-4-5", "n" : 1E+2,\r\n "thinking": %b,\t"zeta":[ 1.0],'
    b'"messages":[{"content":"hi","role":"user"}] }  \n'
)
ENABLED = b'{"budget_tokens" : 8000, "type":"enabled"}'


@pytest.mark.parametrize(
    ("agent", "sent", "note"),
    [
        ("chief-architect", b'{"budget_tokens" : 2048, "type":"enabled"}', "thinking=cap"),
        ("documentation-expert", b'{"type":"disabled"}', "thinking=strip"),
        ("rust-specialist", ENABLED, None),
    ],
)
async def test_a_thinking_policy_toward_claude(agent, sent, note, asking, proxy):
    """Only the bytes of the wish change, and a header says so."""
    answer = await asking(BODY % ENABLED, agent=agent)

    assert proxy.claude.requests[0].body == BODY % sent
    assert note == answer.header("x-ccproxy-notes")


@pytest.mark.parametrize(
    ("agent", "thinks", "note"),
    [("rust-specialist", True, None), ("documentation-expert", False, "thinking=strip")],
)
async def test_a_thinking_policy_toward_a_local_model(agent, thinks, note, asking, proxy):
    """A model that can think is not asked to where the table says so."""
    answer = await asking(json.loads(BODY % ENABLED), agent=agent, x_local="1")

    assert (200, "qwen-thinker") == (answer.status, answer.header("x-ccproxy-deployment"))
    assert thinks is bool(proxy.ollama.generations[0].body.get("think"))
    assert thinks is any(block["type"] == "thinking" for block in answer.json()["content"])
    notes = [
        each for each in (answer.header("x-ccproxy-notes") or "").split(",") if "think" in each
    ]
    assert notes == ([note] if note else [])


LONG = "word " * 80_000


async def test_an_overflow_goes_to_the_next_deployment(asking):
    """The prompt is too long for the local model: without further words it is rerouted."""
    answer = await asking(turn(LONG, CLAUDE), agent="debugger")

    assert (200, "claude-haiku") == (answer.status, answer.header("x-ccproxy-deployment"))


async def test_an_overflow_can_be_the_clients_business(asking, proxy):
    """With `on_overflow: error` the client is told in Claude's words, by which it compacts."""
    answer = await asking(turn(LONG, CLAUDE), agent="python-pro")

    assert (400, "invalid_request_error") == (answer.status, answer.error["type"])
    assert answer.error["message"].startswith("prompt is too long: ")
    assert answer.error["message"].endswith(" maximum")
    assert not proxy.claude.requests
    assert not proxy.ollama.generations


async def test_a_deployment_that_cannot_look_at_images_is_skipped(asking, proxy):
    """What `/api/show` says of the models decides; nobody is asked in vain."""
    content = [{"type": "text", "text": "What is this?"}, IMAGE]
    body = turn(model=CLAUDE, messages=[{"role": "user", "content": content}])

    answer = await asking(body)

    assert (200, "qwen-vision:ok") == (answer.status, answer.header("x-ccproxy-attempts"))


async def test_a_deployment_that_cannot_use_tools_is_skipped(asking):
    """The model for images has no tools, the next one does."""
    answer = await asking(turn(model=CLAUDE, tools=[WEATHER]), x_local="1")

    assert (200, "qwen-coder:ok") == (answer.status, answer.header("x-ccproxy-attempts"))


async def test_notes_name_what_was_found_on_the_way(asking):
    """A conflict between signals stands in the header of the answer and in the metrics."""
    answer = await asking(turn(model="agent/debugger"), agent="chief-architect")

    assert "chief-architect" == answer.header("x-ccproxy-agent")
    assert "agent_conflict=model" == answer.header("x-ccproxy-notes")


@pytest.mark.parametrize(
    ("tags", "agent", "notes"),
    [
        (["no-such-agent"], "unknown", "unknown_tag=1"),
        (["gone-a", "gone-b", "debugger"], "debugger", "unknown_tag=2"),
        (["debugger"], "debugger", None),
    ],
)
async def test_a_tag_of_no_agent_is_counted(tags, agent, notes, asking, proxy):
    """A tag that an edit of the roster left behind shows, by number and not by its text."""
    system = "\n".join(["Be brief.", *map(tag_line, tags)])
    before = await _counted(proxy, "unknown_tag")

    answer = await asking(turn(model=CLAUDE, system=system))

    assert (agent, notes) == (answer.header("x-ccproxy-agent"), answer.header("x-ccproxy-notes"))
    assert before + bool(notes) == await _counted(proxy, "unknown_tag")


async def _counted(proxy, kind):
    """Return how often a note of this kind was made."""
    metrics = await ask(proxy.base_url, "/metrics", method="GET", headers=proxy.headers)
    sample = f'ccproxy_notes_total{{kind="{kind}"}} '
    lines = [line for line in metrics.body.decode().splitlines() if line.startswith(sample)]
    return float(lines[0].removeprefix(sample)) if lines else 0.0
