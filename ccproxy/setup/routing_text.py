"""The text of `routing.yaml`: the profiles, and the agents whose wish differs from their tier's."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from ccproxy.setup.config_text import CLAUDE_DEFAULT
from ccproxy.setup.plan import ProfileName
from ccproxy.setup.wishes import Role, role_of
from routing.types import Tier

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ccproxy.setup.plan import SetupPlan

LONG_PROMPT_TOKENS: Final = 30_000
"""From here on a local model reads for minutes."""
PRIVATE_AGENT: Final = "security-auditor"
"""The agent of the shipped roster that reads secrets and unpublished findings."""
_HEAD: Final = """\
# Written by `ccproxy init`. Which agent is served by which deployment of ccproxy.yaml.
# An edit is in force within 3 s; `ccproxy routes check` looks through it before.
#
# The first of these that has a route decides: rules (in their order), agents (by slug),
# categories (the roster's lists), tiers, default. A route is tried from left to right.
# `privacy: local_only` on a profile or an entry keeps a request on this host, whatever else is
# written. See docs/routing.md."""


def routing_text(plan: SetupPlan) -> str:
    """Return the file; it lints clean against the plan's roster and `config_text`."""
    return "\n".join(_lines(plan)) + "\n"


def _lines(plan: SetupPlan) -> Iterator[str]:
    yield _HEAD
    yield "version: 1"
    yield f"active_profile: {plan.profile}"
    if plan.local:
        memory_gib = math.floor(plan.choice.memory_gib * 100) / 100
        yield f"memory_gib: {memory_gib:g}   # what models can have; `routes check` does the sum"
    yield ""
    yield "profiles:"
    for profile in plan.profiles():
        yield from _profile(plan, profile)


def _profile(plan: SetupPlan, profile: ProfileName) -> Iterator[str]:
    match profile:
        case ProfileName.BALANCED:
            yield from _balanced(plan)
        case ProfileName.MAX_SAVINGS:
            yield from _max_savings(plan)
        case ProfileName.CLAUDE_ONLY:
            yield from _claude_only(plan)
        case ProfileName.LOCAL_ONLY:
            yield from _local_only(plan)
    yield ""


def _balanced(plan: SetupPlan) -> Iterator[str]:
    coder, fast = _coder(plan), _fast(plan)
    yield "  # Everyday work on local models, hard questions to Claude, and Claude where they fail."
    yield "  balanced:"
    yield "    rules:"
    yield "      # Calls that Claude Code makes for itself: session titles and small chores."
    yield "      - name: client-chores"
    yield "        when: {request_class: [title, background]}"
    yield f"        route: [{fast}, claude-haiku]"
    yield "      # A local model reads a long prompt for minutes. Without Claude it may still try."
    yield "      - name: long-context"
    yield f"        when: {{min_input_tokens: {LONG_PROMPT_TOKENS}}}"
    yield f"        route: [claude-sonnet, {coder}]"
    yield "    tiers:"
    yield "      opus: {route: [claude-opus, claude-sonnet]}"
    yield f"      sonnet: {{route: [{coder}, claude-sonnet]}}"
    yield f"      haiku: {{route: [{fast}, claude-haiku]}}"
    yield from _agents(plan)
    yield "    # Whoever asks for a model that is neither Claude's nor ours."
    yield f"    default: {{route: [{coder}, {CLAUDE_DEFAULT}]}}"


def _max_savings(plan: SetupPlan) -> Iterator[str]:
    opus, haiku = _all_local(plan), _unique(_fast(plan), _coder(plan))
    yield "  # As little Claude as possible: it is only asked where no local model answers."
    yield "  max-savings:"
    yield "    extends: balanced"
    yield "    tiers:"
    yield f"      opus: {{route: [{opus}, claude-opus]}}"
    yield f"      sonnet: {{route: [{_unique(_coder(plan), _fast(plan))}, claude-sonnet]}}"
    yield f"      haiku: {{route: [{haiku}, claude-haiku]}}"
    default = f"{_unique(_coder(plan), _fast(plan))}, {CLAUDE_DEFAULT}"
    yield f"    default: {{route: [{default}]}}"


