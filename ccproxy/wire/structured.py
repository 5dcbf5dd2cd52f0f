"""A structured answer: JSON that fits the schema the request asked for (conformance 196)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson

from ccproxy.wire.argument_errors import told
from ccproxy.wire.schema_check import SchemaCheck, Unchecked

if TYPE_CHECKING:
    from collections.abc import Mapping

_FENCE: Final = re.compile(r"\s*```[a-zA-Z]*\n(.*)\n\s*```\s*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class StructuredAnswer:
    """What came of an answer that had to be JSON."""

    text: str
    """The JSON, as the model wrote it; without a code fence around it."""
    error: str = ""
    """What is wrong with it, in a sentence for the model; empty if nothing is."""


def structured_answer(text: str, schema: Mapping[str, Any]) -> StructuredAnswer:
    """Return the JSON of an answer, and whether it fits; one code fence around it is taken off."""
    fenced = _FENCE.fullmatch(text)
    inner = fenced[1] if fenced else text.strip()
    try:
        value = orjson.loads(inner)
    except orjson.JSONDecodeError as exc:
        return StructuredAnswer(text, f"Your answer is not valid JSON: {exc}.")
    errors = _errors(value, schema)
    if errors:
        return StructuredAnswer(text, f"Your answer does not fit the schema: {'; '.join(errors)}.")
    return StructuredAnswer(inner if fenced else text)


def _errors(value: object, schema: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what of the schema a value violates; nothing where the schema cannot be applied."""
    try:
        check = SchemaCheck(schema)
        check.begin(value)
        return told(check.errors(value))
    except Unchecked:
        return ()
