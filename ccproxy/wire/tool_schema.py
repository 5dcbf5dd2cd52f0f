"""A tool's `input_schema` as Ollama keeps it: the meaning in keywords that survive, or in words.

Ollama decodes a schema into Go types that keep `type`, `items`, `required` and `properties` at the
root and `anyOf`, `type`, `items`, `description`, `enum`, `properties` and `required` below it;
everything else vanishes, and some spellings are answered with 400 (conformance 183-185).

Rules:
1. `$ref` to a place in the same schema is replaced by what it points to. A reference into itself,
   to another document, or beyond the limits becomes a description of what it is.
2. `allOf` is merged into the schema it stands in. What contradicts (two types, no common value)
   keeps the first and says the other in words.
3. `const` becomes `enum`, `oneOf` becomes `anyOf`; `anyOf` of bare types becomes a list of types,
   and `nullable` adds `null` to it. `type` is inferred where `enum`, `properties`, `items` or
   `anyOf` leave one possibility.
4. At the root, where `anyOf` does not survive, the properties of all forms are offered, required
   where every form requires them, and the forms are told in words.
5. All other keywords are said in the description (`schema_words`). The root has none, so its words
   are returned for the function's.
6. The order of keys is fixed and properties keep theirs: equal tools give equal bytes, on which the
   model's prompt cache depends.

Source: Go types `ToolFunctionParameters` and `ToolProperty` in ollama's api/types.go (2026-08).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson

from ccproxy.wire.schema_node import TAKERS, Node, Part, take_description, take_type
from ccproxy.wire.schema_refs import MISSING, LocalRefs, ref_name
from ccproxy.wire.schema_words import (
    NOT_FOR_MODELS,
    NOTHING_ALLOWED,
    SCHEMA_MAPS,
    SCHEMA_VALUED,
    in_words,
    shown,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    JsonValue = Any
    JsonObject = dict[str, Any]

DEPTH_LIMIT: Final = 32
"""Levels of a schema that are rewritten; what is deeper is said as JSON. Bounds recursion."""
_REFS: Final = ("$ref", "$dynamicRef", "$recursiveRef")
_PARTS: Final = frozenset({*_REFS, "allOf"})
_TYPE_OF: Final = {
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    type(None): "null",
}
"""Of the values of an `enum`; lists and objects are said in words."""


@dataclass(frozen=True, slots=True)
class OfferedSchema:
    """What of a schema goes where."""

    parameters: JsonObject
    """For `function.parameters`: `type`, `properties`, and `required` if there is any."""
    remark: str
    """For `function.description`: what has no place in `parameters`; possibly empty."""


def offered_schema(schema: Mapping[str, Any], name: str = "") -> OfferedSchema:
    """Return a tool's schema as Ollama keeps it; linear in the schema and what its references add.

    Args:
        schema: The tool's validated `input_schema`; not changed, but parts of it are shared.
        name: The tool's name.
    """
    rewriter = _Rewriter(LocalRefs(schema))
    node = rewriter.gathered([Part(schema, 0)], name)
    return rewriter.root(node)


class _Rewriter:
    """Rewrites one schema; holds what its references may still add."""

    def __init__(self, refs: LocalRefs) -> None:
        self._refs = refs

    def root(self, node: Node) -> OfferedSchema:
        forms = [self.gathered([part], "") for part in node.forms]
        shared = _in_all([form.required for form in forms])
        properties = {name: self.rewritten(parts, name) for name, parts in node.properties.items()}
        for name in dict.fromkeys(name for form in forms for name in form.properties):
            if name not in properties:
                found = [form.properties[name] for form in forms if name in form.properties]
                properties[name] = _any_of([self.rewritten(parts, name) for parts in found])
        if forms:
            told = " or ".join(map(self._form, forms, node.forms))
            node.say(f"Takes one of these forms: {told}.")
        if node.enum is not None:
            node.say(in_words("enum", node.enum))
        for part in node.items:
            node.say(in_words("items", self._child(part)))
        parameters: JsonObject = {"type": "object", "properties": properties}
        if required := [*node.required, *(name for name in shared if name not in node.required)]:
            parameters["required"] = required
        return OfferedSchema(parameters, node.text())

    def rewritten(self, parts: Sequence[Part], name: str = "") -> JsonObject:
        """Return the one schema that all `parts` together make, in what survives."""
        node = self.gathered(parts, name)
        result: JsonObject = {}
        any_of = _any_of([self.rewritten([part], name) for part in node.forms])
        if any_of.keys() == {"type"} and take_type(node, any_of["type"], node.forms[0]):
            any_of = {}
        types = node.types or _inferred_types(node) or any_of.pop("type", None)
        if node.nullable and types and "null" not in types:
            types = [*([types] if isinstance(types, str) else types), "null"]
        if types:
            result["type"] = types if isinstance(types, str) or len(types) > 1 else types[0]
        if text := node.text():
            result["description"] = text
        if node.enum:
            result["enum"] = node.enum
        if node.items:
            result["items"] = self.rewritten(node.items)
        if node.properties:
            result["properties"] = {
                key: self.rewritten(parts, key) for key, parts in node.properties.items()
            }
        if node.required:
            result["required"] = list(node.required)
        return _both(result, any_of)

    def gathered(self, parts: Iterable[Part], name: str) -> Node:
        node = Node(name)
        for part in parts:
            self._gather(node, part)
        return node

    # --- one schema into a node ----------------------------------------------------------------

    def _gather(self, node: Node, part: Part) -> None:
        schema = part.schema
        if schema is False:
            node.say(NOTHING_ALLOWED)
        if not isinstance(schema, dict):
            return
        if part.depth > DEPTH_LIMIT:
            node.say(f"Schema: {shown(schema)}.")
            return
        for key, value in schema.items():
            if key in NOT_FOR_MODELS or key in _PARTS:
                continue
            take = TAKERS.get(key)
            if take is None or not take(node, value, part):
                node.say(in_words(key, self._simplified(key, value, part)))
        for key in _REFS:
            if key in schema:
                self._follow(node, schema[key], part)
        every = schema.get("allOf")
        for each in every if isinstance(every, list) else ():
            self._gather(node, part.below(each))

    def _follow(self, node: Node, ref: JsonValue, part: Part) -> None:
        """Put in what a reference points to, or say what it is (rule 1)."""
        name = ref_name(ref)
        target = self._refs.target(ref)
        if target is MISSING:
            node.say(f"Schema: {shown(ref)}, which is not part of this one.")
        elif ref in part.within or ref == "#":
            take_type(node, _declared_type(target), part)
            node.say(f"Recursive: again {name}, in which this stands.")
        elif part.depth >= DEPTH_LIMIT or not self._refs.afford(ref, target):
            take_type(node, _declared_type(target), part)
            node.say(f"Has the form of {name}.")
            if isinstance(target, dict):
                take_description(node, target.get("description"), part)
        else:
            self._gather(node, Part(target, part.depth + 1, (*part.within, ref)))

    def _simplified(self, key: str, value: JsonValue, part: Part) -> JsonValue:
        """Return a keyword's value with the schemas in it rewritten; other values as they are."""
        if key in SCHEMA_MAPS and isinstance(value, dict):
            return {name: self._child(part.below(one)) for name, one in value.items()}
        if key not in SCHEMA_VALUED or isinstance(value, bool):
            return value
        if isinstance(value, list):
            return [self._child(part.below(one)) for one in value]
        return self._child(part.below(value)) if value else value

    def _child(self, part: Part) -> JsonObject:
        return self.rewritten([part])

    def _form(self, form: Node, part: Part) -> str:
        """Return one form of a root in words: `{action: "add", path, mode?}`, or as JSON."""
        if form.forms or form.items or form.enum is not None:
            return shown(self._child(part))
        told = []
        for name in dict.fromkeys([*form.properties, *form.required]):
            only = self.rewritten(form.properties.get(name, ()), name).get("enum", ())
            value = f": {shown(only[0])}" if len(only) == 1 else ""
            told.append(f"{name}{'' if name in form.required else '?'}{value}")
        return f"{{{', '.join(told)}}} {form.text()}".strip()


