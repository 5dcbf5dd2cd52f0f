"""All 115 agents through the real HTTP surface: who is named, by which signal, and who is not.

Every agent of the roster has a prompt here (630 kB together, made up from a seed). The requests are
counts of tokens toward a local model, which generate nothing. docs/recognition.md has the figures.
"""

import asyncio
from collections import Counter
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio

from ccproxy.config.roster import load_roster
from tests.support.fleet import fleet_prompts, near_misses, system_filler
from tests.support.http_wire import ask, wire
from tests.support.messages import LOCAL, turn
from tests.support.proxy import REPOSITORY

pytestmark = pytest.mark.asyncio(loop_scope="module")

AGENTS = load_roster(REPOSITORY / "config/orchestra-config.json").roster.agents
PROMPTS = fleet_prompts(AGENTS)
SLUGS = sorted(AGENTS)
NEAR_MISSES = 1001
"""143 of each of the seven kinds."""
NOTED_NEAR = {
    "truncated": 143,
    "edited": 143,
    "reordered": 143,
    "split": 143,
    "mixed": 72,
    "quoted": 0,
    "joined": 0,
}
"""By kind: how many name the agent that was nearly recognised."""

PROXY_OPTIONS = {"prompts": PROMPTS}

BILLING = "x-anthropic-billing-header: cc_version=2.1.329; cc_is_subagent=true;"
CLIENT = "You are a Claude agent, built on Anthropic's Claude Agent SDK."
NOTES = "\n\nMessages from the agent that launched you arrive as user turns.\n\nNotes:\n- Be brief."


class Caller:
    """Asks on one connection, and says who the proxy took it for."""

    def __init__(self, proxy, connection):
        self._proxy = proxy
        self._connection = connection

    async def answer(self, *, path="", token=None, headers=None, **changes):
        body = turn(**{"model": LOCAL, "max_tokens": None, **changes})
        sent = {**self._proxy.headers, **(headers or {})}
        if token is not None:
            sent["x-api-key"] = token
        await self._connection.send("POST", f"{path}/v1/messages/count_tokens", sent, body)
        return await self._connection.read_answer()

    async def named(self, **request):
        answer = await self.answer(**request)
        assert answer.status == 200, answer.body
        return answer.header("x-ccproxy-agent"), answer.header("x-ccproxy-agent-source")


@asynccontextmanager
async def calling(proxy):
    async with wire(proxy.base_url) as connection:
        yield Caller(proxy, connection)


@pytest_asyncio.fixture(loop_scope="module")
async def caller(proxy):
    async with calling(proxy) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def tokens(shared_proxy):
    """A token for each agent alone, once the running proxy knows them."""
    made = {slug: shared_proxy.new_token(f"for {slug}", agents=[slug]) for slug in SLUGS}
    await _known(shared_proxy, *made.values())
    return made


async def _known(proxy, *tokens):
    async with asyncio.timeout(20):
        for token in tokens:
            status = 401
            while status == 401:
                listed = await ask(
                    proxy.base_url, "/v1/models", method="GET", headers={"x-api-key": token}
                )
                status = listed.status


def blocks(*texts):
    return [{"type": "text", "text": text} for text in texts]


def crlf(prompt):
    return prompt.replace("\n", "  \r\n")


SYSTEMS = {
    "alone, a string": lambda prompt: prompt,
    "alone, a block": blocks,
    "first block": lambda prompt: blocks(prompt, CLIENT),
    "third block, as Claude Code sends it": lambda prompt: blocks(
        BILLING, CLIENT, prompt.strip() + NOTES
    ),
    "middle of a block": lambda prompt: blocks(
        BILLING, f"{system_filler(3000)}\n\n{prompt}\n\n{system_filler(3000, seed=2)}"
    ),
    "middle of a line": lambda prompt: f"<prompt>{prompt.strip()}</prompt>",
    "other line endings, spaces at their ends": lambda prompt: blocks(CLIENT, crlf(prompt)),
    "behind 90 kB": lambda prompt: blocks(system_filler(90_000), prompt),
}


