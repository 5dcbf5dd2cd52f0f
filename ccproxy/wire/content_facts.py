"""What a routing decision may know of a parsed Messages body.

Nothing here raises, whatever the body holds: it runs before validation, which will refuse what is
malformed, so a wrong shape merely counts as absent. Nothing keeps or copies content.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ccproxy.wire.computed_once import computed_once
from ccproxy.wire.estimate import estimate_input_tokens, most_input_tokens, units_of_text
from ccproxy.wire.tool_loop import tool_loop_side
from routing.request_class import OPENING_CHARS, CallFeatures

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from routing.types import Side

_CLIENT_TOOL_TYPES: Final = ("bash_", "text_editor_", "computer_", "memory_")
"""Tools that Anthropic defines and the client runs; every other dated type runs at Anthropic.

Source: docs.claude.com, tool use overview (2026-10).
"""


_PLAIN_DOCUMENTS: Final = ("text", "content")
"""Document sources that are text; an image inside `content` still counts as an image."""

_AGENT_ID: Final = b"x-claude-code-agent-id"
_SESSION_ID: Final = b"x-claude-code-session-id"
_CLASS_HINT: Final = b"x-claude-code-request-class"


class BodyFacts:
    """`routing.types.ContentFacts` of a body; each answer is computed once, when asked for.

    The body must not change meanwhile.
    """

    def __init__(
        self,
        body: Mapping[str, Any],
        body_bytes: int | None = None,
        units_of: Callable[[str], int] = units_of_text,
    ) -> None:
        """Look at nothing yet.

        Args:
            body: As it was parsed.
            body_bytes: Length of the body's JSON, if it is known.
            units_of: As of `estimate_prompt`.
        """
        self._body = body
        self._units_of = units_of
        self._body_bytes = body_bytes
        self._released: dict[str, object] | None = None

    @computed_once
    def input_tokens(self) -> int:
        """The estimate of the prompt, in tokens."""
        return estimate_input_tokens(self._body, self._units_of)

    @property
    def input_tokens_at_most(self) -> int | None:
        """A bound by the length of the body; None with images, whose few bytes are many tokens."""
        if self._body_bytes is None or self.has_images:
            return None
        return most_input_tokens(self._body_bytes)

    @property
    def has_images(self) -> bool:
        """An image anywhere, also in a tool result."""
        return self._traits[0]

    @property
    def has_documents(self) -> bool:
        """A document that is not plain text (PDF, URL, file)."""
        return self._traits[1]

    @computed_once
    def has_server_tools(self) -> bool:
        """A tool that Anthropic runs is offered. One in the history is text to a local model."""
        return any(map(_is_server_tool, _dicts(self._body.get("tools")))) or bool(
            _dicts(self._body.get("mcp_servers"))
        )

    @computed_once
    def tool_names(self) -> frozenset[str]:
        """Names of the client's tools that are offered."""
        return frozenset(
            name
            for tool in _dicts(self._body.get("tools"))
            if isinstance(name := tool.get("name"), str) and not _is_server_tool(tool)
        )

    @property
    def wants_thinking(self) -> bool:
        """Thinking is switched on."""
        return _thinks(self._body)

    @property
    def wants_structured_output(self) -> bool:
        """An output schema is asked for."""
        return bool(_output_format(self._body))

    @property
    def max_output_tokens(self) -> int:
        """The most that may be answered, as the request says."""
        most = self._body.get("max_tokens")
        return most if isinstance(most, int) and most > 0 else 0

    @computed_once
    def tool_loop_side(self) -> Side | None:
        """The side that made the tool calls whose results this brings; None if none, or unknown."""
        return tool_loop_side(self._body.get("messages"))

    def release(self) -> None:
        """Let go of the body: a stream may last for minutes. Only `known` is asked from now on."""
        self._released = self.known()
        self._body = {}

    def known(self) -> dict[str, object]:
        """Return, by name, what has been asked for already and what costs next to nothing."""
        if self._released is not None:
            return self._released
        known: dict[str, object] = {
            "tool_names": self.tool_names,
            "wants_thinking": self.wants_thinking,
            "wants_structured_output": self.wants_structured_output,
            "max_output_tokens": self.max_output_tokens,
        }
        computed = vars(self)
        for name in ("input_tokens", "has_server_tools", "tool_loop_side"):
            if name in computed:
                known[name] = computed[name]
        if "_traits" in computed:
            known["has_images"], known["has_documents"] = self._traits
        return known

    @computed_once
    def _traits(self) -> tuple[bool, bool]:
        """Images and documents in the conversation, also inside tool results and documents."""
        images = documents = False
        waiting = [self._body.get("system")]
        waiting += [message.get("content") for message in _dicts(self._body.get("messages"))]
        while waiting:
            for block in _items(waiting.pop()):
                kind = block.get("type") if isinstance(block, dict) else None
                if kind == "image":
                    images = True
                elif kind == "tool_result":
                    waiting.append(block.get("content"))
                elif kind == "document":
                    source = _member(block, "source")
                    documents |= source.get("type") not in _PLAIN_DOCUMENTS
                    waiting.append(source.get("content"))
        return images, documents


