"""What is remembered of one routing decision: enough to make it again, no content, no credential.

`routes diff` and explain take a decision apart, put its facts under another table, and see what
would have come of it. So names stay as they were (agents, models, tools), while texts that a client
wrote are bounded and values of headers that look like credentials are left out.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from operator import attrgetter
from time import localtime
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar, cast

import orjson

from routing.content import StatedContent
from routing.types import AgentMatch, AgentSource, RequestFacts, Side, SignalConflict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ccproxy.outcome import Outcome
    from routing.types import ContentFacts, Plan

TEXT_LIMIT: Final = 256
"""Characters of any text that a client chose."""
LIST_LIMIT: Final = 512
"""Items of any list; Claude Code offers some dozens of tools."""
BYTES_PER_TOKEN: Final = 4
"""For decisions of which neither an estimate nor a count is known."""

_SECRET_HEADERS: Final = (
    "auth", "cookie", "credential", "key", "passw", "secret", "signature", "token",
)  # fmt: skip
_PLAIN_FIELDS: Final = tuple(
    (each.name, each.default)
    for each in fields(RequestFacts)
    if each.name not in ("content", "headers")
)
"""Fields of `RequestFacts` that are recorded as they are, and their defaults."""
_plain_values: Final = attrgetter(*(name for name, _ in _PLAIN_FIELDS))

Record = TypeVar("Record")


class KnowsItself(Protocol):
    """Content facts that can say which of their answers are there already."""

    def known(self) -> Mapping[str, object]:
        """Return answers by the names of `ContentFacts`, without computing a costly one."""
        ...


@dataclass(frozen=True, slots=True)
class DecidedPlan:
    """What was decided, in short."""

    attempts: tuple[str, ...]
    privacy: str
    tier: str | None = None
    rule: str | None = None


@dataclass(frozen=True, slots=True)
class DecidedOutcome:
    """What came of it."""

    status: int = 0
    ending: str = ""
    deployment: str = ""
    """The last one that was tried: where `ending` is `completed`, the one that served."""
    route: str = ""
    attempts: tuple[str, ...] = ()
    """`deployment:failure_class` or `deployment:ok`, in order."""
    stream: bool = False
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    ttft_s: float | None = None
    total_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Decision:
    """One request as routing saw it."""

    request_id: str
    at: float
    """Unix time of its arrival, seconds."""
    endpoint: str
    """`messages`, `count_tokens` or `other`."""
    table_version: str
    facts: Mapping[str, object]
    """Fields of `RequestFacts` that say something, JSON-ready; `content` has what was computed."""
    match: AgentMatch
    plan: DecidedPlan | None
    """None where no plan came about: 403, 404, or no attempt was left."""
    outcome: DecidedOutcome
    body_bytes: int = 0
    """Length of the request's JSON."""


def decision_line(
    outcome: Outcome,
    facts: RequestFacts,
    match: AgentMatch,
    plan: Plan | None,
    *,
    table_version: str,
    body_bytes: int,
) -> bytes:
    """Return the record of a finished request, a `Decision`, as one line of JSON without its end.

    It is made of dicts: to build and encode the dataclasses would take five times as long.

    Raises:
        TypeError: Something in it has no place in JSON.
    """
    usage = outcome.usage
    return orjson.dumps(
        {
            "request_id": outcome.request_id,
            "at": outcome.started_at,
            "endpoint": outcome.endpoint,
            "table_version": table_version,
            "facts": describe_facts(facts),
            "match": {
                "slug": match.slug,
                "source": match.source,
                "confidence": match.confidence,
                "conflicts": match.conflicts,
            },
            "plan": plan
            and {
                "attempts": plan.attempts,
                "privacy": plan.privacy,
                "tier": plan.tier,
                "rule": plan.rule,
            },
            "outcome": {
                "status": outcome.status,
                "ending": outcome.ending,
                "deployment": outcome.deployment,
                "route": outcome.route,
                "attempts": outcome.attempts,
                "stream": outcome.stream,
                "input_tokens": usage.input_tokens,
                "output_tokens": usage.output_tokens,
                "cache_creation_input_tokens": usage.cache_creation_input_tokens,
                "cache_read_input_tokens": usage.cache_read_input_tokens,
                "ttft_s": outcome.ttft_s,
                "total_s": outcome.total_s,
            },
            "body_bytes": body_bytes,
        }
    )


