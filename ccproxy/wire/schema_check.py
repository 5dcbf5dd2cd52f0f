"""A value against a client's JSON Schema, with `jsonschema`, in bounded time and without fetching.

Draft 2020-12, and what older drafts spell otherwise is not held against the value. Not checked:
1. `format`, `unevaluatedProperties`, `unevaluatedItems`, and a `$ref` to another document;
2. a `pattern` that may be slow, or on a long text (`plain_pattern`); with such a pattern among
   `patternProperties`, which properties are allowed;
3. anything at all, where the schema makes the library fail, is too large (`schema_ready`), or takes
   more work than allowed (`check_budget`): `Unchecked` is raised.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from ccproxy.wire.check_budget import Budget, Unchecked
from ccproxy.wire.schema_keywords import Workings, validator_class
from ccproxy.wire.schema_ready import ReadySchema

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jsonschema import ValidationError

    from ccproxy.wire.check_budget import Extent

    JsonValue = Any

ERRORS_LIMIT: Final = 32
"""More are not looked for: a model is told of 8."""


class SchemaCheck:
    """One schema, made ready once and used for any number of values."""

    def __init__(self, schema: Mapping[str, Any], budget: Budget | None = None) -> None:
        """Make ready.

        Args:
            schema: As the client sent it.
            budget: Shared with the other checks of the request; None: one of its own.

        Raises:
            Unchecked: See the rules of the module.
        """
        self._budget = budget or Budget()
        try:
            ready = ReadySchema(schema)
            self._budget.spend_on_schema(ready.size_bytes)
            self._validator = validator_class()(
                ready.root, format_checker=Workings(ready, self._budget)
            )
        except Unchecked:
            raise
        except Exception as exc:
            raise _unusable(exc) from exc

    def begin(self, size: Extent) -> None:
        """Begin with a new value of this size."""
        self._budget.begin(size)

    def errors(self, value: JsonValue, schema: JsonValue = None) -> list[ValidationError]:
        """Return what is wrong with a value, at most `ERRORS_LIMIT`.

        Args:
            value: Parsed JSON.
            schema: A part of the schema, or None for all of it.

        Raises:
            Unchecked: See the rules of the module.
        """
        self._budget.begin_pass()
        try:
            validator = self._validator if schema is None else self._validator.evolve(schema=schema)
            return list(islice(validator.iter_errors(value), ERRORS_LIMIT))
        except Unchecked:
            raise
        except Exception as exc:  # a client's schema can make the library raise anything
            raise _unusable(exc) from exc


def _unusable(exc: Exception) -> Unchecked:
    return Unchecked(f"the tool's schema cannot be applied ({type(exc).__name__})")


def prepare_checks() -> None:
    """Import what a check needs (80 ms), so that the first tool call does not pay for it."""
    validator_class()
