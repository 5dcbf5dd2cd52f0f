"""Facts about a body that somebody states, where there is no body to look at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from routing.types import Side


@dataclass(frozen=True, slots=True)
class StatedContent:
    """`ContentFacts` as given: for explain without a request, for replays and for tests."""

    input_tokens: int = 0
    has_images: bool = False
    has_documents: bool = False
    has_server_tools: bool = False
    tool_names: frozenset[str] = frozenset()
    wants_thinking: bool = False
    wants_structured_output: bool = False
    max_output_tokens: int = 0
    tool_loop_side: Side | None = None

    @property
    def input_tokens_at_most(self) -> None:
        """None: what is stated needs no bound."""
        return
