"""`local_only` under every failure: not one byte of such a request reaches another host (design 4.4).

The whole pipeline, from authentication to the relay, with its own router, attempt loop, breakers,
translation and pass-through; only what reaches the world is a fake that notes when it is asked.
"""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from random import Random
from time import monotonic
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ccproxy.auth import Principal
from ccproxy.health.board import Backend, HealthBoard
from ccproxy.pipeline.exchange import Exchange
from ccproxy.pipeline.paces import Paces
from ccproxy.pipeline.passthrough import PassthroughDeployment
from ccproxy.pipeline.prefix_watch import PrefixWatch
from ccproxy.pipeline.router import Router
from ccproxy.pipeline.slots import Slots
from ccproxy.pipeline.token_ratios import TokenRatios
from ccproxy.pipeline.translated import ModelLimits, TranslatedDeployment
from ccproxy.ports import AttemptFailed, Incoming, ModelDelta, ModelDone, ModelFacts
from routing.capabilities import FleetSnapshot
from routing.failures import CONSEQUENCES, FailureClass
from routing.retry import RetryRules
from routing.table import compile_table
from routing.types import AgentFallback, Deployment, FallbackTrigger, Privacy, Roster, Side, Tier
from tests.support.messages import WEATHER, turn
from tests.support.routers import Source, State
from tests.support.routing_samples import CAPABLE_DEPLOYMENTS, ROSTER, table_of
from tests.support.routing_strategies import fleet_snapshots, table_mappings
from tests.support.sizes import count

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping

    from ccproxy.outcome import Outcome
    from ccproxy.pipeline.request import Served
    from ccproxy.ports import Client, ForwardedRequest, ModelCall

DEPLOYMENTS = {
    name: each for name, each in CAPABLE_DEPLOYMENTS.items() if each.unavailable is None
} | {
    # A stub that stands at Ollama: only `/api/show` tells that somebody else computes it.
    "stub": Deployment("stub", Side.LOCAL, leaves_host=False, upstream_model="house-model"),
}
TRANSLATED = sorted(name for name, each in DEPLOYMENTS.items() if each.side is not Side.CLAUDE)
AGENTS = dict(ROSTER.agents) | {
    "chief": replace(
        ROSTER.agents["chief"], fallback=AgentFallback(Tier.SONNET, tuple(FallbackTrigger))
    )
}
FLEET_ROSTER = Roster(AGENTS, ROSTER.aliases)
ADDRESS = "http://ollama"
SEARCH = {"type": "web_search_20250305", "name": "web_search"}
AFTER_PATIENCE_S = 0.001
"""Long enough for a stream to be committed, so that what fails is taken over late."""
STATUSES = (200, 200, 400, 401, 404, 413, 429, 500, 529)


@dataclass(frozen=True)
class Fate:
    """What one attempt at a deployment comes to."""

    failure: FailureClass | None = None
    words: int = 0
    """How many pieces come before the failure."""
    status: int = 200
    """Of a Claude that answers."""


@dataclass
class World:
    """Everything behind the ports, and who of it was asked."""

    fates: Mapping[str, list[Fate]]
    remote: Mapping[str, bool | None]
    """Whether a model runs elsewhere, as far as its host says."""
    asked: list[str] = field(default_factory=list)

    def next_fate(self, name: str) -> Fate:
        """Note that a deployment is asked, and return what comes of it."""
        self.asked.append(name)
        fates = self.fates.get(name)
        return fates.pop(0) if fates else Fate()

    def left_the_host(self) -> list[str]:
        """Return who was asked that is not on this host, or not known to be."""
        return [
            name
            for name in self.asked
            if DEPLOYMENTS[name].leaves_host or self.remote.get(name) is not False
        ]