# --- putting schemas together ------------------------------------------------------------------


def _any_of(alternatives: list[JsonObject]) -> JsonObject:
    """Return rewritten schemas as one that allows any of them; alike ones are one."""
    if not alternatives:
        return {}
    distinct = list({orjson.dumps(one): one for one in alternatives}.values())
    if len(distinct) == 1:
        return dict(distinct[0])
    types = list(dict.fromkeys(kind for one in distinct for kind in _types(one)))
    typed = all("type" in one for one in distinct)
    if typed and all(len(one) == 1 for one in distinct):
        return {"type": types}
    if len(types) == 1 and all(one.keys() == {"type", "enum"} for one in distinct):
        values = {orjson.dumps(value): value for one in distinct for value in one["enum"]}
        return {"type": types[0], "enum": list(values.values())}
    return {"type": types, "anyOf": distinct} if typed else {"anyOf": distinct}


def _both(schema: JsonObject, any_of: JsonObject) -> JsonObject:
    """Return a rewritten schema with its alternatives, which stay alternatives on a clash."""
    rest = {key: value for key, value in any_of.items() if key != "type"}
    if "anyOf" in any_of or schema.keys().isdisjoint(rest):
        return schema | rest
    return schema | {"anyOf": [any_of]}


def _types(schema: JsonObject) -> list[str]:
    kinds = schema.get("type", [])
    return [kinds] if isinstance(kinds, str) else kinds


def _inferred_types(node: Node) -> list[str]:
    if node.enum:
        return list(dict.fromkeys(_TYPE_OF[type(value)] for value in node.enum))
    if node.properties:
        return ["object"]
    return ["array"] if node.items else []


def _declared_type(target: JsonValue) -> JsonValue:
    return target.get("type", "object") if isinstance(target, dict) else "object"


def _in_all(listed: list[dict[str, None]]) -> list[str]:
    if not listed:
        return []
    return [name for name in listed[0] if all(name in one for one in listed[1:])]
