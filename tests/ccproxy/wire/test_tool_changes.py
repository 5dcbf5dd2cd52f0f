"""Tools that messages add and remove: what a local model is offered at the end."""

from __future__ import annotations

from typing import Any

import pytest

from ccproxy.ports import ModelFacts
from ccproxy.wire.normalise import normalise
from ccproxy.wire.tool_changes import with_tool_changes

SCHEMA = {"type": "object", "properties": {}}
LOOK = {"name": "look", "input_schema": SCHEMA}
DEFERRED = {"name": "mail", "input_schema": SCHEMA, "defer_loading": True}
DRAW = {"name": "draw", "input_schema": SCHEMA}
NEW_LOOK = {"name": "look", "description": "Looks better.", "input_schema": SCHEMA}


def reference(name: str) -> dict[str, Any]:
    """Return a reference to a declared tool."""
    return {"type": "tool_reference", "name": name}


def definition(tool: dict[str, Any]) -> dict[str, Any]:
    """Return a definition inside a message."""
    return {"type": "tool_definition", "definition": tool}


def add(tool: dict[str, Any]) -> dict[str, Any]:
    """Return the system message that adds a tool."""
    return {"role": "system", "content": [{"type": "tool_addition", "tool": tool}]}


def remove(name: str) -> dict[str, Any]:
    """Return the system message that removes a tool."""
    return {"role": "system", "content": [{"type": "tool_removal", "tool": reference(name)}]}


def asking(*changes: dict[str, Any]) -> dict[str, Any]:
    """Return a body with these changes behind the first turn."""
    return {
        "max_tokens": 5,
        "tools": [LOOK, DEFERRED],
        "messages": [{"role": "user", "content": "Hi"}, *changes],
    }


@pytest.mark.parametrize(
    ("changes", "offered"),
    [
        ([], ["look", "mail"]),
        ([add(reference("mail"))], ["look", "mail"]),
        ([remove("look")], ["mail"]),
        ([remove("look"), add(reference("look"))], ["look", "mail"]),
        ([remove("look"), remove("mail")], []),
        ([remove("nobody"), add(reference("nobody"))], ["look", "mail"]),
        ([add(definition(DRAW))], ["draw", "look", "mail"]),
        ([add(definition(DRAW)), remove("draw")], ["look", "mail"]),
        ([remove("look"), add(definition(NEW_LOOK))], ["look", "mail"]),
    ],
)
def test_what_is_offered(changes: list[dict[str, Any]], offered: list[str]) -> None:
    """Declared tools from the start, defined ones added, removed ones gone (conformance 080, 098)."""
    call = normalise(asking(*changes), ModelFacts(), max_output_tokens_cap=None)

    assert offered == [tool["function"]["name"] for tool in call.tools]


def test_the_later_definition_counts() -> None:
    """A tool that is defined again has its new description."""
    call = normalise(asking(add(definition(NEW_LOOK))), ModelFacts(), max_output_tokens_cap=None)

    described = {tool["function"]["name"]: tool["function"] for tool in call.tools}
    assert "Looks better." == described["look"]["description"]


def test_a_body_without_changes_is_not_copied() -> None:
    """Where no message changes the tools, the body is the same object."""
    body = asking(
        {"role": "system", "content": [{"type": "text", "text": "x"}]}, add(reference("look"))
    )

    assert with_tool_changes(body) is body
