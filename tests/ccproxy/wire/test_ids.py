"""Minted identifiers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from ccproxy.wire.ids import mint_message_id, mint_request_id, mint_tool_id

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize(
    ("mint", "prefix"),
    [(mint_message_id, "msg_"), (mint_tool_id, "toolu_"), (mint_request_id, "req_")],
)
def test_ids_have_anthropics_shape_and_differ(mint: Callable[[], str], prefix: str) -> None:
    """A prefix and 24 letters or digits, never the same twice (conformance 117, 125)."""
    minted = {mint() for _ in range(1000)}
    assert len(minted) == 1000
    assert all(re.fullmatch(prefix + "[A-Za-z0-9]{24}", one) for one in minted)
