"""What a value of the wrong JSON type may have been meant as.

The rules, by what was given and what is wanted; a result is only ever used where it validates:

| given | wanted | becomes |
|---|---|---|
| `"5"`, `"5.0"` | integer | `5` |
| `"1.5"` | number | `1.5` |
| `"true"`, `"False"` | boolean | `true`, `false` |
| `"null"`, `"None"`, `""` | null | `null` |
| `5`, `1.5`, `true` | string | `"5"`, `"1.5"`, `"true"` |
| text that is a JSON object or array | object, array | that |
| anything but null, or text that begins like a list | array | a list of it |
| text that is one of the allowed values but for letter case | enum, const | that value |
"""

from __future__ import annotations

import re
from math import isfinite
from typing import TYPE_CHECKING, Any, Final

from ccproxy.wire.json_text import json_bytes, read_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    JsonValue = Any

_NUMBER: Final = re.compile(r"(-?(?:0|[1-9]\d{0,17}))(?:\.(\d{1,17}))?")
"""JSON's numbers without exponent; up to 18 digits are exact integers everywhere."""
_WORDS: Final[Mapping[str, Mapping[str, JsonValue]]] = {
    "boolean": {"true": True, "false": False},
    "null": {"null": None, "none": None, "": None},
}
_CONTAINERS: Final[Mapping[str, type]] = {"object": dict, "array": list}
_NAMES: Final = (
    (bool, "boolean"),
    (str, "string"),
    (int, "integer"),
    (float, "number"),
    (list, "array"),
    (dict, "object"),
)


def json_type(value: JsonValue) -> str:
    """Return the name JSON Schema has for a value's type."""
    return next((name for kind, name in _NAMES if isinstance(value, kind)), "null")


def is_of_type(value: JsonValue, kinds: str | Sequence[str]) -> bool:
    """Return whether a value is of one of JSON Schema's types."""
    kind = json_type(value)
    wanted = (kinds,) if isinstance(kinds, str) else kinds
    if kind in wanted:
        return True
    if "number" in wanted and kind == "integer":
        return True
    return "integer" in wanted and kind == "number" and value.is_integer()


def coercions(value: JsonValue, types: Sequence[str]) -> Iterator[JsonValue]:
    """Yield what `value` may mean as one of `types`, in their order."""
    for kind in types:
        if isinstance(value, str):
            yield from _from_text(value.strip(), kind)
        elif kind == "string" and _is_number(value):
            yield json_bytes(value).decode()
        if kind == "array" and not (value is None or isinstance(value, list) or _is_listed(value)):
            yield [value]


def allowed_values(value: JsonValue, allowed: Iterable[JsonValue]) -> Iterator[JsonValue]:
    """Yield the one allowed text that differs in case only, then what a coercion may yield."""
    members = list(allowed)
    if isinstance(value, str):
        folded = value.strip().casefold()
        alike = [one for one in members if isinstance(one, str) and one.casefold() == folded]
        if len(alike) == 1:
            yield alike[0]
    yield from coercions(value, list(dict.fromkeys(json_type(one) for one in members)))


def _is_number(value: JsonValue) -> bool:
    """Return whether JSON can write a value as a number or boolean; it cannot write infinity."""
    return isinstance(value, int) or (isinstance(value, float) and isfinite(value))


def _is_listed(value: JsonValue) -> bool:
    """Return whether text was meant as a list already, in whatever spelling."""
    return isinstance(value, str) and value.lstrip().startswith("[")


def _from_text(text: str, kind: str) -> Iterator[JsonValue]:
    if kind in _CONTAINERS:
        yield from _parsed(text, _CONTAINERS[kind])
    elif kind in _WORDS:
        if text.lower() in _WORDS[kind]:
            yield _WORDS[kind][text.lower()]
    elif kind in {"integer", "number"} and (found := _NUMBER.fullmatch(text)):
        whole, fraction = found.groups()
        if not (fraction or "").strip("0"):
            yield int(whole)
        elif kind == "number":
            yield float(text)


def _parsed(text: str, kind: type) -> Iterator[JsonValue]:
    if text[:1] not in {"{", "["}:
        return
    try:
        value = read_json(text)
    except ValueError:
        return
    if isinstance(value, kind):
        yield value