@dataclass
class Model:
    """A `ModelUpstream`."""

    name: str
    world: World

    async def stream(self, call: ModelCall) -> AsyncGenerator[ModelDelta | ModelDone]:
        """See `ports.ModelUpstream`."""
        del call
        fate = self.world.next_fate(self.name)
        await asyncio.sleep(AFTER_PATIENCE_S)
        for _ in range(fate.words):
            yield ModelDelta(text="word ")
        if fate.failure is not None:
            raise AttemptFailed(fate.failure, "It broke.")
        yield ModelDelta(text="end")
        yield ModelDone("stop")

    async def aclose(self) -> None:
        """Nothing is held."""


@dataclass
class Claude:
    """A `MessagesUpstream`."""

    name: str
    world: World

    async def send(self, request: ForwardedRequest) -> ClaudesReply:
        """See `ports.MessagesUpstream`."""
        del request
        fate = self.world.next_fate(self.name)
        if fate.failure is not None and not fate.words:
            raise AttemptFailed(fate.failure, "It broke.")
        return ClaudesReply(fate)

    async def aclose(self) -> None:
        """Nothing is held."""


class ClaudesReply:
    """A `BytesReply`."""

    def __init__(self, fate: Fate) -> None:
        self._fate = fate
        self.status = fate.status
        self.headers = ((b"content-type", b"text/event-stream"),)

    async def chunks(self) -> AsyncIterator[bytes]:
        """See `ports.BytesReply`."""
        yield b'event: message_start\ndata: {"type":"message_start","message":{}}\n\n'
        if self._fate.failure is not None:
            raise AttemptFailed(self._fate.failure, "It broke.")
        yield b'event: message_stop\ndata: {"type":"message_stop"}\n\n'

    async def aclose(self) -> None:
        """Nothing is held."""


@dataclass
class Caller:
    """A `Client` that stays to the end."""

    raw_body: bytes
    started: bool = False
    gone: bool = False
    last_sent_at: float = field(default_factory=monotonic)

    async def read_body(self, _limit_bytes: int) -> bytes:
        """Return the body."""
        return self.raw_body

    def hold(self, _size_bytes: int) -> None:
        """Have room for everything."""

    def watched(self) -> Any:
        """Watch nobody."""
        return nullcontext()

    async def start(self, *_head: object) -> None:
        """Take status and headers."""
        self.started, self.last_sent_at = True, monotonic()

    async def send(self, _chunk: bytes) -> None:
        """Take a piece."""
        self.last_sent_at = monotonic()

    async def finish(self, chunk: bytes = b"") -> None:
        """Take the last piece."""


@dataclass
class Known:
    """A `KnownFleet` of which this is known."""

    seen: FleetSnapshot

    def snapshot(self) -> FleetSnapshot:
        """Return it."""
        return self.seen

    async def settle(self) -> bool:
        """Wait for nothing."""
        return False


class Sink(list):
    """Every outcome."""

    def record(self, outcome: Outcome) -> None:
        """Keep it."""
        self.append(outcome)


def served_by(world: World) -> dict[str, Served]:
    """Return the real deployments, in front of the world."""
    served: dict[str, Served] = {}
    for name, each in DEPLOYMENTS.items():
        if each.side is Side.CLAUDE:
            base = "claude-opus-5-5" if each.upstream_model == "*" else None
            served[name] = PassthroughDeployment(
                name, Claude(name, world), each.upstream_model, base_model=base
            )
        else:
            served[name] = TranslatedDeployment(
                name,
                each.side,
                Model(name, world),
                model="m",
                facts=facts_of(world.remote.get(name)),
                limits=ModelLimits(each.num_ctx, None, each.max_input_tokens),
                slots=Slots(1),
                token_ratios=TokenRatios({}),
                prefixes=PrefixWatch(),
                paces=Paces(),
                patience_s=0.0,
            )
    return served


def facts_of(remote: bool | None) -> Any:
    """Return what a model's host says of it."""

    async def facts() -> ModelFacts:
        return ModelFacts(present=True, supports_tools=True, remote=remote)

    return facts


