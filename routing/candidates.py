"""Which deployments of a route may serve a request, and why not the others.

Rules:
1. What forbids a candidate for good is asked before what is only so at the moment: an outage is
   reported only of what might have served.
2. A safety call (Claude Code asking whether a tool call is dangerous) is Claude's, as the client
   sent it, unless the rule that gave the route names the class. Where the route has no such
   deployment, every other Claude deployment of the table is a candidate too.
3. Inside an open tool loop the candidates of the side that made its calls come first: another model
   would go on with a plan that it did not make and, between Claude and a translated deployment,
   without the thinking behind it. The others still follow.
4. A candidate that would keep the client waiting beyond its limit comes after those that would not.
   It is never skipped for that: what is left of a route still serves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from routing.capabilities import longest_prompt_tokens, missing_ability
from routing.cost import too_dear
from routing.errors import NoAttempt
from routing.fit import beyond_training
from routing.pace import CLIENT_LIMIT_S, IDLE, UNKNOWN_PACE, predicted_wait
from routing.policies import OnOverflow
from routing.pricing import NO_PRICES
from routing.records import record
from routing.types import ANY_UPSTREAM_MODEL, Privacy, Side, TraceEntry

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from routing.capabilities import FleetSnapshot
    from routing.failures import FailureClass
    from routing.pace import Wait
    from routing.pricing import PriceList
    from routing.roster_fallback import RosterFallback
    from routing.types import ContentFacts, Deployment


NO_CREDENTIAL: Final = (
    "asks Claude with the client's own credential, and none was sent apart from ccproxy's token "
    "(which then goes into x-ccproxy-token)"
)
"""Why a deployment with `credentials: client` is skipped."""


@dataclass(frozen=True, slots=True)
class SafetyCall:
    """A safety call that no rule has claimed."""

    requested_model: str
    is_claude_id: bool
    """The requested model is an id of Claude's."""


@record(frozen=True, slots=True)
class Terms:
    """By what candidates are judged."""

    privacy: Privacy
    content: ContentFacts | None
    on_overflow: OnOverflow
    deployments: Mapping[str, Deployment]
    fleet: FleetSnapshot
    safety: SafetyCall | None = None
    counting: bool = False
    """Tokens are only to be counted: a prompt may be as long as it likes, and nothing is billed."""
    requested_model: str = ""
    max_cost_microusd: int | None = None
    prices: PriceList = NO_PRICES
    limit_s: float = CLIENT_LIMIT_S
    """How long a client may wait for the first token."""
    read_tokens: Mapping[str, int] | None = None
    """As `RequestFacts.read_tokens`."""
    fallback: RosterFallback | None = None
    """What the agent's block in the roster adds to the route."""
    loop_side: Side | None = None
    """As `ContentFacts.tool_loop_side`."""
    brings_credential: bool = False
    """As `RequestFacts.brings_credential`."""


class Verdict(NamedTuple):
    """Whether one candidate becomes an attempt."""

    name: str
    skipped: str | None = None
    """Why not, or None."""
    outage: bool = False
    """Skipped only because it is unavailable now."""
    longest_prompt: int | None = None
    """In tokens; set exactly where the prompt is longer than that."""
    prompt_tokens: int = 0
    """The prompt as this candidate will count it; set together with `longest_prompt`."""
    late: str | None = None
    """Why its first token would come too late, or None."""
    behind: bool = False
    """It is no candidate of the route: the roster's fallback adds it."""
    only_after: frozenset[FailureClass] = frozenset()
    """If any: it may be tried once an attempt failed in one of these ways."""
    triggers: str = ""
    """The same in the roster's words; set together with `only_after`."""
    asks: str | None = None
    """The model id that Claude is asked for instead of the requested one."""

    def entry(self) -> TraceEntry:
        """Return the verdict as a step of the trace."""
        reason = self.skipped or "usable"
        if self.skipped is None and self.longest_prompt is not None:
            reason = f"on_overflow is error: it will say that {self.longest_prompt} tokens is all"
        elif self.skipped is None and self.late is not None:
            reason = f"usable after those that are in time: {self.late}"
        if self.behind:
            reason = f"fallback of the roster: {reason}"
        if self.skipped is None and self.only_after:
            reason = f"{reason}, but only after {self.triggers}"
        if self.skipped is None and self.asks is not None:
            by_roster = "" if self.behind else ", by the roster's fallback"
            reason = f"{reason}; asks for {self.asks}{by_roster}"
        return TraceEntry("candidate", self.name, kept=self.skipped is None, reason=reason)


