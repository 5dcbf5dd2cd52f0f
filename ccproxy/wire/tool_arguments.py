"""Arguments of a model's tool call against the tool's `input_schema`, with types put right.

Rules:
1. Arguments that are valid are returned as they are, the same object.
2. A value that is not is replaced where a rule says what it may mean (`coercion`) and the result
   validates; of several forms (`anyOf`, `oneOf`) the first one that can be reached so is taken.
3. null or an empty string for an optional property that takes neither, or for one that a closed
   schema does not know: the property is left out.
4. A property that the schema does not know is taken for a missing one whose name differs in letter
   case and punctuation only (`filePath` for `file_path`), if there is one. Any other is an error
   where the schema is closed: to drop `dry_run: true` would be another call than was meant.
5. The order of properties is kept. Defaults are not filled in: that is the client's.
6. Where something cannot be put right, the model's arguments are returned with what it should be
   told. So are arguments nested more than `LEVELS_LIMIT` levels deep.
7. Where the schema cannot be applied (`schema_check`), the arguments are returned unchecked. Where
   it could be but for what the model wrote (`check_budget`), its outermost level is still checked.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from ccproxy.wire.argument_errors import told, told_of_outermost
from ccproxy.wire.check_budget import Budget, TooMuch, Unchecked, extent
from ccproxy.wire.coercion import allowed_values, coercions
from ccproxy.wire.schema_check import SchemaCheck

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ccproxy.wire.check_budget import Extent

    JsonValue = Any
    Violation = Any  # jsonschema's ValidationError, whose fields are typed as possibly unset
    Path = tuple[str | int, ...]
    Place = tuple[int, type, JsonValue]

LEVELS_LIMIT: Final = 100
"""Containers inside containers of one call's arguments."""
TOO_DEEP: Final = f"is nested more than {LEVELS_LIMIT} levels deep"
PASSES_LIMIT: Final = 4
"""Rounds of putting right; what one uncovers (text that was an object) the next may put right."""
TRIALS_DEPTH_LIMIT: Final = 6
"""Coercions inside a coerced value; bounds recursion."""
_PUNCTUATION: Final = re.compile(r"[^a-z0-9]")
_GONE: Final = object()


@dataclass(frozen=True, slots=True)
class CheckedArguments:
    """The arguments to use, and what was found."""

    arguments: Mapping[str, Any]
    coerced: tuple[str, ...] = ()
    """Paths that were changed, e.g. `edits/0/count`."""
    errors: tuple[str, ...] = ()
    """For the model to read, e.g. `command: is required`; bounded in number and length."""
    unchecked: str = ""
    """Why the arguments could not be checked; empty where they were. For people."""


def check_arguments(arguments: Mapping[str, Any], schema: Mapping[str, Any]) -> CheckedArguments:
    """Check one call's arguments; never raises. `ArgumentCheck` is for several calls of a tool."""
    return ArgumentCheck(schema).check(arguments)


class ArgumentCheck:
    """The check of one tool's arguments."""

    def __init__(self, schema: Mapping[str, Any], budget: Budget | None = None) -> None:
        """Keep the schema; it is made ready on the first check.

        Args:
            schema: The tool's, as the client sent it.
            budget: Shared with the other tools of the request; None: one of its own.
        """
        self._schema = schema
        self._budget = budget or Budget()
        self._ready: SchemaCheck | None = None
        self._unusable = ""

    def check(self, arguments: Mapping[str, Any]) -> CheckedArguments:
        """Return the arguments to use; see the rules of the module."""
        given = arguments if isinstance(arguments, dict) else dict(arguments)
        size = extent(given)
        if size.levels > LEVELS_LIMIT:
            return CheckedArguments(arguments, errors=(f"input: {TOO_DEEP}",))
        if self._unusable:
            return CheckedArguments(arguments, unchecked=self._unusable)
        try:
            mended = self._mended(given, size)
        except TooMuch as exc:
            if exc.blames_value:
                errors = told_of_outermost(given, self._schema)
                return CheckedArguments(
                    arguments, errors=errors, unchecked="" if errors else str(exc)
                )
            self._unusable = str(exc)
            return CheckedArguments(arguments, unchecked=str(exc))
        except Unchecked as exc:
            return CheckedArguments(arguments, unchecked=str(exc))
        if mended.errors:
            return CheckedArguments(arguments, errors=told(mended.errors))
        if not mended.changed:
            return CheckedArguments(arguments)
        if extent(mended.value).levels > LEVELS_LIMIT:
            return CheckedArguments(arguments, errors=(f"input: {TOO_DEEP}",))
        return CheckedArguments(mended.value, coerced=_pointers(mended.changed))

    def _mended(self, given: JsonValue, size: Extent) -> _Mended:
        if self._ready is None:
            try:
                self._ready = SchemaCheck(self._schema, self._budget)
            except Unchecked as exc:
                self._unusable = str(exc)
                raise
        self._ready.begin(size)
        return _Mender(self._ready).all_mended(given)


@dataclass(slots=True)
class _Mended:
    """A value as far as it could be put right."""

    value: JsonValue
    errors: list[Violation]
    changed: dict[Path, None] = field(default_factory=dict)


