"""Keywords of JSON Schema in words, for a model that is not shown the keyword itself.

Rules:
1. A keyword without a label here is said under its own name, so nothing vanishes.
2. What says nothing is left out: `uniqueItems: false`, `additionalProperties: true`, the bounds of
   JavaScript's safe integers that every zod `int()` brings, a title that is an identifier.
3. A value longer than `VALUE_LIMIT_CHARS` is cut and ends in `…`. (Descriptions are never cut.)
"""

from __future__ import annotations

import re
from typing import Any, Final

import orjson

JsonValue = Any

VALUE_LIMIT_CHARS: Final = 1000
"""Of one keyword's value. Bounds what quoting JSON inside JSON can grow to, level by level."""
NOTHING_ALLOWED: Final = "No value is allowed here."

NOT_FOR_MODELS: Final = frozenset(
    {
        "$schema",
        "$id",
        "id",
        "$anchor",
        "$dynamicAnchor",
        "$recursiveAnchor",
        "$vocabulary",
        "$comment",
        "$defs",
        "definitions",
    }
)
"""Keywords that say nothing about the value; definitions are put where they are referred to."""

SCHEMA_VALUED: Final = frozenset(
    {
        "not",
        "if",
        "then",
        "else",
        "anyOf",
        "oneOf",
        "items",
        "prefixItems",
        "additionalItems",
        "unevaluatedItems",
        "contains",
        "additionalProperties",
        "unevaluatedProperties",
        "propertyNames",
        "contentSchema",
    }
)
"""Keywords whose value is a schema or a list of schemas."""
SCHEMA_MAPS: Final = frozenset({"patternProperties", "dependentSchemas", "dependencies"})
"""Keywords whose value holds schemas under names."""

_LABELS: Final = {
    "minLength": "Minimum length",
    "maxLength": "Maximum length",
    "exclusiveMinimum": "Greater than",
    "exclusiveMaximum": "Less than",
    "multipleOf": "Multiple of",
    "minItems": "Minimum number of items",
    "maxItems": "Maximum number of items",
    "minContains": "Minimum number of such items",
    "maxContains": "Maximum number of such items",
    "contains": "Contains an item like",
    "prefixItems": "Items in this order",
    "items": "Further items",
    "additionalItems": "Further items",
    "minProperties": "Minimum number of properties",
    "maxProperties": "Maximum number of properties",
    "patternProperties": "Properties by pattern of their name",
    "propertyNames": "Names of properties",
    "additionalProperties": "Other properties",
    "dependentRequired": "Properties that require others",
    "enum": "Allowed values",
    "anyOf": "Also any of",
    "oneOf": "Also one of",
    "not": "Must not be",
    "contentEncoding": "Encoding",
    "contentMediaType": "Media type",
}
_FIXED: Final = {
    ("uniqueItems", True): "Items are unique.",
    ("additionalProperties", False): "No other properties.",
    ("unevaluatedProperties", False): "No other properties.",
    ("items", False): "No further items.",
    ("additionalItems", False): "No further items.",
    ("unevaluatedItems", False): "No further items.",
    ("deprecated", True): "Deprecated.",
    ("readOnly", True): "Read-only.",
    ("writeOnly", True): "Write-only.",
    ("nullable", True): "May be null.",
}
_EMPTY_WHEN_FALSE: Final = frozenset(
    {
        "uniqueItems",
        "deprecated",
        "readOnly",
        "writeOnly",
        "nullable",
        "exclusiveMinimum",
        "exclusiveMaximum",
    }
)
_EMPTY_WHEN_OPEN: Final = frozenset(
    {
        "additionalProperties",
        "unevaluatedProperties",
        "additionalItems",
        "unevaluatedItems",
    }
)
_BOUNDS: Final = frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"})
_SAFE_INTEGER: Final = 2**53 - 1
"""JavaScript's `Number.MAX_SAFE_INTEGER`."""
_NAME_PARTS: Final = re.compile(r"[^a-z0-9]")
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def in_words(key: str, value: JsonValue) -> str:
    """Return one keyword as a sentence, or an empty string where there is nothing to say."""
    if value is None and key != "default":
        return ""
    if isinstance(value, bool):
        if (key, value) in _FIXED:
            return _FIXED[key, value]
        if not value and key in _EMPTY_WHEN_FALSE:
            return ""
    if key in _EMPTY_WHEN_OPEN and (value is True or value == {}):
        return ""
    if key in _BOUNDS and isinstance(value, int | float) and abs(value) == _SAFE_INTEGER:
        return ""
    return f"{_LABELS.get(key) or _spoken(key)}: {_value(key, value)}."


def shown(value: JsonValue) -> str:
    """Return a value as JSON, cut to `VALUE_LIMIT_CHARS`."""
    text = orjson.dumps(value).decode()
    return text if len(text) <= VALUE_LIMIT_CHARS else text[:VALUE_LIMIT_CHARS] + "…"


def is_prose(title: JsonValue, name: str) -> bool:
    """Return whether a title says more than the name of what it stands on (rule 2)."""
    if not isinstance(title, str) or " " not in title.strip():
        return False
    return _NAME_PARTS.sub("", title.lower()) != _NAME_PARTS.sub("", name.lower())


def joined(descriptions: list[str], sentences: list[str]) -> str:
    """Return descriptions and sentences as one text; a description ends as a sentence does."""
    parts = [*descriptions, *sentences]
    closed = [_closed(part) for part in parts[:-1]]
    return " ".join([*closed, *parts[-1:]])


def _closed(text: str) -> str:
    return text + "." if text[-1].isalnum() else text


def _value(key: str, value: JsonValue) -> str:
    if not isinstance(value, str) or key in {"default", "const"}:
        return shown(value)
    text = value if len(value) <= VALUE_LIMIT_CHARS else value[:VALUE_LIMIT_CHARS] + "…"
    return f"`{text}`" if key == "pattern" else text


def _spoken(key: str) -> str:
    """Return `contentEncoding` as `Content encoding`, and a name that is no word as it is."""
    if not key.isalpha() or not key.isascii():
        return key
    words = _CAMEL.sub(" ", key).lower()
    return words[:1].upper() + words[1:]