def judge_all(route: Sequence[str], terms: Terms) -> tuple[Verdict, ...]:
    """Return one verdict for each candidate, in order."""
    verdicts: list[Verdict] = []
    seen: set[str] = set()
    too_small: str | None = None
    fallback = terms.fallback
    for name in _candidates(route, terms):
        if name in seen:
            verdicts.append(Verdict(name, "the route names it twice"))
            continue
        seen.add(name)
        verdict = _judge(name, terms)
        if too_small is not None and verdict.skipped is None:
            reason = f"on_overflow is error, and the prompt is too long for {too_small}"
            verdict = Verdict(name, reason)
        elif verdict.skipped is None and verdict.longest_prompt is not None:
            too_small = name
        verdicts.append(verdict)
    return fallback.judged(verdicts) if fallback is not None else tuple(verdicts)


def in_order(verdicts: Sequence[Verdict], terms: Terms) -> tuple[str, ...]:
    """Return the attempts: what was not skipped, in the route's order, but what is late at its end.

    Of those that are in time, and of those that are late, the ones of the tool loop's side come
    first. What the roster's fallback adds comes after all of the route, in the same order.
    """
    kept = [verdict for verdict in verdicts if verdict.skipped is None]
    loop_side = terms.loop_side
    kept.sort(
        key=lambda verdict: (
            verdict.behind,
            verdict.late is not None,
            loop_side is not None and not _is_of_loop(verdict, loop_side, terms.deployments),
        )
    )
    return tuple(verdict.name for verdict in kept)


def loop_entry(
    verdicts: Sequence[Verdict], loop_side: Side | None, deployments: Mapping[str, Deployment]
) -> TraceEntry | None:
    """Return what an open tool loop means for the order, as a step of the trace; None without."""
    if loop_side is None:
        return None
    makers = "Claude" if loop_side is Side.CLAUDE else "a translated deployment"
    can_go_on = any(
        _is_of_loop(each, loop_side, deployments) for each in verdicts if each.skipped is None
    )
    follows = "candidates of that kind come first" if can_go_on else "none of that kind is usable"
    reason = f"{makers} made the calls that are answered here: {follows}"
    return TraceEntry("rule", "tool loop", kept=can_go_on, reason=reason)


def _is_of_loop(verdict: Verdict, loop_side: Side, deployments: Mapping[str, Deployment]) -> bool:
    """Return whether a candidate is of the side that made the calls of the open tool loop."""
    is_claude = deployments[verdict.name].side is Side.CLAUDE
    return is_claude is (loop_side is Side.CLAUDE)


def refusal(verdicts: Sequence[Verdict], terms: Terms, trace: Sequence[TraceEntry]) -> NoAttempt:
    """Return the error for a request of whose candidates nothing is left.

    Where a shorter prompt would help, the client is told so in Anthropic's own words, by which
    Claude Code recognises that it has to compact. What the config file lacks stays in the trace: it
    is the operator's business.
    """
    outage = any(verdict.outage for verdict in verdicts)
    too_long = [each for each in verdicts if each.longest_prompt]
    if too_long and not outage:
        roomiest = max(too_long, key=lambda each: each.longest_prompt or 0)
        tokens, longest = roomiest.prompt_tokens, roomiest.longest_prompt
        message = f"prompt is too long: {tokens} tokens > {longest} maximum"
        return NoAttempt(message, outage=False, trace=trace)
    told = [f"{verdict.name} {_told(verdict, terms)}" for verdict in verdicts]
    what = "this request"
    if terms.safety is not None:
        what = "this safety check of a tool call, which only Claude answers"
    reasons = "; ".join(told) or "there is no candidate"
    message = f"No deployment may serve {what} (privacy: {terms.privacy}): {reasons}."
    return NoAttempt(message, outage=outage, trace=trace)


def _told(verdict: Verdict, terms: Terms) -> str | None:
    """Return why a candidate was skipped, in words for the client."""
    if not verdict.outage:
        return verdict.skipped
    why = terms.fleet.unavailable.get(verdict.name)
    deployment = terms.deployments.get(verdict.name)
    is_configured = deployment is not None and deployment.unavailable is None
    return f"is unavailable: {why}" if why is not None and is_configured else "is unavailable"


def _candidates(route: Sequence[str], terms: Terms) -> Sequence[str]:
    """Return the route and what is behind it: for a safety call the other Claude deployments."""
    if terms.fallback is not None:
        return (*route, *terms.fallback.behind)
    if terms.safety is None:
        return route
    others = [
        deployment.name
        for deployment in terms.deployments.values()
        if deployment.side is Side.CLAUDE and deployment.name not in route
    ]
    return (*route, *others)


