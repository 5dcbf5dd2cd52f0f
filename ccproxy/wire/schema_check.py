"""A value against a client's JSON Schema, with `jsonschema`, in bounded time and without fetching.

Draft 2020-12, and what older drafts spell otherwise is not held against the value. Not checked:
1. `format`, `unevaluatedProperties`, `unevaluatedItems`, and a `$ref` to another document;
2. a `pattern` that may be slow, or on a long text (`plain_pattern`); with such a pattern among
   `patternProperties`, which properties are allowed;
3. anything at all, where the schema makes the library fail, takes more than `STEPS_LIMIT` steps or
   leads deeper than `DEPTH_LIMIT`: `Unchecked` is raised.
"""

from __future__ import annotations

from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import orjson

from ccproxy.wire.plain_pattern import TEXT_LIMIT_CHARS, plain_pattern

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from jsonschema import ValidationError

    JsonValue = Any
    Validator = Any  # jsonschema makes its classes at run time
    Keyword = Callable[[Validator, JsonValue, JsonValue, JsonValue], Iterator[ValidationError]]

STEPS_LIMIT: Final = 10_000
"""Keywords and members looked at for one call, repairs included: a quarter of a second at worst. A
to-do list of 50 takes 1700."""
DEPTH_LIMIT: Final = 100
"""Keywords inside keywords, of five Python frames each. The library must not meet the interpreter's
own limit: its tables (rpds) then end in a Rust panic, which is no `Exception`."""
ERRORS_LIMIT: Final = 32
"""More are not looked for: a model is told of 8."""
_IGNORED: Final = ("format", "unevaluatedProperties", "unevaluatedItems")
_DIALECT: Final = frozenset({"$schema", "$id"})


class Unchecked(Exception):
    """The schema could not be applied; the message says why, for people."""


class Budget:
    """The steps that are left of one check.

    Stands where jsonschema expects its format checker: the one object of ours that the library
    hands on from schema to sub-schema.
    """

    def __init__(self) -> None:
        self.left = STEPS_LIMIT
        self.depth = 0
        self.per_error = 1

    def renew(self, value_bytes: int) -> None:
        """Start over for a value of this size; the library may write all of it into an error."""
        self.left = STEPS_LIMIT
        self.per_error = 1 + value_bytes // 1024

    def spend(self, steps: int) -> None:
        """Count steps.

        Raises:
            Unchecked: There are none left.
        """
        self.left -= steps
        if self.left < 0:
            raise Unchecked("the tool's schema takes too many steps to check")

    def enter(self) -> None:
        """Count a level.

        Raises:
            Unchecked: There are too many.
        """
        self.depth += 1
        if self.depth > DEPTH_LIMIT:
            raise Unchecked("the tool's schema leads too deep to check")


