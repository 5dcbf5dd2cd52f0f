"""What is wrong with a tool call's arguments, in words that the model can act on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ccproxy.wire.coercion import is_of_type, json_type
from ccproxy.wire.json_text import encodable
from ccproxy.wire.schema_words import in_words, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    JsonValue = Any
    Violation = Any  # jsonschema's ValidationError, whose fields are typed as possibly unset

TOLD_LIMIT: Final = 8
"""Errors a model is told of at once."""
LENGTH_LIMIT_CHARS: Final = 200
"""Of one error."""


def told(errors: Iterable[Violation]) -> tuple[str, ...]:
    """Return the errors as `path: what is wrong`, each once."""
    return _bounded(text for error in errors for text in _said(error))


def told_of_outermost(
    arguments: Mapping[str, JsonValue], schema: Mapping[str, Any]
) -> tuple[str, ...]:
    """Return what is wrong on the outermost level: required properties and bare types; linear.

    It is all that is checked of arguments that are too large for more, in the words of `told`.
    """
    return _bounded(_said_of_outermost(arguments, schema))


def _bounded(texts: Iterable[str]) -> tuple[str, ...]:
    said: dict[str, None] = {}
    for text in texts:
        said[encodable(_cut(text))] = None
        if len(said) == TOLD_LIMIT:
            break
    return tuple(said)


def _said_of_outermost(
    arguments: Mapping[str, JsonValue], schema: Mapping[str, Any]
) -> Iterator[str]:
    required, properties = schema.get("required"), schema.get("properties")
    for name in required if isinstance(required, list) else ():
        if name not in arguments:
            yield f"{name}: is required"
    for name, one in properties.items() if isinstance(properties, dict) else ():
        kinds = one.get("type") if isinstance(one, dict) else None
        if name in arguments and kinds and not is_of_type(arguments[name], kinds):
            yield f"{name}: {_of_type(kinds, arguments[name])}"


def _said(error: Violation) -> Iterator[str]:
    error = _innermost(error)
    path = "/".join(str(step) for step in error.absolute_path)
    match error.validator:
        case "required":
            yield from _missing(error, path)
        case "additionalProperties" if error.validator_value is False:
            yield from _unknown(error, path)
        case _:
            yield f"{path or 'input'}: {_wanted(error, error.validator_value)}"


def _missing(error: Violation, path: str) -> Iterator[str]:
    for name in error.validator_value:
        if name not in error.instance:
            yield f"{path}/{name}: is required".lstrip("/")


def _unknown(error: Violation, path: str) -> Iterator[str]:
    known = error.schema.get("properties") or {}
    names = ", ".join(known)[:LENGTH_LIMIT_CHARS] or "none"
    for name in error.instance:
        if name not in known:
            yield f"{path}/{name}: there is no such property; there are: {names}".lstrip("/")


def _wanted(error: Violation, value: JsonValue) -> str:
    """Return what a value should have been, by the keyword that it fails and that one's value."""
    match error.validator:
        case "type":
            return _of_type(value, error.instance)
        case "enum":
            return f"must be one of {', '.join(shown(one) for one in value[:20])}"
        case "const":
            return f"must be {shown(value)}"
        case "anyOf" | "oneOf":
            return f"must fit one of {shown(value)}"
        case "not" if value == {}:
            return "must be left out"
    return f"does not keep to: {in_words(str(error.validator), value)}"


def _of_type(kinds: str | Sequence[str], value: JsonValue) -> str:
    wanted = " or ".join([kinds] if isinstance(kinds, str) else kinds)
    return f"must be of type {wanted}, not {json_type(value)}"


def _innermost(error: Violation) -> Violation:
    """Return the error of the form that comes nearest, where a value fits none of several."""
    if not error.context:
        return error
    from jsonschema.exceptions import best_match  # noqa: PLC0415 - imported by now

    return best_match([error]) or error


def _cut(text: str) -> str:
    return text if len(text) <= LENGTH_LIMIT_CHARS else text[: LENGTH_LIMIT_CHARS - 1] + "…"