def describe_facts(facts: RequestFacts) -> dict[str, object]:
    """Return what the facts say beyond their defaults, JSON-ready and bounded."""
    said: dict[str, object] = {}
    for (name, default), value in zip(_PLAIN_FIELDS, _plain_values(facts), strict=True):
        if value is not default and value != default:
            said[name] = _bounded(value)
    if facts.headers:
        said["headers"] = {
            name: value[:TEXT_LIMIT]
            for name, value in facts.headers.items()
            if not any(word in name for word in _SECRET_HEADERS)
        }
    if facts.content is not None:
        said["content"] = {
            name: _bounded(value) for name, value in _known_content(facts.content).items()
        }
    return said


def facts_from_decision(decision: Decision) -> RequestFacts:
    """Return the facts, good enough for `identify` and `build_plan`.

    A content fact that nothing had asked for counts as absent. Where no estimate was made, the
    upstream's own count stands for it, else a quarter of the bytes. The local time is this
    machine's.
    """
    said = decision.facts
    values: dict[str, Any] = {
        name: _restored(said[name], default) for name, default in _PLAIN_FIELDS if name in said
    }
    if values.get("local_minute") is None:
        then = localtime(decision.at)
        values["local_minute"] = (then.tm_wday, then.tm_hour * 60 + then.tm_min)
    headers = cast("Mapping[str, str]", said.get("headers", {}))
    return RequestFacts(**values, headers=headers, content=_content(decision))


def from_line(line: bytes) -> Decision:
    """Return the decision in a line; members that this program does not know are left out.

    Raises:
        ValueError: It is none: torn, or of another shape.
    """
    document = orjson.loads(line)
    try:
        match = document["match"]
        plan = document["plan"]
        conflicts = tuple(
            SignalConflict(AgentSource(each["source"]), each["slug"]) for each in match["conflicts"]
        )
        return _read(
            Decision,
            document,
            match=AgentMatch(
                match["slug"], AgentSource(match["source"]), match["confidence"], conflicts
            ),
            plan=plan and _read(DecidedPlan, plan, attempts=tuple(plan["attempts"])),
            outcome=_read(
                DecidedOutcome,
                document["outcome"],
                attempts=tuple(document["outcome"]["attempts"]),
            ),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a decision: {error!r}") from error


def _read(kind: type[Record], document: Mapping[str, object], **known: object) -> Record:
    names = {each.name for each in fields(cast("Any", kind))}
    return kind(**{name: document[name] for name in names & document.keys()} | known)


def _bounded(value: object) -> object:
    """Return a value JSON-ready and of bounded size."""
    if isinstance(value, str):
        return value[:TEXT_LIMIT]
    if isinstance(value, frozenset):
        return [_bounded(item) for item in sorted(value)[:LIST_LIMIT]]
    if isinstance(value, tuple):
        return [_bounded(item) for item in value[:LIST_LIMIT]]
    return value


def _restored(value: object, default: object) -> object:
    """Return a value as `RequestFacts` has it."""
    if isinstance(value, list):
        return tuple(value)
    if isinstance(default, Enum):
        return type(default)(value)
    return value


def _known_content(content: ContentFacts) -> Mapping[str, object]:
    """Return the answers that are there already."""
    if is_dataclass(content):
        return {each.name: getattr(content, each.name) for each in fields(content)}
    known = getattr(content, "known", None)
    return cast("KnowsItself", content).known() if known is not None else {}


def _content(decision: Decision) -> StatedContent | None:
    known = cast("Mapping[str, Any]", decision.facts.get("content", {}))
    if not known and not decision.body_bytes:
        return None
    values = {
        name: value for name, value in known.items() if name in StatedContent.__dataclass_fields__
    }
    values["tool_names"] = frozenset(known.get("tool_names", ()))
    loop_side = values.get("tool_loop_side")
    values["tool_loop_side"] = Side(loop_side) if loop_side is not None else None
    values.setdefault("input_tokens", _input_tokens(decision))
    return StatedContent(**values)


def _input_tokens(decision: Decision) -> int:
    outcome = decision.outcome
    counted = sum(
        tokens or 0
        for tokens in (
            outcome.input_tokens,
            outcome.cache_creation_input_tokens,
            outcome.cache_read_input_tokens,
        )
    )
    return counted or decision.body_bytes // BYTES_PER_TOKEN
