"""What Go's `json.Unmarshal` makes of a tool's parameters, after Ollama's types.

Source: `ToolFunctionParameters`, `ToolProperty`, `ToolPropertiesMap` and `PropertyType` in ollama's
api/types.go (2026-08). A key of another letter case is taken for a field's by Go; here it vanishes,
which is stricter.
"""

from __future__ import annotations

from typing import Any, Final

JsonValue = Any

_ROOT: Final = {
    "type": "string",
    "$defs": "any",
    "items": "any",
    "required": "[]string",
    "properties": "properties",
}
_PROPERTY: Final = {
    "anyOf": "[]property",
    "type": "types",
    "items": "any",
    "description": "string",
    "enum": "[]any",
    "properties": "properties",
    "required": "[]string",
}


class GoError(Exception):
    """`json: cannot unmarshal …`, which Ollama answers with 400."""


def kept_by_ollama(parameters: JsonValue) -> JsonValue:
    """Return `function.parameters` as Ollama writes it into a prompt.

    Raises:
        GoError: Ollama would refuse the request.
    """
    return _struct(parameters, _ROOT, "parameters")


def _struct(value: JsonValue, fields: dict[str, str], path: str) -> JsonValue:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise GoError(f"json: cannot unmarshal {value!r} into Go struct at {path}")
    # `omitempty` leaves out empty strings and lists; not maps, which are behind a pointer, nor `any`.
    kept = {
        key: _decoded(value[key], go_type, f"{path}.{key}")
        for key, go_type in fields.items()
        if key in value
    }
    return {
        key: one
        for key, one in kept.items()
        if one is not None and (one not in ("", []) or fields[key] == "any")
    }


def _decoded(value: JsonValue, go_type: str, path: str) -> JsonValue:
    if go_type == "types":
        names = value if isinstance(value, list) else [value]
        decoded = _decoded(names, "[]string", path)
        return decoded[0] if len(decoded) == 1 else decoded
    if value is None or go_type == "any":
        return value
    if go_type == "properties":
        if not isinstance(value, dict):
            raise GoError(f"expected JSON object at {path}, got {value!r}")
        return {name: _struct(one, _PROPERTY, f"{path}.{name}") for name, one in value.items()}
    fits = isinstance(value, list) if go_type.startswith("[]") else isinstance(value, str)
    if not fits:
        raise GoError(f"json: cannot unmarshal {value!r} into Go value of type {go_type} at {path}")
    if go_type == "[]string":
        return [_decoded(one, "string", path) or "" for one in value]
    if go_type == "[]property":
        return [_struct(one, _PROPERTY, path) for one in value]
    return value
