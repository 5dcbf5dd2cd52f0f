"""Questions to `explain`, as people put them: a Messages request and the circumstances around it.

`POST /admin/explain` and `ccproxy explain` ask in the same words and get the same answer.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from ccproxy.pipeline.budgets import BudgetGuard
from ccproxy.pipeline.decide import Circumstances
from ccproxy.pipeline.explain import explain
from ccproxy.ports import Incoming
from ccproxy.wire.errors import invalid_request
from ccproxy.wire.our_tokens import OurTokens
from routing.nearest import did_you_mean
from routing.resolved import agent_routes, stranger_routes
from routing.types import Privacy, Side

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from ccproxy.pipeline.decide import RoutingState
    from routing.capabilities import FleetSnapshot
    from routing.prompts import PromptIndex
    from routing.types import Deployment, Roster, RoutingTable

QUESTION_KEYS: Final = (
    "agent", "path_agent", "headers", "principal", "token_agents", "token_privacy", "bound_agent",
    "health", "at", "counting",
)  # fmt: skip
"""Keys of a question that are no part of the request; Anthropic's API has none of these names."""
OLLAMA: Final = "ollama"
CLAUDE: Final = "claude"
DOWN: Final = "down"
UP: Final = "up"


@dataclass(frozen=True, slots=True)
class Question:
    """One request that is not sent, and what is assumed around it."""

    incoming: Incoming
    body: Mapping[str, Any]
    around: Circumstances
    health: Mapping[str, str]
    """Deployment or group -> `down` or `up`."""
    counting: bool = False


@dataclass(frozen=True, slots=True)
class AssumedState:
    """A routing state that is not, or not quite, the one in force."""

    table: RoutingTable
    roster: Roster
    prompts: PromptIndex


@dataclass(frozen=True, slots=True)
class Considered:
    """An answer, and what it rests on."""

    question: Question
    state: RoutingState
    fleet: FleetSnapshot
    told: dict[str, object]
    """See `ccproxy.pipeline.explain.explain`."""


class Explainer:
    """Answers questions by the routing state and the fleet of the moment."""

    def __init__(
        self,
        state: Callable[[], RoutingState],
        fleet: Callable[[], FleetSnapshot],
        ollama: Collection[str],
        budgets: BudgetGuard | None = None,
        ours: OurTokens | None = None,
    ) -> None:
        """Take what answers depend on.

        Args:
            state: Returns what is in force.
            fleet: Returns what is known of the deployments.
            ollama: Names of the deployments that an Ollama serves.
            budgets: Those in force, if any are known.
            ours: Tells clients' own credentials for Claude from tokens of this proxy.
        """
        self._ours = ours or OurTokens()
        self._budgets = budgets or BudgetGuard((), state)
        self._state = state
        self._fleet = fleet
        self._ollama = frozenset(ollama)

    def explain(self, document: Mapping[str, Any]) -> dict[str, object]:
        """Return the answer to a question; see `explain` for its shape.

        Args:
            document: A Messages request, which may lack anything but is never sent, and besides:
                `agent` or `path_agent` (the slug of the path), `headers` (an object of texts, where
                a client's own credential for Claude counts as it does in serving),
                `principal` (the token's name), `token_agents`, `token_privacy` (`any` or
                `local_only`), `bound_agent`, `health` (deployment, `ollama` or `claude` -> `down`
                or `up`), `at` (local time, ISO 8601; now by default), `counting` (true: a request
                to count_tokens).

        Raises:
            ApiError: 400; the question cannot be understood.
        """
        return self.consider(document).told

    def routes(self) -> dict[str, Any]:
        """Return where each agent's requests go at this moment, JSON-ready.

        `{"profile", "table_version", "agents", "unknown"}`; agents, and callers that are not
        recognised, are `routing.resolved.ResolvedRoute`s.
        """
        state, fleet = self._state(), self._fleet()
        table, roster = state.table, state.roster
        return {
            "profile": table.active.name,
            "table_version": table.version,
            "agents": [asdict(each) for each in agent_routes(table, roster, fleet)],
            "unknown": [asdict(each) for each in stranger_routes(table, roster, fleet)],
        }

    def consider(self, document: Mapping[str, Any]) -> Considered:
        """Return the same with all that it rests on.

        Raises:
            ApiError: 400; the question cannot be understood.
        """
        question = read_question(document, self._ours)
        state, fleet = assume(question.health, self._state(), self._fleet(), self._ollama)
        told = explain(
            question.incoming,
            question.body,
            state,
            question.around,
            fleet,
            counting=question.counting,
            within_budgets=self._budgets.peek,
        )
        return Considered(question, state, fleet, told)


