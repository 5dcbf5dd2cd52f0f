"""Random Messages requests as they arrive on the wire, all of them valid ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from hypothesis import strategies as st

from routing.request_class import COMPACTION_OPENING, SAFETY_OPENING
from routing.types import Privacy
from tests.support.routing_strategies import HEADER, MODELS, PRINCIPALS, PROJECTS, TOOLS

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from routing.types import Roster

WORDS: Final = (1, 700, 900, 3500, 4500)
"""How long texts are; the models of the samples hold 1000 or 4000 tokens."""
CALL_IDS: Final = ("toolu_01A09q90qw90lq917835lq9", "toolu_localAbCdEfGhIjKlMnOpQr", "other")
"""Claude's, ours, and somebody's."""
IMAGE: Final = {
    "type": "image",
    "source": {"type": "base64", "media_type": "image/png", "data": "aGk="},
}
DOCUMENT: Final = {
    "type": "document",
    "source": {"type": "base64", "media_type": "application/pdf", "data": "aGk="},
}  # fmt: skip
TITLE_FORMAT: Final = {
    "type": "json_schema",
    "schema": {
        "type": "object",
        "properties": {"title": {"type": "string"}},
        "required": ["title"],
        "additionalProperties": False,
    },
}


@dataclass(frozen=True, slots=True)
class WireRequest:
    """One request, and whose token it carries."""

    body: Mapping[str, Any]
    headers: Mapping[str, str]
    path_agent: str | None
    principal: str
    token_agents: tuple[str, ...]
    token_privacy: Privacy
    counting: bool


def wire_requests(
    deployments: Collection[str], roster: Roster, prompts: Mapping[str, str]
) -> st.SearchStrategy[WireRequest]:
    """Return requests; some name an agent or a model that does not exist, or may not be whom."""
    slugs = [*roster.agents, "nobody"]
    models = [
        *[model for model in MODELS if model] * 4,
        *deployments,
        *(f"agent/{slug}" for slug in slugs),
        *roster.aliases,
    ]
    tokens = [*[()] * 12, *((slug,) for slug in roster.agents), tuple(roster.agents)[:2]]
    return st.builds(
        WireRequest,
        body=_bodies(models, prompts),
        headers=_headers(slugs),
        path_agent=st.sampled_from([*[None] * 8, *slugs]),
        principal=st.sampled_from(PRINCIPALS),
        token_agents=st.sampled_from(tokens),
        token_privacy=st.sampled_from([*[Privacy.ANY] * 9, Privacy.LOCAL_ONLY]),
        counting=st.booleans(),
    )


def _headers(slugs: list[str]) -> st.SearchStrategy[dict[str, str]]:
    return st.fixed_dictionaries(
        {},
        optional={
            "x-ccproxy-agent": st.sampled_from(["", "", "", *slugs]),
            "x-ccproxy-project": st.sampled_from(PROJECTS),
            HEADER: st.sampled_from(["red", "blue"]),
            "user-agent": st.sampled_from(["curl/8", "claude-cli/2.1.329 (external, cli)"]),
            "x-claude-code-agent-type": st.sampled_from(["custom", "Clerk", "Explore"]),
            "x-claude-code-agent-id": st.just("a1"),
            "x-claude-code-request-class": st.sampled_from(["compaction", "auxiliary", "main"]),
        },
    )


def _messages(blocks: list[dict[str, Any]], call_id: str | None) -> list[dict[str, Any]]:
    """Return a question, and what follows it in a tool loop whose call has this id."""
    asked = {"role": "user", "content": blocks}
    if call_id is None:
        return [asked]
    call = {"type": "tool_use", "id": call_id, "name": "Bash", "input": {}}
    result = {"type": "tool_result", "tool_use_id": call_id, "content": "done"}
    return [
        asked,
        {"role": "assistant", "content": [call]},
        {"role": "user", "content": [result]},
    ]


def _bodies(models: list[str], prompts: Mapping[str, str]) -> st.SearchStrategy[dict[str, Any]]:
    openings = st.sampled_from(["Look at this.", f"{COMPACTION_OPENING}. Sum up."])
    texts = st.builds(
        lambda opening, words: {"type": "text", "text": opening + " word" * words},
        openings,
        st.sampled_from(WORDS),
    )
    content = st.lists(st.sampled_from([IMAGE, DOCUMENT]), max_size=1).flatmap(
        lambda extra: texts.map(lambda text: [*extra, text])
    )
    tools = st.lists(st.sampled_from(TOOLS), min_size=1, max_size=2, unique=True).map(
        lambda names: [{"name": name, "input_schema": {"type": "object"}} for name in names]
    )
    server_tools = st.just([{"type": "web_search_20250305", "name": "web_search"}])
    return st.fixed_dictionaries(
        {
            "model": st.sampled_from(models),
            "max_tokens": st.sampled_from([1, 64, 4096]),
            "messages": st.builds(_messages, content, st.sampled_from([None, None, *CALL_IDS])),
        },
        optional={
            "system": st.sampled_from([*prompts.values(), SAFETY_OPENING, "Be brief."]),
            "tools": tools | server_tools,
            "stream": st.booleans(),
            "output_config": st.just({"format": TITLE_FORMAT}),
        },
    )