def system_texts(body: Mapping[str, Any]) -> list[str]:
    """Return the texts of `system`, in order; of the messages' system entries none.

    Clients put an agent's prompt into `system`, while system messages carry what came later.
    """
    return _texts(body.get("system"))


def call_features(
    body: Mapping[str, Any], headers: Sequence[tuple[bytes, bytes]], *, counting: bool
) -> CallFeatures:
    """Return what the class of a request depends on.

    Args:
        body: Parsed.
        headers: With lower-case names, as in `ports.Incoming`.
        counting: The request was sent to count_tokens.
    """
    if counting:
        return CallFeatures(counting=True)
    first = dict(reversed(headers))
    systems = system_texts(body)
    max_tokens = body.get("max_tokens")
    return CallFeatures(
        from_claude_code=(
            first.get(b"user-agent", b"").startswith(b"claude-cli/") or _SESSION_ID in first
        ),
        subagent=_AGENT_ID in first,
        class_hint=first.get(_CLASS_HINT, b"").decode("latin-1"),
        betas=_betas(headers),
        model=_text(body.get("model")),
        stream=body.get("stream") is True,
        max_tokens=max_tokens if type(max_tokens) is int else 0,
        has_tools=bool(_dicts(body.get("tools"))),
        thinking=_thinks(body),
        stop_sequences=frozenset(
            [stop for stop in _items(body.get("stop_sequences")) if isinstance(stop, str)]
        ),
        schema_keys=_schema_keys(body),
        system_chars=sum(map(len, systems)),
        system_openings=tuple([text[:OPENING_CHARS] for text in systems]),
        last_user_opening=_last_user_text(body)[:OPENING_CHARS],
    )


def _betas(headers: Sequence[tuple[bytes, bytes]]) -> tuple[str, ...]:
    """Return the items of every `anthropic-beta` header."""
    return tuple(
        [
            item.strip()
            for name, value in headers
            if name == b"anthropic-beta"
            for item in value.decode("latin-1").split(",")
        ]
    )


def _thinks(body: Mapping[str, Any]) -> bool:
    return _member(body, "thinking").get("type") in ("enabled", "adaptive")


def _schema_keys(body: Mapping[str, Any]) -> frozenset[str]:
    asked = _output_format(body)
    return frozenset(_member(_member(asked, "schema"), "properties") if asked else ())


def _output_format(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema asked for, from its place of today or from that of the beta."""
    return _member(_member(body, "output_config"), "format") or _member(body, "output_format")


def _last_user_text(body: Mapping[str, Any]) -> str:
    for message in reversed(_items(body.get("messages"))):
        if isinstance(message, dict) and message.get("role") == "user":
            texts = _texts(message.get("content"))
            return texts[-1] if texts else ""
    return ""


def _texts(content: object) -> list[str]:
    """Return the texts of a string or of a list of blocks."""
    if isinstance(content, str):
        return [content]
    return [
        text
        for block in _dicts(content)
        if block.get("type") == "text" and isinstance(text := block.get("text"), str)
    ]


def _is_server_tool(tool: Mapping[str, Any]) -> bool:
    kind = tool.get("type") or "custom"
    return isinstance(kind, str) and kind != "custom" and not kind.startswith(_CLIENT_TOOL_TYPES)


def _member(value: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return an object inside an object, empty for anything else."""
    member = value.get(key)
    return member if isinstance(member, dict) else {}


def _items(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _dicts(value: object) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