def read_question(document: Mapping[str, Any], ours: OurTokens) -> Question:
    """Return a document as a question; see `Explainer.explain`.

    Raises:
        ApiError: 400, naming the key.
    """
    counting = document.get("counting", False)
    if not isinstance(counting, bool):
        raise invalid_request("counting: Input should be true or false")
    model = document.get("model")
    if model is not None and not isinstance(model, str):
        raise invalid_request("model: Input should be a valid string")
    incoming = Incoming(
        "POST",
        "/v1/messages/count_tokens" if counting else "/v1/messages",
        b"",
        _headers(document.get("headers")),
        _path_agent(document),
    )
    around = Circumstances(
        principal=_text(document, "principal") or "",
        token_agents=_texts(document, "token_agents"),
        token_privacy=_privacy(document),
        brings_credential=bool(ours.own_credentials(incoming.headers)),
        bound_agent=_text(document, "bound_agent"),
        local_minute=local_minute(_text(document, "at")),
    )
    body = {key: value for key, value in document.items() if key not in QUESTION_KEYS}
    return Question(incoming, body, around, _health(document.get("health")), counting)


def local_minute(at: str | None = None) -> tuple[int, int]:
    """Return weekday (0 is Monday) and minute of the day, in local time.

    Args:
        at: ISO 8601, without an offset in local time; None means now.

    Raises:
        ApiError: 400; it is no time.
    """
    if at is None:
        moment = datetime.now().astimezone()
    else:
        try:
            moment = datetime.fromisoformat(at)
            if moment.tzinfo is not None:
                moment = moment.astimezone()
        except (ValueError, OverflowError):  # the latter at either end of the calendar
            message = f"at: {at!r} is no time; write it as 2026-03-31T14:30"
            raise invalid_request(message) from None
    return moment.weekday(), moment.hour * 60 + moment.minute


def assume(
    health: Mapping[str, str], state: RoutingState, fleet: FleetSnapshot, ollama: Collection[str]
) -> tuple[RoutingState, FleetSnapshot]:
    """Return state and fleet as they would be with other health.

    `down` makes deployments unavailable; `up` takes back whatever keeps them from being used,
    a missing key included.

    Args:
        health: Deployment, `ollama` or `claude` -> `down` or `up`; a deployment's own entry counts
            before that of its group.
        state: In force.
        fleet: As known.
        ollama: Deployments that an Ollama serves.

    Raises:
        ApiError: 400; a name is neither a deployment nor a group.
    """
    if not health:
        return state, fleet
    wanted = _per_deployment(health, state.table.deployments, ollama)
    unavailable = {name: why for name, why in fleet.unavailable.items() if name not in wanted}
    unavailable |= {name: "assumed to be down" for name, word in wanted.items() if word == DOWN}
    deployments = {
        name: replace(each, unavailable=None) if name in wanted else each
        for name, each in state.table.deployments.items()
    }
    table = replace(state.table, deployments=deployments)
    assumed = AssumedState(table, state.roster, state.prompts)
    return assumed, replace(fleet, unavailable=unavailable)


def _per_deployment(
    health: Mapping[str, str], deployments: Mapping[str, Deployment], ollama: Collection[str]
) -> dict[str, str]:
    groups = {
        OLLAMA: [name for name in deployments if name in ollama],
        CLAUDE: [each.name for each in deployments.values() if each.side is Side.CLAUDE],
    }
    wanted: dict[str, str] = {}
    for name, word in health.items():
        if name not in deployments and name in groups:
            wanted |= dict.fromkeys(groups[name], word)
    for name, word in health.items():
        if name in deployments:
            wanted[name] = word
        elif name not in groups:
            hint = did_you_mean(name, [*deployments, *groups])
            raise invalid_request(f"health: there is no deployment {name!r}.{hint}")
    return wanted


def _path_agent(document: Mapping[str, Any]) -> str | None:
    agent, path_agent = _text(document, "agent"), _text(document, "path_agent")
    if agent and path_agent and agent != path_agent:
        raise invalid_request("agent: means the same as path_agent, which says otherwise")
    return agent or path_agent


def _privacy(document: Mapping[str, Any]) -> Privacy:
    word = _text(document, "token_privacy") or Privacy.ANY
    if word not in list(Privacy):
        raise invalid_request("token_privacy: Input should be 'any' or 'local_only'")
    return Privacy(word)


def _headers(value: object) -> tuple[tuple[bytes, bytes], ...]:
    if value is None:
        return ()
    if not isinstance(value, dict):
        raise invalid_request("headers: Input should be an object of texts")
    pairs = []
    for name, text in value.items():
        if not isinstance(text, str):
            raise invalid_request(f"headers.{name}: Input should be a valid string")
        try:
            pairs.append((str(name).lower().encode("ascii"), text.encode("latin-1")))
        except UnicodeEncodeError:
            message = f"headers.{name}: has a character that cannot stand in a header"
            raise invalid_request(message) from None
    return tuple(pairs)


def _health(value: object) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise invalid_request('health: Input should be an object such as {"ollama": "down"}')
    for name, word in value.items():
        if word not in (DOWN, UP):
            raise invalid_request(f"health.{name}: Input should be {DOWN!r} or {UP!r}")
    return value


def _text(document: Mapping[str, Any], key: str) -> str | None:
    value = document.get(key)
    if value is not None and not isinstance(value, str):
        raise invalid_request(f"{key}: Input should be a valid string")
    return value


def _texts(document: Mapping[str, Any], key: str) -> tuple[str, ...]:
    value = document.get(key)
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise invalid_request(f"{key}: Input should be a list of texts")
    return tuple(value)