class SchemaCheck:
    """One schema, made ready once and used for any number of values."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        """Make ready; jsonschema is imported here, which takes some 80 ms the first time.

        Raises:
            Unchecked: See the rules of the module.
        """
        from referencing import Registry  # noqa: PLC0415 - see the docstring

        self._budget = Budget()
        try:
            self._validator = _validator_class()(
                _prepared(schema), registry=Registry(), format_checker=self._budget
            )
        except Exception as exc:
            raise _unusable(exc) from exc

    def begin(self, value: JsonValue) -> None:
        """Begin with a new value.

        Raises:
            Unchecked: The value is nested deeper than JSON can be written.
        """
        try:
            self._budget.renew(len(orjson.dumps(value)))
        except TypeError as exc:
            raise Unchecked("the arguments are nested too deeply") from exc

    def errors(self, value: JsonValue, schema: JsonValue = None) -> list[ValidationError]:
        """Return what is wrong with a value, at most `ERRORS_LIMIT`.

        Args:
            value: Parsed JSON.
            schema: A part of the schema, or None for all of it.

        Raises:
            Unchecked: See the rules of the module.
        """
        self._budget.depth = 0
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
    _validator_class()


@cache
def _validator_class() -> Validator:
    from jsonschema import Draft202012Validator  # noqa: PLC0415 - 80 ms, only where a call is checked
    from jsonschema.validators import extend  # noqa: PLC0415 - as above

    known: dict[str, Keyword] = dict(Draft202012Validator.VALIDATORS)
    own = {
        "pattern": _pattern,
        "patternProperties": _pattern_properties,
        "additionalProperties": _additional_properties(known["additionalProperties"]),
        "exclusiveMinimum": _unless(bool, known["exclusiveMinimum"]),
        "exclusiveMaximum": _unless(bool, known["exclusiveMaximum"]),
        "required": _unless(bool, known["required"]),
        "items": _items(known["items"]),
        "$ref": _reference(known["$ref"]),
        "$dynamicRef": _reference(known["$dynamicRef"]),
        **dict.fromkeys(_IGNORED, _nothing),
    }
    return extend(  # type: ignore[no-untyped-call]
        Draft202012Validator,
        {name: _counted(keyword) for name, keyword in (known | own).items()},
    )


def _prepared(schema: JsonValue) -> JsonValue:
    """Return a schema without what would make the library leave our keywords or our document.

    A property's schema `false` becomes `{"not": {}}`: the library loses the path of the former.
    """
    if isinstance(schema, list):
        return [_prepared(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    prepared = {
        key: _prepared(value)
        for key, value in schema.items()
        if key not in _DIALECT or not isinstance(value, str)
    }
    if isinstance(properties := prepared.get("properties"), dict):
        prepared["properties"] = {
            name: {"not": {}} if one is False else one for name, one in properties.items()
        }
    return prepared


# --- keywords ----------------------------------------------------------------------------------


def _counted(keyword: Keyword) -> Keyword:
    def check(
        validator: Validator,
        value: JsonValue,
        instance: JsonValue,
        schema: JsonValue,
    ) -> Iterator[ValidationError]:
        budget: Budget = validator.format_checker
        budget.spend(1 + _length(value) + _length(instance))
        budget.enter()
        try:
            for error in keyword(validator, value, instance, schema) or ():
                budget.spend(budget.per_error)
                yield error
        finally:
            budget.depth -= 1

    return check


def _length(value: JsonValue) -> int:
    return len(value) if isinstance(value, list | dict) else 0


def _nothing(*_: object) -> Iterator[ValidationError]:
    return iter(())


def _pattern(
    validator: Validator, pattern: JsonValue, instance: JsonValue, _: JsonValue
) -> Iterator[ValidationError]:
    if isinstance(instance, str) and not _matches(validator, pattern, instance, otherwise=True):
        from jsonschema import ValidationError  # noqa: PLC0415 - imported by now

        yield ValidationError(f"does not match {pattern}")


def _pattern_properties(
    validator: Validator, patterns: JsonValue, instance: JsonValue, _: JsonValue
) -> Iterator[ValidationError]:
    if not isinstance(instance, dict):
        return
    for pattern, schema in patterns.items():
        for name in instance:
            if _matches(validator, pattern, name, otherwise=False):
                yield from validator.descend(instance[name], schema, path=name, schema_path=pattern)


def _matches(validator: Validator, pattern: JsonValue, text: str, *, otherwise: bool) -> bool:
    """Return whether a pattern is found in a text, or `otherwise` where it is not looked for."""
    plain = plain_pattern(pattern) if len(text) <= TEXT_LIMIT_CHARS else None
    if plain is None:
        return otherwise
    validator.format_checker.spend(len(text) ** 2 // 500)
    return plain.search(text) is not None


def _additional_properties(known: Keyword) -> Keyword:
    def check(
        validator: Validator, value: JsonValue, instance: JsonValue, schema: JsonValue
    ) -> Iterator[ValidationError]:
        patterns = schema.get("patternProperties")
        if not patterns or not isinstance(instance, dict):
            yield from known(validator, value, instance, schema)
            return
        rest = {
            name: one
            for name, one in instance.items()
            if not any(_matches(validator, each, name, otherwise=True) for each in patterns)
        }
        plainly = {key: one for key, one in schema.items() if key != "patternProperties"}
        yield from known(validator, value, rest, plainly)

    return check


def _unless(kind: type, known: Keyword) -> Keyword:
    def check(
        validator: Validator, value: JsonValue, instance: JsonValue, schema: JsonValue
    ) -> Iterator[ValidationError]:
        return iter(()) if isinstance(value, kind) else known(validator, value, instance, schema)

    return check


def _items(known: Keyword) -> Keyword:
    def check(
        validator: Validator, items: JsonValue, instance: JsonValue, schema: JsonValue
    ) -> Iterator[ValidationError]:
        if not isinstance(items, list):
            yield from known(validator, items, instance, schema)
        elif isinstance(instance, list):
            for position, (one, each) in enumerate(zip(instance, items, strict=False)):
                yield from validator.descend(one, each, path=position)

    return check


def _reference(known: Keyword) -> Keyword:
    def check(
        validator: Validator, value: JsonValue, instance: JsonValue, schema: JsonValue
    ) -> Iterator[ValidationError]:
        from referencing.exceptions import Unresolvable  # noqa: PLC0415 - imported by now

        try:
            yield from known(validator, value, instance, schema)
        except Unresolvable:
            return

    return check