async def test_the_fleet_is_whole():
    """115 agents, each with a prompt of its own."""
    assert len(SLUGS) == 115
    assert len(set(PROMPTS.values())) == 115


@pytest.mark.parametrize("place", SYSTEMS)
async def test_every_agent_is_known_by_its_prompt_wherever_it_stands(place, caller):
    """The agent's whole prompt anywhere in `system` names it, and never another one."""
    wrong = {}
    for slug in SLUGS:
        seen = await caller.named(system=SYSTEMS[place](PROMPTS[slug]))
        if seen != (slug, "prompt"):
            wrong[slug] = seen

    assert wrong == {}


async def test_every_agent_is_known_by_its_address(caller):
    """A base URL `/agents/{slug}` names its agent."""
    for slug in SLUGS:
        assert await caller.named(path=f"/agents/{slug}") == (slug, "path")


async def test_every_agent_is_known_by_its_header(caller):
    """`x-ccproxy-agent` names the agent."""
    for slug in SLUGS:
        assert await caller.named(headers={"x-ccproxy-agent": slug}) == (slug, "header")


async def test_every_agent_is_known_by_the_model_it_asks_for(caller):
    """The requested model `agent/{slug}` names the agent."""
    for slug in SLUGS:
        assert await caller.named(model=f"agent/{slug}") == (slug, "model")


async def test_every_agent_is_known_by_its_token(caller, tokens):
    """A token for exactly one agent is that agent, whatever the prompt and the header say."""
    for slug, token in tokens.items():
        other = SLUGS[SLUGS.index(slug) - 1]
        request = {"headers": {"x-ccproxy-agent": other}, "system": PROMPTS[other]}
        assert await caller.named(token=token) == (slug, "token")
        assert await caller.named(token=token, **request) == (slug, "token")


@pytest.mark.parametrize("first", ["prompt", "header", "model", "path"])
async def test_every_agent_is_known_again_on_its_later_turns(first, caller):
    """A first turn that says who calls binds the client's agent id for the turns that do not."""
    for number, slug in enumerate(SLUGS):
        ids = {
            "x-claude-code-session-id": f"s-{first}",
            "x-claude-code-agent-id": f"a{number:016x}",
        }
        signal = {
            "prompt": {"system": blocks(BILLING, CLIENT, PROMPTS[slug] + NOTES)},
            "header": {"headers": {"x-ccproxy-agent": slug}},
            "model": {"model": f"agent/{slug}"},
            "path": {"path": f"/agents/{slug}"},
        }[first]
        told = {**signal, "headers": {**ids, **signal.get("headers", {})}}
        assert await caller.named(headers=ids) == ("unknown", "none")
        assert await caller.named(**told) == (slug, first)
        assert await caller.named(headers=ids, system="Another text.") == (slug, "binding")


async def test_another_principal_is_not_known_by_a_binding(caller, proxy):
    """An agent id that one token's requests bound says nothing about another token's."""
    ids = {"x-claude-code-session-id": "s-mine", "x-claude-code-agent-id": "a1"}
    token = proxy.new_token("somebody else")
    await _known(proxy, token)
    assert await caller.named(headers=ids, system=PROMPTS[SLUGS[0]]) == (SLUGS[0], "prompt")

    assert await caller.named(headers=ids, token=token) == ("unknown", "none")


