"""Whether a Messages request may go to a local model, and what to say if not.

Claude checks its own requests; a local model would take nearly anything and answer wrongly, so
here stands what Anthropic would refuse, in its wording and always in the same order
(conformance 066-116). The written rules are in docs/local-validation.md.

Two kinds of refusal: a 400 `ApiError` for what is wrong anywhere, `UnsupportedLocally` for what
Claude could serve. The second is raised only when nothing is wrong.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from ccproxy.wire.errors import invalid_request
from ccproxy.wire.validate_messages import check_messages, check_system
from ccproxy.wire.validate_options import (
    CLAUDE_ONLY,
    check_combinations,
    check_model,
    check_options,
    check_thread,
)
from ccproxy.wire.validate_shape import Review, require
from ccproxy.wire.validate_strict import check_strictly
from ccproxy.wire.validate_tools import check_tool_choice, check_tools

if TYPE_CHECKING:
    from collections.abc import Mapping

NEWEST_VERSION: Final = "2026-10-21"
VERSIONS: Final = ("2023-06-01", NEWEST_VERSION)
"""Known values of `anthropic-version`. Source: Anthropic's "Versions" page (2026-10)."""

_UNDERSTOOD: Final = frozenset(
    {
        "model",
        "max_tokens",
        "messages",
        "system",
        "tools",
        "tool_choice",
        "stream",
        "stop_sequences",
        "temperature",
        "top_p",
        "top_k",
        "thinking",
        "output_config",
        "output_format",
        "thread",
        *CLAUDE_ONLY,
    }
)
_WITHOUT_EFFECT: Final = frozenset(
    {
        "metadata",
        "service_tier",
        "speed",
        "inference_geo",
        "cache_control",
        "user_profile_id",
        "workspace_id",
    }
)
"""Accounting and caching: nothing of the answer depends on them, so they need no mention."""

_KNOWN: Final = _UNDERSTOOD | _WITHOUT_EFFECT | {"context_management", "diagnostics", "safeguards"}
"""Every top-level field that Anthropic's API has. Source: anthropic 2.11.0, and Claude Code 2.1.329
for `safeguards`."""

_MAX_REPORTED: Final = 16
_PRINTABLE_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def validate_request(
    body: Mapping[str, Any], *, version: str, counting: bool = False, strict: bool = False
) -> None:
    """Return if a local model may be asked; else raise the first thing that is wrong.

    Args:
        body: The parsed request.
        version: Value of `anthropic-version`; `2026-10-21` refuses more.
        counting: True for count_tokens, which needs no `max_tokens`.
        strict: Refuse also what Anthropic refuses and a local model can do without harm; see
            `validate_strict`.

    Raises:
        ApiError: 400, wrong for every model.
        UnsupportedLocally: Valid, but only Claude can serve it; 400 if nothing else is left.
    """
    if version not in VERSIONS:
        raise invalid_request(
            f"anthropic-version: {version[:64]!r} is not a known version; use one of"
            f" {', '.join(VERSIONS)}"
        )
    review = Review(newest_version=version == NEWEST_VERSION)
    for name in ("model", "messages") if counting else ("model", "max_tokens", "messages"):
        require(body, name, "")
    check_model(body)
    check_thread(body)
    check_options(body, review)
    check_system(body)
    names, open_ended = check_tools(body, review)
    check_messages(body["messages"], review)
    names = (names | review.added_tools) - review.removed_tools
    choice = check_tool_choice(body, names, open_ended=open_ended)
    check_combinations(body, choice)
    if strict:
        check_strictly(body, known=_KNOWN)
    review.raise_unsupported()


def ignored_fields(body: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the top-level fields that a local model does not get, in the body's order.

    Unknown ones, and those with a rule to ignore them although they ask for something:
    `context_management`, `diagnostics`, `safeguards`. The names are safe in a header: an odd one
    is reported as `?`, and after 16 comes `...`.
    """
    names = [
        name if _PRINTABLE_NAME.fullmatch(name) else "?"
        for name, value in body.items()
        if value is not None and name not in _UNDERSTOOD and name not in _WITHOUT_EFFECT
    ]
    if len(names) > _MAX_REPORTED:
        names[_MAX_REPORTED:] = ["..."]
    return tuple(names)
