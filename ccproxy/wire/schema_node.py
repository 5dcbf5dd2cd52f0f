"""What holds for one value of a JSON Schema, gathered from all the parts that say something of it.

Each taker of `TAKERS` puts one keyword's value into a node and returns whether it did; what is not
taken is said in words.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import orjson

from ccproxy.wire.schema_words import NOTHING_ALLOWED, is_prose, joined, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    JsonValue = Any


@dataclass(frozen=True, slots=True)
class Part:
    """One of the schemas that hold for the same value."""

    schema: JsonValue
    depth: int
    """Levels above it."""
    within: tuple[str, ...] = ()
    """References that are being replaced around it."""

    def below(self, schema: JsonValue) -> Part:
        """Return a schema that stands in this one."""
        return Part(schema, self.depth + 1, self.within)


@dataclass(slots=True)
class Node:
    """All that holds for one value, of whatever parts it came."""

    name: str
    types: list[str] | None = None
    descriptions: dict[str, None] = field(default_factory=dict)
    sentences: dict[str, None] = field(default_factory=dict)
    enum: list[JsonValue] | None = None
    items: list[Part] = field(default_factory=list)
    properties: dict[str, list[Part]] = field(default_factory=dict)
    required: dict[str, None] = field(default_factory=dict)
    forms: list[Part] = field(default_factory=list)
    nullable: bool = False

    def say(self, sentence: str) -> None:
        """Add a sentence to the description; an empty one adds nothing."""
        if sentence:
            self.sentences[sentence] = None

    def text(self) -> str:
        """Return the whole description."""
        return joined(list(self.descriptions), list(self.sentences))


def take_type(node: Node, value: JsonValue, _part: Part) -> bool:
    """Narrow the types to those of `value`, a name or a list; False if none would be left."""
    listed = value if isinstance(value, list) else [value]
    types = [kind for kind in listed if isinstance(kind, str)]
    if not types:
        return False
    if node.types is None:
        node.types = list(dict.fromkeys(types))
        return True
    common = [kind for kind in node.types if kind in types]
    if "number" in types:
        common += [kind for kind in node.types if kind == "integer" and kind not in common]
    elif "integer" in types and "number" in node.types:
        common.append("integer")
    node.types = common or node.types
    return bool(common)


def take_description(node: Node, value: JsonValue, _part: Part) -> bool:
    """Add a description; one that is no text is written as JSON."""
    if isinstance(value, str):
        if value.strip():
            node.descriptions[value.strip()] = None
    elif value is not None:
        node.descriptions[shown(value)] = None
    return True


def _take_title(node: Node, value: JsonValue, _part: Part) -> bool:
    return not is_prose(value, node.name)


def _take_enum(node: Node, value: JsonValue, _part: Part) -> bool:
    if not isinstance(value, list) or any(isinstance(one, list | dict) for one in value):
        return False
    if not value:
        node.say(NOTHING_ALLOWED)
        return True
    if node.enum is None:
        node.enum = value
        return True
    allowed = {orjson.dumps(one) for one in value}
    common = [one for one in node.enum if orjson.dumps(one) in allowed]
    node.enum = common or node.enum
    return bool(common)


def _take_const(node: Node, value: JsonValue, part: Part) -> bool:
    return _take_enum(node, [value], part)


def _take_items(node: Node, value: JsonValue, part: Part) -> bool:
    if not isinstance(value, dict) and value is not True:
        return False
    if isinstance(part.schema.get("prefixItems"), list):
        return False
    node.items.append(part.below(value))
    return True


def _take_properties(node: Node, value: JsonValue, part: Part) -> bool:
    if not isinstance(value, dict):
        return False
    for name, schema in value.items():
        node.properties.setdefault(name, []).append(part.below(schema))
    return True


def _take_required(node: Node, value: JsonValue, _part: Part) -> bool:
    if not isinstance(value, list):
        return False
    node.required.update(dict.fromkeys(name for name in value if isinstance(name, str)))
    return True


def _take_forms(node: Node, value: JsonValue, part: Part) -> bool:
    if not isinstance(value, list) or (value and node.forms):
        return False
    node.forms = node.forms or [part.below(one) for one in value]
    return True


def _take_nullable(node: Node, value: JsonValue, part: Part) -> bool:
    node.nullable = node.nullable or value is True
    return value is not True or "type" in part.schema


TAKERS: Final[Mapping[str, Callable[[Node, JsonValue, Part], bool]]] = {
    "type": take_type,
    "title": _take_title,
    "description": take_description,
    "enum": _take_enum,
    "const": _take_const,
    "items": _take_items,
    "properties": _take_properties,
    "required": _take_required,
    "anyOf": _take_forms,
    "oneOf": _take_forms,
    "nullable": _take_nullable,
}
