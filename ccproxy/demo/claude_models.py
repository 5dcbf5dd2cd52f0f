"""The models the simulated Claude knows, and `/v1/models` with its pagination.

Source: ids as Claude Code 2.1.329 sends them; page shape and limits as in Anthropic's "List Models"
reference (2026-08), conformance 249 to 253.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs

if TYPE_CHECKING:
    from collections.abc import Mapping

_MODELS: Final = (
    ("claude-fable-5-2", "Claude Fable 5.2", "2026-10-01T00:00:00Z"),
    ("claude-opus-5-5", "Claude Opus 5.5", "2026-09-15T00:00:00Z"),
    ("claude-sonnet-5-5", "Claude Sonnet 5.5", "2026-09-15T00:00:00Z"),
    ("claude-haiku-5-5", "Claude Haiku 5.5", "2026-09-15T00:00:00Z"),
    ("claude-sonnet-5", "Claude Sonnet 5", "2026-03-01T00:00:00Z"),
    ("claude-opus-4-8", "Claude Opus 4.8", "2026-02-01T00:00:00Z"),
    ("claude-opus-4-6", "Claude Opus 4.6", "2026-01-15T00:00:00Z"),
    ("claude-opus-4-5-20251101", "Claude Opus 4.5", "2025-11-01T00:00:00Z"),
    ("claude-haiku-4-5-20251001", "Claude Haiku 4.5", "2025-10-15T00:00:00Z"),
    ("claude-sonnet-4-5-20250929", "Claude Sonnet 4.5", "2025-09-29T00:00:00Z"),
)
_DEFAULT_LIMIT: Final = 20
_MAX_LIMIT: Final = 1000


_DATE: Final = re.compile(r"-\d{8}$")
"""At the end of an id: the day of a snapshot. The id without it names the latest one."""


class BadPageError(ValueError):
    """A query that `/v1/models` refuses with a 400."""


def model_info(model_id: str) -> dict[str, Any] | None:
    """Return the ModelInfo of one id, or None."""
    for known, name, created_at in _MODELS:
        if known == model_id:
            return {
                "type": "model",
                "id": known,
                "display_name": f"{name} [simulated]",
                "created_at": created_at,
                "max_input_tokens": 200_000,
                "max_tokens": 128_000,
                "capabilities": None,
                "lifecycle": "active",
                "deprecated_at": None,
                "retires_at": None,
                "line": None,
            }
    return None


def is_served(model_id: object) -> bool:
    """Return whether Messages knows an id: a listed one, its alias, or a snapshot of an alias."""
    if not isinstance(model_id, str):
        return False
    ids = {known for known, _, _ in _MODELS}
    aliases = {_DATE.sub("", known) for known in ids}
    return model_id in ids | aliases or _DATE.sub("", model_id) in ids


def models_page(query: bytes) -> dict[str, Any]:
    """Return one page for a raw query string.

    Raises:
        BadPageError: `limit` outside 1 to 1000, both cursors, or an unknown one (400).
    """
    parameters = {name: values[-1] for name, values in parse_qs(query.decode("latin-1")).items()}
    ids = [known for known, _, _ in _MODELS]
    limit = _limit(parameters)
    after, before = parameters.get("after_id"), parameters.get("before_id")
    if after is not None and before is not None:
        msg = "after_id, before_id: only one of them may be given"
        raise BadPageError(msg)
    if after is not None:
        rest = ids[_index(ids, after) + 1 :]
        page, has_more = rest[:limit], len(rest) > limit
    elif before is not None:
        rest = ids[: _index(ids, before)]
        page, has_more = rest[-limit:], len(rest) > limit
    else:
        page, has_more = ids[:limit], len(ids) > limit
    return {
        "data": [model_info(known) for known in page],
        "has_more": has_more,
        "first_id": page[0] if page else None,
        "last_id": page[-1] if page else None,
    }


def _limit(parameters: Mapping[str, str]) -> int:
    text = parameters.get("limit", str(_DEFAULT_LIMIT))
    if not text.isdecimal() or not 1 <= int(text) <= _MAX_LIMIT:
        msg = f"limit: must be an integer from 1 to {_MAX_LIMIT}"
        raise BadPageError(msg)
    return int(text)


def _index(ids: list[str], cursor: str) -> int:
    if cursor not in ids:
        msg = f"cursor {cursor!r} is not a known model id"
        raise BadPageError(msg)
    return ids.index(cursor)