def _judge(name: str, terms: Terms) -> Verdict:
    """Return whether a deployment may be tried."""
    deployment = terms.deployments.get(name)
    if deployment is None:
        return Verdict(name, "not configured")
    if terms.privacy is Privacy.LOCAL_ONLY and deployment.leaves_host:
        return Verdict(name, "leaves the host, and privacy is local_only")
    if deployment.needs_own_credential and not terms.brings_credential:
        return Verdict(name, NO_CREDENTIAL)
    seen = terms.fleet.capabilities.get(name)
    is_claude = deployment.side is Side.CLAUDE
    forbidden = (
        _not_for_safety(deployment, terms.safety)
        or missing_ability(deployment, seen, terms.content, trust_all=is_claude)
        or beyond_training(deployment, terms.fleet.models.get(name))
    )
    if forbidden is not None:
        return Verdict(name, forbidden)
    return _judge_room(deployment, terms)


def _not_for_safety(deployment: Deployment, safety: SafetyCall | None) -> str | None:
    """Return why a deployment may not answer a safety call, or None."""
    if safety is None:
        return None
    if deployment.side is not Side.CLAUDE:
        return "is not Claude, and no rule lets it answer request_class safety_classifier"
    keeps_id = deployment.upstream_model in ("", ANY_UPSTREAM_MODEL)
    if safety.is_claude_id:
        if keeps_id or deployment.upstream_model == safety.requested_model:
            return None
        return "would ask another model, and a safety call is not changed"
    if deployment.upstream_model == ANY_UPSTREAM_MODEL:
        return f"would ask Claude for {safety.requested_model!r}, which is no id of Claude's"
    return None


def _judge_room(deployment: Deployment, terms: Terms) -> Verdict:
    """Return the verdict after a look at the prompt's length, at the price and at what is up."""
    name = deployment.name
    longest = None if terms.counting else longest_prompt_tokens(deployment)
    tokens = _tokens_above(longest, name, terms)
    skipped = None
    if tokens is not None and terms.on_overflow is OnOverflow.REROUTE:
        skipped = f"holds {longest} tokens, and the prompt has about {tokens}"
    elif terms.max_cost_microusd is not None:
        skipped = _too_dear(deployment, terms.max_cost_microusd, terms)
    unavailable = deployment.unavailable or terms.fleet.unavailable.get(name)
    if skipped is None and unavailable is not None:
        return Verdict(name, f"unavailable: {unavailable}", outage=True)
    if tokens is not None:
        return Verdict(name, skipped, longest_prompt=longest, prompt_tokens=tokens)
    if skipped is not None:
        return Verdict(name, skipped)
    return Verdict(name, late=_too_late(name, terms))


def _too_dear(deployment: Deployment, limit_microusd: int, terms: Terms) -> str | None:
    """Return why a deployment may cost more than the request may, or None."""
    if terms.content is None or terms.counting:
        return None
    asks = terms.fallback.asks if terms.fallback is not None else {}
    model = asks.get(deployment.name, terms.requested_model)
    return too_dear(deployment, model, terms.content, terms.prices, limit_microusd)


def _too_late(name: str, terms: Terms) -> str | None:
    """Return why a deployment's first token would come too late, or None.

    A prompt that would be in time even if it were as long as its body allows is not estimated.
    """
    pace, content = terms.fleet.paces.get(name, UNKNOWN_PACE), terms.content
    if not pace.is_known or content is None or terms.counting:
        return None
    occupancy = terms.fleet.occupancy.get(name, IDLE)
    read_tokens = (terms.read_tokens or {}).get(name, 0)

    def wait_for(estimated_tokens: int) -> Wait | None:
        tokens = terms.fleet.prompt_tokens(name, estimated_tokens)
        return predicted_wait(pace, occupancy, tokens - read_tokens)

    at_most = content.input_tokens_at_most
    wait = wait_for(at_most) if at_most is not None else None
    if wait is None or wait.total_s > terms.limit_s:
        wait = wait_for(content.input_tokens)
    if wait is None or wait.total_s <= terms.limit_s:
        return None
    return f"{wait.told()}; the limit is {terms.limit_s:g} s"


def _tokens_above(longest: int | None, deployment: str, terms: Terms) -> int | None:
    """Return how long the prompt is for a deployment if that is too long, else None.

    A prompt that is known to fit by the length of its body is not estimated.
    """
    content = terms.content
    if longest is None or content is None:
        return None
    at_most = content.input_tokens_at_most
    if at_most is not None and terms.fleet.prompt_tokens(deployment, at_most) <= longest:
        return None
    tokens = terms.fleet.prompt_tokens(deployment, content.input_tokens)
    return tokens if tokens > longest else None
