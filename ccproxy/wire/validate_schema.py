"""Whether a tool's `input_schema` is a JSON Schema at all (conformance 097).

Only what every reader of a schema trips over is refused; keywords are not interpreted, and the
spellings of older drafts (`required: true` in a property, an array for `items`) pass.
"""

from __future__ import annotations

from typing import Any, Final

from ccproxy.wire.validate_shape import refuse

_TYPES: Final = frozenset({"object", "array", "string", "number", "integer", "boolean", "null"})
_ONE: Final = ("items", "additionalProperties", "not", "if", "then", "else", "contains")
_MANY: Final = ("anyOf", "oneOf", "allOf", "prefixItems")
_NAMED: Final = ("properties", "patternProperties", "$defs", "definitions")


def check_schema(schema: dict[str, Any], path: str) -> None:
    """Raise the 400 for a schema that is not one; linear, and safe at any depth."""
    stack: list[object] = [schema]
    while stack:
        item = stack.pop()
        if isinstance(item, bool):
            continue
        if not isinstance(item, dict) or not _is_well_formed(item):
            refuse(path, "JSON schema is invalid. It must match JSON Schema draft 2020-12")
        stack.extend(item[key] for key in _ONE if isinstance(item.get(key), dict))
        for key in _MANY:
            stack.extend(item.get(key) or ())
        for key in _NAMED:
            stack.extend((item.get(key) or {}).values())


def _is_well_formed(schema: dict[str, Any]) -> bool:
    """Return whether the keywords of one level have the types they must have."""
    kinds = schema.get("type")
    if kinds is not None:
        listed = kinds if isinstance(kinds, list) else [kinds]
        if not all(isinstance(kind, str) and kind in _TYPES for kind in listed):
            return False
    if not all(isinstance(schema.get(key), dict | None) for key in _NAMED):
        return False
    if not all(isinstance(schema.get(key), list | None) for key in (*_MANY, "enum")):
        return False
    required = schema.get("required")
    if isinstance(required, list):
        return all(isinstance(name, str) for name in required)
    return isinstance(required, bool | None)