class _Mender:
    """Puts values right under one schema."""

    def __init__(self, check: SchemaCheck) -> None:
        self._check = check
        self._tried: dict[Place, _Mended | None] = {}
        self._kept: list[JsonValue] = []

    def all_mended(self, value: JsonValue) -> _Mended:
        """Return `value` put right for the whole schema as far as that goes.

        Raises:
            Unchecked: What is wrong with the value cannot be told. Where that can be, and only
                putting it right takes too much, it is as it was.
        """
        wrong = _Mended(value, self._check.errors(value))
        if not wrong.errors:
            return wrong
        try:
            return self._put_right(replace(wrong), None, 0)
        except Unchecked:
            return wrong

    def _put_right(self, state: _Mended, schema: JsonValue, depth: int) -> _Mended:
        if depth > TRIALS_DEPTH_LIMIT:
            return state
        for _ in range(PASSES_LIMIT):
            before = state.value
            for error in state.errors:
                self._mend(state, error, schema, depth)
            if state.value is before:
                break
            state.errors = self._check.errors(state.value, schema)
        return state

    def _mend(self, state: _Mended, error: Violation, schema: JsonValue, depth: int) -> None:
        path: Path = tuple(error.path)
        found = _at(state.value, path)
        if found is not error.instance:  # put right already, or a property's name
            return
        if error.validator in {"required", "additionalProperties"}:
            self._rename(state, path, found, error)
            return
        for trial in self._trials(found, error, depth):
            if not trial.errors:
                state.value = _with(state.value, path, trial.value)
                inner = trial.changed or {(): None}
                state.changed.update({(*path, *rest): None for rest in inner})
                return
        self._leave_out(state, path, found, schema)

    def _trials(self, found: JsonValue, error: Violation, depth: int) -> Iterator[_Mended]:
        """Yield what a wrong value may mean, each checked against the schema it stands under."""
        if error.validator in {"anyOf", "oneOf"}:
            for form in error.validator_value:
                trial = self._trial(found, form, depth + 1)
                if trial and not trial.errors and trial.changed:
                    yield replace(trial, errors=self._check.errors(trial.value, error.schema))
            return
        for meant in _meanings(found, error):
            trial = self._trial(meant, error.schema, depth + 1)
            if trial:
                yield replace(trial, changed={})

    def _trial(self, value: JsonValue, schema: JsonValue, depth: int) -> _Mended | None:
        """Return `value` put right for `schema`, or None within the attempt to do just that.

        Each is tried once: what contradicts itself (`const: 0` of type string) would otherwise have
        its values turned into each other over and over.
        """
        place = id(schema), type(value), value if _is_scalar(value) else id(value)
        if place not in self._tried:
            self._kept += (value, schema)  # so that their ids stay theirs
            self._tried[place] = None
            begun = _Mended(value, self._check.errors(value, schema))
            self._tried[place] = self._put_right(begun, schema, depth)
        return self._tried[place]

    def _leave_out(self, state: _Mended, path: Path, found: JsonValue, schema: JsonValue) -> None:
        """Rule 3: without the property there must be less to complain of."""
        if found not in (None, "") or not path or not isinstance(path[-1], str):
            return
        without = _with(state.value, path, _GONE)
        if len(self._check.errors(without, schema)) < len(state.errors):
            state.value = without
            state.errors = self._check.errors(without, schema)
            state.changed[path] = None

    def _rename(self, state: _Mended, path: Path, found: JsonValue, error: Violation) -> None:
        """Rule 4."""
        schema = error.schema
        wanted = dict.fromkeys([*(schema.get("properties") or ()), *(schema.get("required") or ())])
        meant = _meant_names(found, list(wanted))
        empty = {
            name
            for name, value in found.items()
            if error.validator_value is False
            and value in (None, "")
            and name not in wanted
            and name not in meant
        }
        if meant or empty:
            kept = {
                meant.get(name, name): value for name, value in found.items() if name not in empty
            }
            state.value = _with(state.value, path, kept)
            changed = (*meant.values(), *(name for name in found if name in empty))
            state.changed.update({(*path, name): None for name in changed})


def _meanings(found: JsonValue, error: Violation) -> Iterator[JsonValue]:
    value = error.validator_value
    match error.validator:
        case "type":
            return coercions(found, [value] if isinstance(value, str) else value)
        case "enum":
            return allowed_values(found, value)
        case "const":
            return allowed_values(found, [value])
    return iter(())


def _meant_names(found: Mapping[str, JsonValue], wanted: Sequence[str]) -> dict[str, str]:
    """Return given name -> missing name it means, where that is plain both ways."""
    missing = Counter(_folded(name) for name in wanted if name not in found)
    unknown = Counter(_folded(name) for name in found if name not in wanted)
    by_fold = {_folded(name): name for name in wanted if name not in found}
    return {
        name: by_fold[fold]
        for name in found
        if name not in wanted
        and (fold := _folded(name))
        and missing[fold] == 1
        and unknown[fold] == 1
    }


def _is_scalar(value: JsonValue) -> bool:
    return not isinstance(value, dict | list)


def _folded(name: str) -> str:
    return _PUNCTUATION.sub("", name.lower())


def _at(value: JsonValue, path: Path) -> JsonValue:
    """Return what is at `path`, or `_GONE`."""
    try:
        for step in path:
            value = value[step]
    except (LookupError, TypeError):
        return _GONE
    return value


def _with(value: JsonValue, path: Path, new: JsonValue) -> JsonValue:
    """Return a copy of `value` with another value at `path`, or without it."""
    if not path:
        return new
    step, rest = path[0], path[1:]
    copied = value.copy()
    inner = _with(value[step], rest, new)
    if inner is _GONE:
        del copied[step]
    else:
        copied[step] = inner
    return copied


def _pointers(paths: Mapping[Path, None]) -> tuple[str, ...]:
    return tuple("/".join(str(step)[:100] for step in path) for path in paths)