def _claude_only(plan: SetupPlan) -> Iterator[str]:
    yield "  # No local model, but for agents that must stay here; or while Ollama is down."
    yield "  claude-only:"
    yield "    tiers:"
    for tier in Tier:
        yield f"      {tier}: {{route: [claude-{tier}]}}"
    if _keeps_private(plan):
        yield "    agents:"
        yield f"      {PRIVATE_AGENT}: {{route: [{_all_local(plan)}], privacy: local_only}}"
    yield f"    default: {{route: [{CLAUDE_DEFAULT}]}}"


def _local_only(plan: SetupPlan) -> Iterator[str]:
    coder, fast = _coder(plan), _fast(plan)
    yield "  # Nothing leaves this host, whoever asks; what no local model can serve is refused."
    yield "  local-only:"
    if plan.has_claude:
        yield "    extends: balanced"
    yield "    privacy: local_only"
    yield "    tiers:"
    yield f"      opus: {{route: [{_all_local(plan)}]}}"
    yield f"      sonnet: {{route: [{_unique(coder, fast)}]}}"
    yield f"      haiku: {{route: [{_unique(fast, coder)}]}}"
    if not plan.has_claude:
        yield from _agents(plan)
    yield f"    default: {{route: [{_unique(coder, fast)}]}}"
    yield "    unknown: {privacy: local_only}   # also for callers that are not recognised"


def _agents(plan: SetupPlan) -> Iterator[str]:
    entries = list(_entries(plan))
    if entries:
        yield "    agents:"
        yield from entries


def _entries(plan: SetupPlan) -> Iterator[str]:
    if _keeps_private(plan):
        yield "      # It reads secrets and unpublished findings: nothing of it leaves the house."
        # Privacy that the whole profile has already would change nothing.
        privacy = ", privacy: local_only" if plan.has_claude else ""
        yield f"      {PRIVATE_AGENT}: {{route: [{_all_local(plan)}]{privacy}}}"
    wished = [
        (agent.slug, route)
        for agent in plan.roster.agents.values()
        if agent.slug != PRIVATE_AGENT or not _keeps_private(plan)
        if (route := _wished_route(plan, agent.wished_ollama_model, agent.tier)) is not None
    ]
    if wished:
        yield "      # Whose wish in the roster (ccproxyMapping.ollama) is not their tier's model."
    for slug, route in sorted(wished):
        yield f"      {slug}: {{route: [{route}]}}"


def _wished_route(plan: SetupPlan, wish: str | None, tier: Tier) -> str | None:
    """Return the route of an agent that wishes another local model than its tier has."""
    role = None if wish is None else role_of(wish, plan.wishes)
    mine = None if role is None else plan.name_of(role)
    usual = {Tier.SONNET: _coder(plan), Tier.HAIKU: _fast(plan)}.get(tier)
    if mine is None or usual is None or mine == usual:
        return None
    cloud = (f"claude-{tier}",) if plan.has_claude else ()
    return _unique(mine, usual, *cloud)


def _keeps_private(plan: SetupPlan) -> bool:
    return PRIVATE_AGENT in plan.roster.agents and bool(plan.local)


def _all_local(plan: SetupPlan) -> str:
    """Return the local deployments for hard questions, the best at prose first."""
    return _unique(plan.name_of(Role.GENERAL) or "", _coder(plan))


def _coder(plan: SetupPlan) -> str:
    return plan.name_of(Role.CODER) or ""


def _fast(plan: SetupPlan) -> str:
    return plan.name_of(Role.FAST) or ""


def _unique(*names: str) -> str:
    kept: Sequence[str] = list(dict.fromkeys(names))
    return ", ".join(kept)
