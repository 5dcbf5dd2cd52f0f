"""Explain and reality agree: what is said of a request is what becomes of it."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import orjson
import pytest
from hypothesis import given, settings

from ccproxy.auth import Principal
from ccproxy.pipeline.exchange import Exchange
from ccproxy.pipeline.explainer import Explainer
from ccproxy.pipeline.router import Router
from ccproxy.ports import AttemptFailed, Incoming
from routing.capabilities import NOTHING_KNOWN
from routing.failures import FailureClass
from routing.prompts import PromptIndex
from routing.retry import RetryRules
from routing.table import compile_table
from routing.types import (
    AgentFallback,
    AgentSource,
    FallbackTrigger,
    Privacy,
    Side,
    Tier,
    TraceEntry,
)
from tests.support.health import NotedHealth
from tests.support.http_wire import ask
from tests.support.messages import CLAUDE, LOCAL, MIXED, WEATHER, turn
from tests.support.routers import Source, State
from tests.support.routing_samples import CAPABLE_DEPLOYMENTS, table_of
from tests.support.routing_samples import ROSTER as PLAIN_ROSTER
from tests.support.routing_strategies import fleet_snapshots, table_mappings
from tests.support.sizes import count
from tests.support.wire_requests import WireRequest, wire_requests

TOKENS, RATE, DOWN = FallbackTrigger
FALLBACKS = {
    "chief": AgentFallback(Tier.SONNET, (TOKENS, RATE)),
    "coder": AgentFallback(Tier.HAIKU, (DOWN,)),
    "auditor": AgentFallback(Tier.HAIKU, (RATE, DOWN)),
    "clerk": AgentFallback(Tier.SONNET, (RATE,)),
}
ROSTER = replace(
    PLAIN_ROSTER,
    agents={
        slug: replace(agent, fallback=FALLBACKS[slug])
        for slug, agent in PLAIN_ROSTER.agents.items()
    },
)
PROMPTS = {
    slug: "\n".join(f"As the {slug} you mind rule {number} of this house." for number in range(30))
    for slug in ("auditor", "coder")
}
PROMPT_INDEX = PromptIndex.build(PROMPTS, ROSTER.agents)
A_MONDAY = datetime(2026, 3, 2)  # noqa: DTZ001 - local time is what is asked about


@dataclass
class Client:
    """The client's end: gives its body, keeps what it is told."""

    request_body: bytes
    started: bool = False
    last_sent_at: float = 0.0
    status: int = 0
    headers: dict[bytes, bytes] = field(default_factory=dict)
    body: bytes = b""

    async def read_body(self, _limit_bytes):
        return self.request_body

    def hold(self, _size_bytes):
        pass

    @asynccontextmanager
    async def watched(self):
        yield

    async def start(self, status, headers):
        self.started, self.status, self.headers = True, status, dict(headers)

    async def send(self, chunk):
        self.body += chunk

    async def finish(self, chunk=b""):
        self.body += chunk


@dataclass
class Busy:
    """A deployment that nobody answers for, so that every attempt of a plan is made."""

    name: str
    side: Side

    def model_for(self, _request):
        return "m"

    async def open(self, _request):
        raise AttemptFailed(FailureClass.OVERLOADED, f"{self.name} is busy")


@dataclass
class Known:
    """A fleet of which just this is known."""

    fleet: object

    def snapshot(self):
        return self.fleet

    async def settle(self):
        return False


class Sink(list):
    def record(self, outcome):
        self.append(outcome)


def tuple_of(step):
    """Return a step as it is told as one of a plan."""
    return TraceEntry(step["kind"], step["name"], step["kept"], step["reason"])


def with_default(mapping):
    """Return a table that has something for everybody, so that most requests come to a plan."""
    main = {"default": {"route": ["small", "seeing", "claude", "plain"]}}
    main |= mapping["profiles"]["main"]
    main["default"] = {"route": ["small", "seeing", "claude", "plain"], **main["default"]}
    return {**mapping, "profiles": {**mapping["profiles"], "main": main}}


