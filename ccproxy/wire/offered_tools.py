"""The tools of one request, as the calls of its answer are checked against them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ccproxy.wire.check_budget import Budget
from ccproxy.wire.tool_arguments import ArgumentCheck, CheckedArguments

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ccproxy.ports import ToolCall


class OfferedTools:
    """The tools that a model may call; made for each request and let go with it.

    A tool's schema is made ready on its first call: most tools of a request are never called.
    """

    def __init__(self, tools: Sequence[Mapping[str, Any]]) -> None:
        """`tools` are those of a validated Messages request that the model is offered."""
        self._schemas = {tool["name"]: tool.get("input_schema") or {} for tool in tools}
        self._names = tuple(self._schemas)
        self._checks: dict[str, ArgumentCheck] = {}
        self._budget = Budget()

    def __contains__(self, name: object) -> bool:
        """Return whether there is a tool of exactly this name."""
        return name in self._schemas

    @property
    def names(self) -> tuple[str, ...]:
        """The tools' names, in the request's order; always the same object."""
        return self._names

    @property
    def schemas(self) -> Mapping[str, Mapping[str, Any]]:
        """The tools' input schemas by name, in the request's order."""
        return self._schemas

    def check(self, call: ToolCall) -> CheckedArguments:
        """Return a call's arguments checked and put right; see `tool_arguments`.

        All calls share the steps that the checks of a request may take (`check_budget`).

        Raises:
            KeyError: The tool is not offered.
        """
        if call.name not in self._checks:
            self._checks[call.name] = ArgumentCheck(self._schemas[call.name], self._budget)
        return self._checks[call.name].check(call.arguments)