async def test_signals_that_disagree_are_decided_by_trust_and_counted(caller):
    """Path, header, model, prompt: the first of these decides, the others are noted."""
    path, header, model, prompt, bound = SLUGS[:5]
    ids = {"x-claude-code-session-id": "s-conflict", "x-claude-code-agent-id": "a9"}
    assert await caller.named(headers=ids, system=PROMPTS[bound]) == (bound, "prompt")
    order = [
        ("path", path, {"path": f"/agents/{path}"}),
        ("header", header, {"headers": {**ids, "x-ccproxy-agent": header}}),
        ("model", model, {"model": f"agent/{model}"}),
        ("prompt", prompt, {"system": PROMPTS[prompt]}),
    ]
    for first in range(len(order)):
        request = {"headers": ids}
        for _, _, signal in reversed(order[first:]):
            request.update(signal)
        answer = await caller.answer(**request)
        source, slug, _ = order[first]
        weaker = [*(name for name, _, _ in order[first + 1 :]), "binding"]
        assert (answer.header("x-ccproxy-agent"), answer.header("x-ccproxy-agent-source")) == (
            slug,
            source,
        )
        notes = answer.header("x-ccproxy-notes").split(",")
        said = [note.partition("=")[2] for note in notes if note.startswith("agent_conflict")]
        assert said == weaker
        # The bound agent stays who it was: the next round starts from the same place.
        rebind = await caller.named(headers=ids, path=f"/agents/{bound}")
        assert rebind == (bound, "path")


async def test_near_misses_are_nobody(caller):
    """Less than a whole prompt is `unknown`, whichever way it is less; see NOTED_NEAR."""
    kinds, near, wrong = Counter(), Counter(), []
    for miss in near_misses(PROMPTS, NEAR_MISSES):
        answer = await caller.answer(system=blocks(*miss.system_texts))
        kinds[miss.kind] += 1
        near[miss.kind] += f"prompt_near={miss.slug}" in (answer.header("x-ccproxy-notes") or "")
        seen = answer.header("x-ccproxy-agent"), answer.header("x-ccproxy-agent-source")
        if answer.status != 200 or seen != ("unknown", "none"):
            wrong.append((miss.kind, miss.slug, answer.status, seen))

    assert wrong == []
    assert kinds == dict.fromkeys(NOTED_NEAR, NEAR_MISSES // len(NOTED_NEAR))
    assert near == NOTED_NEAR


@pytest.mark.parametrize("place", ["alone, a string", "third block, as Claude Code sends it"])
async def test_a_limited_token_is_no_other_agent_whatever_the_prompt_says(place, caller, proxy):
    """A token for A and B serves A and B by their prompts, and is refused for C and for nobody."""
    mine, others = SLUGS[:2], SLUGS[2:]
    token = proxy.new_token(f"two agents {place}", agents=mine)
    await _known(proxy, token)
    system = SYSTEMS[place]

    for slug in mine:
        assert await caller.named(token=token, system=system(PROMPTS[slug])) == (slug, "prompt")
    for slug in others:
        answer = await caller.answer(token=token, system=system(PROMPTS[slug]))
        assert (answer.status, answer.error["type"]) == (403, "permission_error"), slug
        assert slug in answer.error["message"]
        assert (slug, "prompt") == (
            answer.header("x-ccproxy-agent"),
            answer.header("x-ccproxy-agent-source"),
        )
    nobody = await caller.answer(token=token, system="Nobody's prompt.")
    assert (nobody.status, nobody.error["type"]) == (403, "permission_error")
    assert not proxy.claude.requests


@pytest.mark.parametrize(
    "signal",
    [
        {"path": f"/agents/{SLUGS[2]}"},
        {"headers": {"x-ccproxy-agent": SLUGS[2]}},
        {"model": f"agent/{SLUGS[2]}"},
    ],
    ids=["path", "header", "model"],
)
async def test_a_limited_token_is_no_other_agent_by_any_signal(signal, caller, proxy):
    """The prompt of an allowed agent does not help a request that names another one."""
    token = proxy.new_token(f"two agents {next(iter(signal))}", agents=SLUGS[:2])
    await _known(proxy, token)

    answer = await caller.answer(token=token, system=PROMPTS[SLUGS[0]], **signal)

    assert answer.status == 403
    assert SLUGS[2] in answer.error["message"]