async def serve(request, state, fleet):
    """Send a request through the pipeline, whose upstreams are all busy."""
    client = Client(orjson.dumps(request.body))
    sink = Sink()
    exchange = Exchange(
        authenticate=lambda _headers, _peer="": Principal(
            request.principal, agents=request.token_agents, privacy=request.token_privacy
        ),
        router=Router(Source(state), Known(fleet)),
        deployments={
            each.name: Busy(each.name, each.side) for each in state.table.deployments.values()
        },
        sink=sink,
        health=NotedHealth(),
        retry_rules=RetryRules(attempts=100),
    )
    headers = {"anthropic-version": "2023-06-01", **request.headers}
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    path = "/v1/messages/count_tokens" if request.counting else "/v1/messages"
    incoming = Incoming("POST", path, b"", pairs, request.path_agent)
    await exchange.serve(incoming, client, counting=request.counting)
    (outcome,) = sink
    return client, outcome


def ask_explain(request, state, fleet, local_minute):
    """Ask about the same request, at the same minute of the week."""
    weekday, minute = local_minute
    question = {
        **request.body,
        "headers": dict(request.headers),
        "path_agent": request.path_agent,
        "principal": request.principal,
        "token_agents": list(request.token_agents),
        "token_privacy": request.token_privacy.value,
        "counting": request.counting,
        "at": (A_MONDAY + timedelta(days=weekday, minutes=minute)).isoformat(),
    }
    return Explainer(lambda: state, lambda: fleet, ()).explain(question)


def made_when_busy(told):
    """Return which of the explained attempts are made where everybody is busy."""
    return [
        attempt["deployment"]
        for attempt in told["attempts"]
        if not attempt["only_after"] or "overloaded" in attempt["only_after"]
    ]


@pytest.mark.timeout(1200)
def test_explain_and_reality_agree(caplog):
    """The attempts that are explained are those that are made, in order; so are agent and refusal."""
    caplog.set_level("ERROR", "ccproxy")
    kinds: Counter[str] = Counter()
    with asyncio.Runner() as runner:

        @settings(max_examples=count(quick=100, ci=300, full=10_000))
        @given(
            wire_requests(CAPABLE_DEPLOYMENTS, ROSTER, PROMPTS),
            table_mappings(CAPABLE_DEPLOYMENTS, ROSTER).map(with_default),
            fleet_snapshots(CAPABLE_DEPLOYMENTS),
        )
        def agree(request, mapping, fleet):
            table, _ = compile_table(mapping, CAPABLE_DEPLOYMENTS, ROSTER)
            state = State(table, ROSTER, PROMPT_INDEX)

            client, outcome = runner.run(serve(request, state, fleet))
            told = ask_explain(request, state, fleet, outcome.routed.facts.local_minute)

            assert (outcome.agent, outcome.agent_source) == (told["agent"], told["source"])
            assert outcome.request_class == told["request_class"]
            if outcome.routed.plan is not None:
                assert list(map(tuple_of, told["trace"])) == list(outcome.routed.plan.trace)
            explained = made_when_busy(told)
            if request.counting and explained and told["attempts"][0]["side"] == "claude":
                del explained[1:]  # counting follows the first attempt alone
            made = [attempt.partition(":")[0] for attempt in outcome.attempts]
            assert explained == made
            if refused := told.get("refused"):
                answer = json.loads(client.body)["error"]
                assert (refused["status"], refused["type"]) == (client.status, answer["type"])
                # A 400 may be in Anthropic's words for what a local model cannot take.
                assert refused["status"] == 400 or refused["message"] == answer["message"]
            kinds["refused" if refused else f"{len(made)} attempts"] += 1
            kinds[f"agent from {told['source']}"] += 1
            kinds["tool loop"] += any(step["name"] == "tool loop" for step in told["trace"])

        agree()
    # Otherwise the requests or tables above have become too much alike to prove anything.
    assert {"refused", "1 attempts", "2 attempts"} <= set(kinds)
    assert kinds["tool loop"] > 0
    assert sum(f"agent from {source}" in kinds for source in AgentSource) >= 5


