"""A structured answer: JSON that fits the schema the request asked for (conformance 196)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ccproxy.wire.argument_errors import told
from ccproxy.wire.check_budget import Unchecked, extent
from ccproxy.wire.json_text import encodable, read_json
from ccproxy.wire.schema_check import SchemaCheck
from ccproxy.wire.tool_arguments import LEVELS_LIMIT, TOO_DEEP

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FENCE: Final = "```"
JSON_BLANKS: Final = " \t\r\n"
"""What may stand around a JSON text (RFC 8259, 2); Python takes other characters for blank too."""


@dataclass(frozen=True, slots=True)
class StructuredAnswer:
    """What came of an answer that had to be JSON."""

    text: str
    """The JSON, as the model wrote it; without a code fence around it."""
    error: str = ""
    """What is wrong with it, in a sentence for the model; empty if nothing is."""
    unchecked: str = ""
    """Why it could not be held against the schema; empty where it was. For people."""


def structured_answer(text: str, schema: Mapping[str, Any]) -> StructuredAnswer:
    """Return the JSON of an answer, and whether it fits; one code fence around it is taken off."""
    refused = ""
    for inner in _contents(text):
        try:
            value = read_json(inner)
        except ValueError as exc:
            refused = str(exc)
        else:
            return _checked(text, inner, value, schema)
    return StructuredAnswer(text, encodable(f"Your answer is not valid JSON: {refused}."))


def _contents(text: str) -> Iterator[str]:
    """Yield what may be the JSON of an answer; last, what to complain of if none of it is.

    Behind the opening fence may stand a language, in whatever spelling, or the JSON itself.
    """
    bare = text.strip()
    if not (bare.startswith(FENCE) and bare.endswith(FENCE)):
        yield bare
        return
    inner = bare.strip("`").strip()  # JSON neither begins nor ends with such a sign
    first, _, rest = inner.partition("\n")
    if first.startswith(("{", "[")):
        yield rest
        yield inner
        return
    yield inner
    start = min((at for at in map(first.find, "{[") if at >= 0), default=-1)
    if start >= 0:
        yield inner[start:]
    if rest:
        yield rest.strip()


def _checked(text: str, inner: str, value: object, schema: Mapping[str, Any]) -> StructuredAnswer:
    errors: tuple[str, ...] = ()
    unchecked = ""
    size = extent(value)
    if size.levels > LEVELS_LIMIT:
        errors = (f"it {TOO_DEEP}",)
    else:
        try:
            check = SchemaCheck(schema)
            check.begin(size)
            errors = told(check.errors(value))
        except Unchecked as exc:
            unchecked = str(exc)
    if errors:
        return StructuredAnswer(text, f"Your answer does not fit the schema: {'; '.join(errors)}.")
    is_bare = text.strip(JSON_BLANKS) == inner
    return StructuredAnswer(text if is_bare else inner, unchecked=unchecked)