def board_of(open_breakers: list[str], *, half_open: bool) -> HealthBoard:
    """Return what is known of the deployments, some of which have failed before."""
    clock = [0.0]
    backends = [Backend(ADDRESS, "Down since {since}.")]
    addresses = dict.fromkeys(DEPLOYMENTS) | dict.fromkeys(TRANSLATED, ADDRESS)
    board = HealthBoard(backends, addresses, now=lambda: clock[0])
    for name in open_breakers:
        for _ in range(5):
            if (lease := board.admit(name)) is not None:
                board.report(name, lease, FailureClass.OVERLOADED)
    clock[0] += 5.5 if half_open else 0.0
    return board


@dataclass
class Case:
    """One request, asked so many times at once."""

    body: dict[str, Any]
    headers: dict[str, str]
    counting: bool = False
    times: int = 1


async def run(
    case: Case,
    world: World,
    mapping: Mapping[str, Any],
    *,
    privacy: Privacy = Privacy.ANY,
    fleet: FleetSnapshot | None = None,
    board: HealthBoard | None = None,
) -> Sink:
    """Serve a request, or the same one several times, and return the outcomes."""
    table, _ = compile_table(dict(mapping), DEPLOYMENTS, FLEET_ROSTER)
    sink = Sink()
    exchange = Exchange(
        authenticate=lambda _headers, _peer="": Principal("p", privacy=privacy),
        router=Router(Source(State(table, FLEET_ROSTER)), Known(fleet or FleetSnapshot())),
        deployments=served_by(world),
        sink=sink,
        health=board or board_of([], half_open=False),
        retry_rules=RetryRules(first_pause_s=0.0),
    )
    pairs = [(b"anthropic-version", b"2023-06-01")]
    pairs += [(name.encode(), value.encode()) for name, value in case.headers.items()]
    incoming = Incoming("POST", "/v1/messages", b"", pairs)
    callers: list[Client] = [Caller(orjson.dumps(case.body)) for _ in range(case.times)]
    async with asyncio.TaskGroup() as group:
        for caller in callers:
            group.create_task(exchange.serve(incoming, caller, counting=case.counting))
    return sink


# --- every combination --------------------------------------------------------------------------

PRIVATE = {"privacy": "local_only"}
PLACES: tuple[dict[str, Any], ...] = (
    PRIVATE,
    {"rules": [{"name": "all", "when": {"requested_model": "*"}, **PRIVATE}]},
    {"categories": {"securityAgents": PRIVATE}, "agents": {"chief": PRIVATE}},
    {"unknown": PRIVATE, "tiers": {"sonnet": PRIVATE}},
    {},
)
"""Where a table may say that a request is private."""
PASSING = [each for each in FailureClass if CONSEQUENCES[each].fall_back]
CLAUDE_IDS = ("claude-opus-5-5", "claude-sonnet-5", "claude-haiku-4-5")
NAMED = (*(f"agent/{slug}" for slug in AGENTS), *FLEET_ROSTER.aliases, *sorted(DEPLOYMENTS))


def some_world(chance: Random) -> World:
    """Return what comes of the attempts at each deployment, mostly failures, and who is remote."""

    def fate() -> Fate:
        failure = chance.choice([*PASSING, *FailureClass, None, None])
        return Fate(failure, chance.choice([0, 0, 1]), chance.choice(STATUSES))

    fates = {name: [fate() for _ in range(3)] for name in DEPLOYMENTS}
    remote = {name: chance.choice([False, False, False, True, None]) for name in TRANSLATED}
    return World(fates, remote)


def some_case(chance: Random) -> Case:
    """Return a request, with any way to say who is calling and what is wanted."""
    models = CLAUDE_IDS if chance.random() < 0.8 else (*NAMED, "gpt-4o")
    long, tools = chance.random(), chance.random()
    body = turn(
        "Go." if long < 0.8 else "x" * chance.choice([3000, 40_000]),
        chance.choice(models),
        stream=chance.choice([None, True]),
        tools=None if tools < 0.8 else [chance.choice([WEATHER, SEARCH])],
    )
    headers = {"x-claude-code-session-id": "s"}
    if chance.random() < 0.5:
        headers["x-ccproxy-agent"] = chance.choice(list(AGENTS))
    return Case(body, headers, chance.random() < 0.1, chance.choice([1, 1, 2]))


