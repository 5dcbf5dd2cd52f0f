"""The models list: entries, their JSON, pages and lookup (conformance 249-256).

Pure: who the local deployments are and what Claude answered is passed in.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, unquote

from ccproxy.wire.errors import ApiError, invalid_request

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

DEFAULT_LIMIT: Final = 20
MAX_LIMIT: Final = 1000
"""Source: `limit` of Anthropic's "List Models" page (2026-08)."""

LIFECYCLES: Final = ("active", "deprecated", "retired")
UNKNOWN_CREATED_AT: Final = "1970-01-01T00:00:00Z"
"""The epoch stands for "unknown", as in Anthropic's own list."""


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """One model a client may ask for; `as_info` is its JSON, a ModelInfo of anthropic 2.11."""

    id: str
    display_name: str
    created_at: str = UNKNOWN_CREATED_AT
    """RFC 3339."""
    max_input_tokens: int | None = None
    max_tokens: int | None = None
    """Most output tokens."""
    capabilities: Mapping[str, Any] | None = None
    """Anthropic's `ModelCapabilities`, or None where we do not know all of it."""
    lifecycle: str = "active"
    upstream_info: Mapping[str, Any] | None = None
    """Claude's own ModelInfo; given back unchanged, unknown keys included."""

    def as_info(self) -> dict[str, Any]:
        """Return `{"type": "model", "id": ..., "display_name": ..., "created_at": ..., ...}`."""
        if self.upstream_info is not None:
            return dict(self.upstream_info)
        return {
            "type": "model",
            "id": self.id,
            "display_name": self.display_name,
            "created_at": self.created_at,
            "max_input_tokens": self.max_input_tokens,
            "max_tokens": self.max_tokens,
            "capabilities": None if self.capabilities is None else dict(self.capabilities),
            "lifecycle": self.lifecycle,
            "deprecated_at": None,
            "retires_at": None,
            "line": None,
        }


@dataclass(frozen=True, slots=True)
class PageQuery:
    """What a client asked of the list."""

    limit: int = DEFAULT_LIMIT
    after_id: str | None = None
    before_id: str | None = None
    lifecycle: tuple[str, ...] = ()
    """Only these; empty means all."""


def claude_entries(data: object) -> list[ModelEntry]:
    """Return the entries of Claude's `data` array, in order; what has no id is left out."""
    infos = data if isinstance(data, list) else []
    entries = []
    for info in infos:
        match info:
            case {"id": str(model_id)} if model_id:
                entries.append(
                    ModelEntry(
                        id=model_id,
                        display_name=str(info.get("display_name") or model_id),
                        lifecycle=str(info.get("lifecycle") or "active"),
                        upstream_info=info,
                    )
                )
            case _:
                continue
    return entries


def merge(local: Iterable[ModelEntry], claude: Iterable[ModelEntry]) -> list[ModelEntry]:
    """Return local deployments in file order, then Claude's own in theirs; the first id wins."""
    by_id: dict[str, ModelEntry] = {}
    for entry in (*local, *claude):
        by_id.setdefault(entry.id, entry)
    return list(by_id.values())


def find(entries: Iterable[ModelEntry], model_id: str) -> ModelEntry:
    """Return the entry with this id, as given or percent-encoded (`a%2Fb`, `q%3A30b`).

    Raises:
        ApiError: 404 `not_found_error` that names the id.
    """
    by_id = {entry.id: entry for entry in entries}
    entry = by_id.get(model_id) or by_id.get(unquote(model_id))
    if entry is None:
        raise ApiError(404, f"model: {model_id}", should_retry=False)
    return entry


def parse_page_query(query: bytes) -> PageQuery:
    """Read `limit`, `after_id`, `before_id` and `lifecycle[]`; other parameters are ignored.

    Of a repeated parameter the last one counts.

    Raises:
        ApiError: 400 that names the parameter.
    """
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    values = dict(pairs)
    lifecycle = tuple(value for key, value in pairs if key in {"lifecycle[]", "lifecycle"})
    for value in lifecycle:
        if value not in LIFECYCLES:
            raise invalid_request("lifecycle: Input should be 'active', 'deprecated' or 'retired'")
    after_id, before_id = values.get("after_id"), values.get("before_id")
    if after_id is not None and before_id is not None:
        raise invalid_request("before_id: Only one of after_id and before_id may be given")
    limit = _parse_limit(values.get("limit", str(DEFAULT_LIMIT)))
    return PageQuery(limit=limit, after_id=after_id, before_id=before_id, lifecycle=lifecycle)


def _parse_limit(text: str) -> int:
    """Return `limit` as a number from 1 to `MAX_LIMIT`, or raise a 400."""
    # The length bound keeps int() away from its own limit on digits.
    if not re.fullmatch(r"[+-]?[0-9]{1,20}", text):
        raise invalid_request("limit: Input should be a valid integer")
    limit = int(text)
    if limit < 1:
        raise invalid_request("limit: Input should be greater than or equal to 1")
    if limit > MAX_LIMIT:
        raise invalid_request(f"limit: Input should be less than or equal to {MAX_LIMIT}")
    return limit


def page(
    entries: Sequence[ModelEntry],
    limit: int = DEFAULT_LIMIT,
    after_id: str | None = None,
    before_id: str | None = None,
    *,
    lifecycle: Sequence[str] = (),
) -> dict[str, Any]:
    """Return `{"data": [...], "has_more": bool, "first_id": str | None, "last_id": str | None}`.

    `after_id` gives the entries right after it, `before_id` those right before it, both in list
    order; `has_more` says whether more follow in that direction.

    Raises:
        ApiError: 400 for a cursor that is not in the list, or for both.
    """
    if after_id is not None and before_id is not None:
        raise invalid_request("before_id: Only one of after_id and before_id may be given")
    shown = [entry for entry in entries if not lifecycle or entry.lifecycle in lifecycle]
    if before_id is not None:
        end = _position(shown, "before_id", before_id)
        start = max(0, end - limit)
        has_more = start > 0
    else:
        start = 0 if after_id is None else _position(shown, "after_id", after_id) + 1
        end = start + limit
        has_more = end < len(shown)
    chosen = shown[start:end]
    return {
        "data": [entry.as_info() for entry in chosen],
        "has_more": has_more,
        "first_id": chosen[0].id if chosen else None,
        "last_id": chosen[-1].id if chosen else None,
    }


def _position(entries: Sequence[ModelEntry], name: str, cursor: str) -> int:
    """Return the index of the entry a cursor names, or raise a 400."""
    for index, entry in enumerate(entries):
        if entry.id == cursor:
            return index
    raise invalid_request(f"{name}: no model with the id {cursor!r} is in this list")
