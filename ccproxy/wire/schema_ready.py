"""A client's JSON Schema, made ready so that `jsonschema` applies it with our keywords only.

Rules:
1. `$schema` and `$id` are left out: they would make the library leave our keywords or our document.
2. A property's schema `false` becomes `{"not": {}}`: the library loses the path of the former.
3. References lead to places of the same schema (`#`, `#/$defs/Name`) and to its anchors, all of
   which are found once: the library would walk through all of the schema for each use of one.
4. Examples and allowed values are no schemas and stay as they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from ccproxy.wire.check_budget import Unchecked
from ccproxy.wire.schema_refs import MISSING, LocalRefs

if TYPE_CHECKING:
    from collections.abc import Mapping

    JsonValue = Any

SCHEMA_LIMIT_BYTES: Final = 256 * 1024
"""Larger schemas are not applied; it takes some 20 ms to make one of this size ready."""
KEYWORDS_LIMIT: Final = 256
"""Of one sub-schema. The library looks at each keyword for each value, known or not."""
_DIALECT: Final = frozenset({"$schema", "$id"})
_ANCHORS: Final = ("$anchor", "$dynamicAnchor")
_MAPS: Final = frozenset(
    {"properties", "patternProperties", "dependentSchemas", "$defs", "definitions"}
)
"""Keywords whose value has schemas under names."""
_VALUES: Final = frozenset({"const", "enum", "default", "examples"})


class ReadySchema:
    """One schema as it is applied.

    Attributes:
        root: The schema by the rules of the module.
        size_bytes: As JSON, before.
    """

    def __init__(self, schema: Mapping[str, Any]) -> None:
        """Make ready.

        Raises:
            Unchecked: The schema is too large, or nested too deeply.
        """
        try:
            self.size_bytes = len(orjson.dumps(schema))
        except TypeError as exc:
            raise Unchecked("the tool's schema leads too deep to check") from exc
        if self.size_bytes > SCHEMA_LIMIT_BYTES:
            raise Unchecked(
                f"the tool's schema is too large to check: {self.size_bytes} bytes,"
                f" of {SCHEMA_LIMIT_BYTES} at most"
            )
        self._anchors: dict[str, JsonValue] = {}
        self.root = self._ready(schema)
        self._refs = LocalRefs(self.root)
        self._targets: dict[str, JsonValue] = {}

    def target(self, ref: JsonValue) -> JsonValue:
        """Return the schema that a reference leads to, or `schema_refs.MISSING`."""
        if not isinstance(ref, str):
            return MISSING
        if ref not in self._targets:
            name = ref.removeprefix("#")
            is_anchor = ref.startswith("#") and name in self._anchors
            self._targets[ref] = self._anchors[name] if is_anchor else self._refs.target(ref)
        return self._targets[ref]

    def _ready(self, schema: JsonValue) -> JsonValue:
        if isinstance(schema, list):
            return [self._ready(one) for one in schema]
        if not isinstance(schema, dict):
            return schema
        if len(schema) > KEYWORDS_LIMIT:
            raise Unchecked(
                f"the tool's schema has {len(schema)} keywords in one place,"
                f" of {KEYWORDS_LIMIT} at most"
            )
        ready = {
            key: self._ready_keyword(key, value)
            for key, value in schema.items()
            if key not in _DIALECT or not isinstance(value, str)
        }
        for keyword in _ANCHORS:
            if isinstance(name := ready.get(keyword), str):
                self._anchors.setdefault(name, ready)
        return ready

    def _ready_keyword(self, key: str, value: JsonValue) -> JsonValue:
        if key in _VALUES:
            return value
        if key in _MAPS and isinstance(value, dict):
            named = {name: self._ready(one) for name, one in value.items()}
            if key == "properties":
                named = {name: {"not": {}} if one is False else one for name, one in named.items()}
            return named
        return self._ready(value)
