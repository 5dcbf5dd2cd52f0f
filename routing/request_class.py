"""What kind of call a request is: an agent's turn, or one of Claude Code's own.

Rules, in this order:
1. A call of count_tokens is a `count` (`/context` sends three dozen at once).
2. The auto-mode safety classifier offers no tools and has one of these marks: a system text that
   begins with `SAFETY_OPENING`; a stop sequence of its answer's grammar; its beta; or, from Claude
   Code, all its documented parameters together. No header says otherwise, and of the messages,
   which hold what tools returned, nothing is looked at.
3. A session title, from Claude Code: no tools, and an output schema of `title` alone.
4. A compaction: so says the hint, or, from Claude Code, the last user text begins with
   `COMPACTION_OPENING`.
5. A background call: so says the hint (`auxiliary`, `side_reply`), or, from Claude Code's main
   thread and without tools, one output token (a quota check) or a small model asked without
   streaming.
6. Everything else is a turn; so is one that carries `safeguards`.

What a forger gains: to look like the classifier a client has to give up its tools, and gets what
`local_only` and its token allow, that is one answer without tools from Claude instead of a local
model, at the operator's cost. The reverse, which would let a local model judge what is dangerous,
takes control of the client's own system prompt; text from a repository or a tool cannot do it.
The other classes only meet rules that name them, and steer like any other signal of a client.

Source: Claude Code 2.1.329, its requests and the texts in its program; the model and parameters of
the classifier as it sent them when an answer had no `safeguard_results`.
"""

from __future__ import annotations

from typing import Final

from routing.records import record
from routing.types import RequestClass

SAFETY_OPENING: Final = "You are a security monitor for autonomous AI coding agents."
SAFETY_STOPS: Final = frozenset({"</block>", "</severity>"})
SAFETY_BETA: Final = "auto-mode-classifier-"
_SAFETY_MODEL: Final = "claude-sonnet-"
_SAFETY_MAX_TOKENS: Final = frozenset({64, 256, 8192})
_SAFETY_SYSTEM_CHARS: Final = 100_000
"""Its system prompt had 141 kB."""

COMPACTION_OPENING: Final = "CRITICAL: Respond with TEXT ONLY"
_BACKGROUND_HINTS: Final = frozenset({"auxiliary", "side_reply"})
OPENING_CHARS: Final = 64
"""How much of a text is enough to tell an opening."""


@record(frozen=True, slots=True)
class CallFeatures:
    """What the class of a request depends on. Everything absent is empty or False."""

    counting: bool = False
    """It was sent to count_tokens."""
    from_claude_code: bool = False
    """Its user agent or a session id says so."""
    subagent: bool = False
    """It has an agent id: an agent that Claude Code spawned."""
    class_hint: str = ""
    """`x-claude-code-request-class`, sent with CLAUDE_CODE_GATEWAY_HINT_HEADERS=1."""
    betas: tuple[str, ...] = ()
    """Items of `anthropic-beta`."""
    model: str = ""
    stream: bool = False
    max_tokens: int = 0
    has_tools: bool = False
    thinking: bool = False
    """Switched on."""
    stop_sequences: frozenset[str] = frozenset()
    schema_keys: frozenset[str] = frozenset()
    """Properties of the output schema."""
    system_chars: int = 0
    system_openings: tuple[str, ...] = ()
    """The first `OPENING_CHARS` characters of each system text."""
    last_user_opening: str = ""
    """The first `OPENING_CHARS` characters of the last text of the last user message."""


def classify_call(call: CallFeatures) -> RequestClass:
    """Return the class of a request, by the rules at the head of this file."""
    if call.counting:
        return RequestClass.COUNT
    if _is_safety_classifier(call):
        return RequestClass.SAFETY_CLASSIFIER
    if call.from_claude_code and not call.has_tools and call.schema_keys == {"title"}:
        return RequestClass.TITLE
    if _is_compaction(call):
        return RequestClass.COMPACTION
    if _is_background(call):
        return RequestClass.BACKGROUND
    return RequestClass.TURN


def _is_safety_classifier(call: CallFeatures) -> bool:
    if call.has_tools:
        return False
    return (
        any(opening.startswith(SAFETY_OPENING) for opening in call.system_openings)
        or not SAFETY_STOPS.isdisjoint(call.stop_sequences)
        or any(beta.startswith(SAFETY_BETA) for beta in call.betas)
        or _has_its_parameters(call)
    )


def _has_its_parameters(call: CallFeatures) -> bool:
    """Return whether a reworded classifier would look like this."""
    return (
        call.from_claude_code
        and not call.stream
        and not call.thinking
        and call.max_tokens in _SAFETY_MAX_TOKENS
        and call.model.startswith(_SAFETY_MODEL)
        and call.system_chars >= _SAFETY_SYSTEM_CHARS
    )


def _is_compaction(call: CallFeatures) -> bool:
    return call.class_hint == "compaction" or (
        call.from_claude_code and call.last_user_opening.startswith(COMPACTION_OPENING)
    )


def _is_background(call: CallFeatures) -> bool:
    if call.class_hint:
        return call.class_hint in _BACKGROUND_HINTS
    if not call.from_claude_code or call.subagent or call.has_tools:
        return False
    return call.max_tokens == 1 or ("haiku" in call.model.casefold() and not call.stream)