@pytest.mark.parametrize(
    ("agent", "made"), [("chief", ["claude"]), ("coder", ["claude", "plain", "foreign"])]
)
def test_the_rosters_fallback_is_explained(caplog, agent, made):
    """What waits for a trigger is told with the failures that are one, and made after these alone."""
    caplog.set_level("ERROR", "ccproxy")
    fallback = {"route": ["plain", "claude", "foreign"]}
    mapping = table_of(
        {"agents": {agent: {"route": ["claude"]}}, "tiers": {"sonnet": fallback, "haiku": fallback}}
    )
    table, _ = compile_table(mapping, CAPABLE_DEPLOYMENTS, ROSTER)
    state = State(table, ROSTER, PROMPT_INDEX)
    request = WireRequest(turn(model="x"), {}, agent, "ops", (), Privacy.ANY, counting=False)

    _, outcome = asyncio.run(serve(request, state, NOTHING_KNOWN))
    told = ask_explain(request, state, NOTHING_KNOWN, outcome.routed.facts.local_minute)

    assert [each["deployment"] for each in told["attempts"]] == ["claude", "plain", "foreign"]
    attempts = [attempt.partition(":")[0] for attempt in outcome.attempts]
    assert attempts == made_when_busy(told) == made


def test_a_short_body_is_explained_as_it_was_routed():
    """The reason why a rule about long prompts did not apply is the same, word for word."""
    rules = [{"name": "long", "when": {"min_input_tokens": 30_000}, "route": ["claude"]}]
    mapping = table_of({"rules": rules, "default": {"route": ["small", "claude"]}})
    table, _ = compile_table(mapping, CAPABLE_DEPLOYMENTS, ROSTER)
    state = State(table, ROSTER, PROMPT_INDEX)
    request = WireRequest(turn(model="x"), {}, None, "ops", (), Privacy.ANY, counting=False)

    _, outcome = asyncio.run(serve(request, state, NOTHING_KNOWN))
    told = ask_explain(request, state, NOTHING_KNOWN, outcome.routed.facts.local_minute)

    assert list(map(tuple_of, told["trace"])) == list(outcome.routed.plan.trace)
    assert told["trace"][0]["reason"].endswith("input tokens, fewer than 30000")


# --- the same over HTTP, with upstreams that answer --------------------------------------------

REQUESTS = {
    "a local model by name": turn(model=LOCAL),
    "Claude": turn(model=CLAUDE),
    "local first": turn(model=MIXED),
    "a long prompt": turn("word " * 40_000, model=MIXED),
    "an image": turn(
        [
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}},
            {"type": "text", "text": "What is it?"},
        ],
        model=MIXED,
    ),
    "tools": turn(model=MIXED, tools=[WEATHER]),
    "an agent as the model": turn(model="agent/security-auditor"),
    "an agent that is not": turn(model="agent/security-auditr"),
}  # fmt: skip


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("body", REQUESTS.values(), ids=REQUESTS)
async def test_over_http(proxy, body):
    """POST /admin/explain names the deployment that then answers, and sends nothing itself."""
    told = await ask(proxy.base_url, "/admin/explain", headers=proxy.headers, body=body)
    assert told.status == 200, told.body
    explained = told.json()
    assert proxy.ollama.generations == []
    assert not proxy.claude.requests

    answer = await ask(proxy.base_url, "/v1/messages", headers=proxy.headers, body=body)

    assert answer.header("x-ccproxy-agent") == explained["agent"]
    if refused := explained.get("refused"):
        assert (answer.status, answer.json()["error"]["message"]) == (
            refused["status"],
            refused["message"],
        )
        return
    assert answer.status == 200, answer.body
    assert answer.header("x-ccproxy-deployment") == explained["attempts"][0]["deployment"]
