"""What models can do, what requests need, and whether the two fit.

Rules:
1. What the config file says counts; where it says nothing, what was seen of the model does.
2. An unknown ability is trusted for text, tools and structured output, and for everything at
   Claude. Elsewhere images, documents and server tools need to be known.
3. Thinking is no reason to skip: a model that cannot think answers without.
4. Content is asked about only where the answer could matter.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING, Final

from routing.calibration import UNKNOWN_RATIO

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from routing.calibration import TokenRatio
    from routing.fit import SeenModel
    from routing.pace import Occupancy, Pace
    from routing.types import ContentFacts, Deployment

ANSWER_SHARE: Final = 8
"""Of a context that prompt and answer share, this part, at most `ANSWER_TOKENS`, is kept free for
the answer; the adapter of local models keeps the same."""
ANSWER_TOKENS: Final = 1024


@dataclass(frozen=True, slots=True)
class _Need:
    """One ability a request may need."""

    ability: Callable[[Capabilities], bool | None]
    what: str
    asked: Callable[[ContentFacts], object]
    """True, or what is not empty, where the content needs it."""
    trusted: bool
    """Unknown counts as able."""


_NEEDS: Final = (
    _Need(attrgetter("tools"), "tools", attrgetter("tool_names"), trusted=True),
    _Need(attrgetter("vision"), "images", attrgetter("has_images"), trusted=False),
    _Need(attrgetter("documents"), "documents", attrgetter("has_documents"), trusted=False),
    _Need(
        attrgetter("server_tools"), "server tools", attrgetter("has_server_tools"), trusted=False
    ),
    _Need(
        attrgetter("structured_output"),
        "structured output",
        attrgetter("wants_structured_output"),
        trusted=True,
    ),
)


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a model can do; None means unknown."""

    tools: bool | None = None
    vision: bool | None = None
    documents: bool | None = None
    """PDFs and other documents that are not plain text."""
    server_tools: bool | None = None
    """Tools that Anthropic's servers run."""
    structured_output: bool | None = None
    """Answers that keep to a JSON Schema."""
    thinking: bool | None = None
    refused: tuple[_Need, ...] = field(init=False, repr=False, compare=False)
    """What it is known not to be able to do."""

    def __post_init__(self) -> None:
        """Find out once what is refused: all that matters where everything unknown is trusted."""
        refused = tuple(need for need in _NEEDS if need.ability(self) is False)
        object.__setattr__(self, "refused", refused)


UNKNOWN_CAPABILITIES: Final = Capabilities()


@dataclass(frozen=True, slots=True)
class FleetSnapshot:
    """What is known of the deployments right now, by name. Empty: nothing beyond the config."""

    unavailable: Mapping[str, str] = field(default_factory=dict)
    """Deployment -> why it cannot be used at the moment, in words for clients as well."""
    capabilities: Mapping[str, Capabilities] = field(default_factory=dict)
    models: Mapping[str, SeenModel] = field(default_factory=dict)
    """Length and size of the models, as their upstreams say."""
    token_ratios: Mapping[str, TokenRatio] = field(default_factory=dict)
    """How the models' own token counts differ from estimates; 1 for those not in it."""
    paces: Mapping[str, Pace] = field(default_factory=dict)
    """How fast the deployments were; those not in it predict nothing."""
    occupancy: Mapping[str, Occupancy] = field(default_factory=dict)
    """What goes on at them; idle where it is not said."""

    def prompt_tokens(self, deployment: str, estimated_tokens: int) -> int:
        """Return an estimate as a deployment's model will count it."""
        return self.token_ratios.get(deployment, UNKNOWN_RATIO).tokens(estimated_tokens)


NOTHING_KNOWN: Final = FleetSnapshot()


def missing_ability(
    deployment: Deployment,
    seen: Capabilities | None,
    content: ContentFacts | None,
    *,
    trust_all: bool,
) -> str | None:
    """Return why a deployment cannot serve such content, or None.

    Args:
        deployment: With what the config file says of it.
        seen: What is known of the model besides.
        content: None where nothing is known; then nothing is missing.
        trust_all: Every unknown ability counts as present, as at Claude.
    """
    if content is None:
        return None
    stated = deployment.capabilities
    for need in stated.refused if trust_all and seen is None else _NEEDS:
        can: bool | None = need.ability(stated)
        if can is None and seen is not None:
            can = need.ability(seen)
        if can or (can is None and (trust_all or need.trusted)):
            continue
        if need.asked(content):
            state = "cannot do" if can is False else "is not known to do"
            return f"{state} {need.what}, which the request needs"
    return None


def longest_prompt_tokens(deployment: Deployment) -> int | None:
    """Return the longest prompt that still leaves room for an answer; None where no limit is said.

    `num_ctx` holds prompt and answer together; `max_input_tokens` is of the prompt alone.
    """
    context, most = deployment.num_ctx, deployment.max_input_tokens
    if context is None:
        return most
    longest = context - min(ANSWER_TOKENS, context // ANSWER_SHARE)
    return longest if most is None else min(longest, most)