def some_table(chance: Random) -> dict[str, Any]:
    """Return a table with a route for everybody, that says somewhere that it is private."""
    names = chance.sample(sorted(DEPLOYMENTS), chance.randint(4, len(DEPLOYMENTS)))
    return table_of({"default": {"route": names}, **chance.choice(PLACES)})


@given(
    st.integers(0, 2**32),
    st.none() | table_mappings(DEPLOYMENTS, FLEET_ROSTER),
    st.just(FleetSnapshot()) | fleet_snapshots(DEPLOYMENTS),
)
@settings(
    max_examples=count(100, 400, 5000),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
def test_nothing_private_leaves_the_host(
    seed: int, mapping: dict[str, Any] | None, fleet: FleetSnapshot
) -> None:
    """Whatever fails, when and how often: who is asked is on this host, and known to be.

    What fails is drawn evenly from a seed: Hypothesis would try the same few cases over and over.
    """
    chance = Random(seed)  # noqa: S311 - repeatable
    case, world = some_case(chance), some_world(chance)
    table = some_table(chance) if mapping is None or chance.random() < 0.7 else mapping
    failed_before = chance.sample(sorted(DEPLOYMENTS), chance.choice([0, 0, 1, 3]))
    board = board_of(failed_before, half_open=chance.random() < 0.5)
    privacy = chance.choice(list(Privacy))

    sink = asyncio.run(run(case, world, table, privacy=privacy, fleet=fleet, board=board))

    assert case.times == len(sink)
    plans = [each.routed.plan for each in sink if each.routed is not None]
    planned = [plan for plan in plans if plan is not None]
    if not planned:
        assert [] == world.asked
    if privacy is Privacy.LOCAL_ONLY or any(p.privacy is Privacy.LOCAL_ONLY for p in planned):
        assert [] == world.left_the_host()


# --- one by one ---------------------------------------------------------------------------------

HOME = {"plain": False, "small": False, "seeing": False, "stub": True, "foreign": None}
"""Where the models of the translated deployments really are."""
ROUTE = ["claude", "stub", "plain", "foreign", "seeing", "claude-fixed"]
STAGES = {
    "before a word": Fate(words=0),
    "in the middle": Fate(words=1),
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("failure", FailureClass)
async def test_every_failure_at_every_stage(
    failure: FailureClass, stage: str, stream: bool
) -> None:
    """All that is on this host is tried as the table says, and nobody else."""
    fate = replace(STAGES[stage], failure=failure)
    world = World({name: [fate] * 9 for name in DEPLOYMENTS}, HOME)
    case = Case(turn(model="claude-sonnet-5", stream=stream or None), {})
    table = table_of({"default": {"route": ROUTE}, "privacy": "local_only"})

    (outcome,) = await run(case, world, table)

    assert set(world.asked) <= {"plain", "seeing"}
    assert "plain" in world.asked
    assert "local" == outcome.route


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_without_privacy_they_are_asked(stream: bool) -> None:
    """The same failures, and everybody of the route is asked: these fakes would notice."""
    fate = Fate(FailureClass.TIMEOUT_FIRST_BYTE)
    world = World({name: [fate] * 9 for name in DEPLOYMENTS}, HOME)
    case = Case(turn(model="claude-sonnet-5", stream=stream or None), {})

    await run(case, world, table_of({"default": {"route": ROUTE[:5]}}))

    assert ["claude", "stub", "plain", "foreign", "seeing"] == world.asked
    assert ["claude", "stub", "foreign"] == world.left_the_host()


async def test_a_model_of_which_nothing_is_known_is_not_asked() -> None:
    """Whether it is on this host is not known: then nothing is sent there (design 4.4)."""
    world = World({}, {"plain": None, "seeing": False})
    table = table_of({"default": {"route": ["plain", "seeing"]}, "privacy": "local_only"})

    (outcome,) = await run(Case(turn(model="claude-sonnet-5"), {}), world, table)

    assert ["seeing"] == world.asked
    assert ["plain:connect_error", "seeing:ok"] == outcome.attempts
