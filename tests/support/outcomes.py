"""What a running proxy has recorded of a request."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.support.waiting import until_found

if TYPE_CHECKING:
    from tests.support.proxy import RunningProxy


async def outcome_of(proxy: RunningProxy, request_id: str | None) -> dict[str, Any]:
    """Return the outcome in the record of decisions, once it is there; there must be only one."""
    file = proxy.tokens_file.parent / "decisions.jsonl"

    async def look() -> dict[str, Any] | None:
        # Of the last line only a part may be there.
        lines = file.read_bytes().rpartition(b"\n")[0].splitlines() if file.exists() else []
        found = [line for line in map(json.loads, lines) if line["request_id"] == request_id]
        assert len(found) < 2
        return found[0]["outcome"] if found else None

    return await until_found(look)
