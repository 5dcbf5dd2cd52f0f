"""`jsonschema`'s keywords, their work counted, with our own for what is slow or unsafe there.

Draft 2020-12, and what older drafts spell otherwise is not held against a value; see
`schema_check` for what is not checked.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from math import isfinite
from typing import TYPE_CHECKING, Any, Final

from ccproxy.wire.plain_pattern import TEXT_LIMIT_CHARS, plain_pattern
from ccproxy.wire.same_call import value_key
from ccproxy.wire.schema_refs import MISSING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jsonschema import ValidationError

    from ccproxy.wire.check_budget import Budget
    from ccproxy.wire.schema_ready import ReadySchema

    JsonValue = Any
    Validator = Any  # jsonschema makes its classes at run time
    Keyword = Callable[[Validator, JsonValue, JsonValue, JsonValue], Iterator[ValidationError]]

_IGNORED: Final = ("format", "unevaluatedProperties", "unevaluatedItems")


class Workings:
    """What the keywords need besides a value and a sub-schema.

    Stands where jsonschema expects its format checker: the one object of ours that the library
    hands on from schema to sub-schema.
    """

    __slots__ = ("budget", "schema")

    def __init__(self, schema: ReadySchema, budget: Budget) -> None:
        """`schema` is the whole one."""
        self.schema = schema
        self.budget = budget


@cache
def validator_class() -> Validator:
    """Return the class of validators; jsonschema is imported here, 80 ms the first time."""
    from jsonschema import Draft202012Validator  # noqa: PLC0415 - only where a call is checked
    from jsonschema.validators import extend  # noqa: PLC0415 - as above

    known: dict[str, Keyword] = dict(Draft202012Validator.VALIDATORS)
    own = {
        "pattern": _pattern,
        "patternProperties": _pattern_properties,
        "additionalProperties": _additional_properties(known["additionalProperties"]),
        "exclusiveMinimum": _unless(bool, known["exclusiveMinimum"]),
        "exclusiveMaximum": _unless(bool, known["exclusiveMaximum"]),
        "multipleOf": _multiple_of(known["multipleOf"]),
        "uniqueItems": _unique_items,
        "required": _unless(bool, known["required"]),
        "items": _items(known["items"]),
        "$ref": _reference,
        "$dynamicRef": _reference,
        **dict.fromkeys(_IGNORED, _nothing),
    }
    return extend(  # type: ignore[no-untyped-call]
        Draft202012Validator,
        {name: _counted(keyword) for name, keyword in (known | own).items()},
    )


def _counted(keyword: Keyword) -> Keyword:
    def check(
        validator: Validator, value: JsonValue, instance: JsonValue, schema: JsonValue
    ) -> Iterator[ValidationError]:
        budget = _budget(validator)
        # The library goes through a schema's keywords before it calls the first of them.
        budget.spend(1 + _length(value) + _length(instance) + len(schema) // 16)
        budget.enter()
        try:
            for error in keyword(validator, value, instance, schema) or ():
                budget.spend_on_error()
                yield error
        finally:
            budget.leave()

    return check


def _budget(validator: Validator) -> Budget:
    workings: Workings = validator.format_checker
    return workings.budget


def _length(value: JsonValue) -> int:
    return len(value) if isinstance(value, list | dict) else 0


def _error(message: str) -> ValidationError:
    from jsonschema import ValidationError  # noqa: PLC0415 - imported by now

    return ValidationError(message)


def _nothing(*_: object) -> Iterator[ValidationError]:
    return iter(())


def _pattern(
    validator: Validator, pattern: JsonValue, instance: JsonValue, _: JsonValue
) -> Iterator[ValidationError]:
    if isinstance(instance, str) and not _matches(validator, pattern, instance, otherwise=True):
        yield _error(f"does not match {pattern}")


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
    _budget(validator).spend(1)
    plain = plain_pattern(pattern) if len(text) <= TEXT_LIMIT_CHARS else None
    if plain is None:
        return otherwise
    _budget(validator).spend(len(text) ** 2 // 500)
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


def _multiple_of(known: Keyword) -> Keyword:
    """Numbers beyond the range of floats are divided as fractions."""

    def check(
        validator: Validator, value: JsonValue, instance: JsonValue, schema: JsonValue
    ) -> Iterator[ValidationError]:
        if isinstance(instance, float) and not isfinite(instance):
            yield _error(f"is no multiple of {value}")
        elif isinstance(instance, int) and isinstance(value, float) and abs(instance) > 2**53:
            if (Fraction(instance) / Fraction(str(value))).denominator != 1:
                yield _error(f"is no multiple of {value}")
        else:
            yield from known(validator, value, instance, schema)

    return check


def _unique_items(
    validator: Validator, wanted: JsonValue, instance: JsonValue, _: JsonValue
) -> Iterator[ValidationError]:
    """Linear in the list's text; the library compares each item with each other one."""
    if not wanted or not isinstance(instance, list):
        return
    seen: set[str] = set()
    for item in instance:
        key = value_key(item)
        _budget(validator).spend(1 + len(key) // 256)
        if key in seen:
            yield _error("has items that are not unique")
            return
        seen.add(key)


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


def _reference(
    validator: Validator, ref: JsonValue, instance: JsonValue, _: JsonValue
) -> Iterator[ValidationError]:
    workings: Workings = validator.format_checker
    target = workings.schema.target(ref)
    if target is not MISSING:
        yield from validator.descend(instance, target)
