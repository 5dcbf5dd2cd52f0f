"""The tools that a request offers, as far as a call written as text has to match them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from ccproxy.wire.leak_cursor import NotACall
from ccproxy.wire.tool_names import folded, offered_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from ccproxy.wire.leak_cursor import Cursor, Scan

UNREADABLE: Final = "unreadable"
"""The argument that holds the text of a call whose arguments cannot be read."""
_PYTHON_WORDS: Final = {"True": True, "False": False, "None": None}
_IS_OF_TYPE: Final[Mapping[str, Callable[[Any], bool]]] = {
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "boolean": lambda value: isinstance(value, bool),
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "null": lambda value: value is None,
}


class KnownTools:
    """Names and input schemas; a schema that is no JSON Schema says nothing."""

    def __init__(self, offered: Mapping[str, Mapping[str, Any]]) -> None:
        """`offered` maps each tool's name to its `input_schema`."""
        self.names = tuple(offered)
        self._folded = tuple(map(folded, offered))
        self._properties = {name: _mapping(one.get("properties")) for name, one in offered.items()}
        self._required = {name: _strings(one.get("required")) for name, one in offered.items()}

    def take_name(self, cursor: Cursor, end: str, *, in_tags: bool) -> Scan[str]:
        """Take a tool's name and the character that ends it; return it as it was written.

        Args:
            cursor: Where the name begins.
            end: The character.
            in_tags: The name may mean a tool (`tool_names`), else it is one exactly.

        Raises:
            NotACall: It means no tool, or several.
        """
        if not in_tags:
            return (yield from cursor.take_word(self.names, end))
        name = yield from cursor.take_name(self._folded, end)
        if offered_name(name, self.names) is None:
            raise NotACall
        return name

    def meant(self, name: str) -> str:
        """Return the offered tool that a name means which `take_name` has returned."""
        return offered_name(name, self.names) or name

    def refuses_unreadable(self, name: str) -> bool:
        """Return True if a call with nothing but `UNREADABLE` lacks a required argument.

        An argument of nearly that name would be taken for it (`tool_arguments`, rule 4).
        """
        return any(folded(required) != UNREADABLE for required in self._required[name])

    def fits(self, name: str, arguments: Mapping[str, Any]) -> bool:
        """Return True if this can be meant as a call of that tool.

        Every required argument is there, and, where the schema names any, at least one of those
        given has a name of the schema's. Types are not looked at: the client checks them, and its
        error tells the model more than a call that stays text.
        """
        if not all(required in arguments for required in self._required[name]):
            return False
        if not arguments:
            return True
        known = self._properties[name]
        if known:
            return any(key in known for key in arguments)
        return not is_definition(arguments)

    def parameters(self, name: str) -> Mapping[str, Any]:
        """Return the schemas of a tool's arguments by name."""
        return self._properties[name]

    def converted(self, name: str, key: str, text: str) -> Any:  # noqa: ANN401 - any JSON value
        """Return an argument that was written as plain text, in the type that its schema names.

        A text that is not of that type, and one whose schema allows strings or names no type,
        is returned as it is.
        """
        types = _types(_mapping(self._properties[name].get(key)))
        if not types or "string" in types:
            return text
        word = text.strip()
        try:
            value = _PYTHON_WORDS[word] if word in _PYTHON_WORDS else json.loads(word)
        except (ValueError, RecursionError):
            return text
        if "integer" in types and isinstance(value, float) and value.is_integer():
            value = int(value)
        return (
            value if any(_IS_OF_TYPE[one](value) for one in types if one in _IS_OF_TYPE) else text
        )


def is_definition(arguments: Mapping[str, Any]) -> bool:
    """Return True for what is a tool's own definition, repeated by the model, and no call."""
    return "properties" in arguments and arguments.get("type") == "object"


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _strings(value: object) -> tuple[str, ...]:
    return tuple(one for one in value if isinstance(one, str)) if isinstance(value, list) else ()


def _types(schema: Mapping[str, Any]) -> frozenset[str]:
    """Return the types that a schema names, itself or in its alternatives."""
    named = schema.get("type")
    found = {named} if isinstance(named, str) else set(_strings(named))
    for word in ("anyOf", "oneOf"):
        alternatives = schema.get(word)
        if isinstance(alternatives, list):
            for one in alternatives:
                found |= _types(_mapping(one))
    return frozenset(found)
