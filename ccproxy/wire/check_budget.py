"""How much work the checks of one request's tool calls may be.

A check runs on the event loop, so that its work is bounded for each value and for all values of a
request together. What is spent is either the schema's fault, which is the client's, or the value's,
which is the model's: a value that is large or deep, or one after many others.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

JsonValue = Any

STEPS_LIMIT: Final = 10_000
"""Keywords and members looked at for one call, repairs included: a quarter of a second at worst. A
to-do list of 50 takes 1700."""
REQUEST_STEPS_LIMIT: Final = 30_000
"""For all calls of a request, repair turns and the making ready of schemas included."""
DEPTH_LIMIT: Final = 100
"""Keywords inside keywords, of five Python frames each. The library must not meet the interpreter's
own limit: its tables (rpds) then end in a Rust panic, which is no `Exception`."""
SCHEMA_BYTES_PER_STEP: Final = 256
"""Of a schema that is made ready: 10 µs, as for any step."""
LARGE_VALUE: Final = 500
"""Members and KiB of text from which on a value is to blame; an ordinary schema takes ten steps for
each, so that there are 20 for a schema that is not ordinary."""
DEEP_VALUE: Final = 20
"""Levels from which on a value is to blame: a schema that refers to itself takes two to four
keywords for each."""


class Unchecked(Exception):
    """The schema could not be applied; the message says why, for people."""


class TooMuch(Unchecked):
    """There was more to do than is allowed.

    Attributes:
        blames_value: It is what the model wrote that was too much, not the client's schema.
    """

    def __init__(self, what: str, *, blames_value: bool) -> None:
        """`what` follows the one to blame: "takes too many steps"."""
        blamed = "what the model wrote" if blames_value else "the tool's schema"
        super().__init__(f"{blamed} {what}")
        self.blames_value = blames_value


class Extent(NamedTuple):
    """How large a JSON value is."""

    members: int
    chars: int
    levels: int
    """Containers inside containers; 0 for a value that is none."""


def extent(value: JsonValue) -> Extent:
    """Measure a value; linear, and safe at any depth."""
    members = chars = levels = 0
    level = [value]
    while level:
        below: list[JsonValue] = []
        members += len(level)
        chars += sum(len(one) for one in level if isinstance(one, str))
        containers = [one for one in level if isinstance(one, dict | list)]
        for one in containers:
            if isinstance(one, dict):
                chars += sum(map(len, one))
                below += one.values()
            else:
                below += one
        levels += bool(containers)
        level = below
    return Extent(members, chars, levels)


class Budget:
    """The steps that are left to the checks of one request."""

    def __init__(self) -> None:
        """Begin with all of `REQUEST_STEPS_LIMIT`."""
        self._left_of_request = REQUEST_STEPS_LIMIT
        self._left = 0
        self._depth = 0
        self._is_large = False
        self._is_deep = False
        self._per_error = 1

    def begin(self, size: Extent) -> None:
        """Begin with a value of this size; the library may write all of it into an error."""
        self._left = min(STEPS_LIMIT, self._left_of_request)
        is_large = size.members + size.chars // 1024 > LARGE_VALUE
        self._is_large = is_large or self._left < STEPS_LIMIT
        self._is_deep = size.levels > DEEP_VALUE
        self._per_error = 1 + size.chars // 1024

    def begin_pass(self) -> None:
        """Begin to look at a value, or a part of it, from its outermost level."""
        self._depth = 0

    def spend(self, steps: int) -> None:
        """Count steps.

        Raises:
            TooMuch: There are none left.
        """
        self._left -= steps
        self._left_of_request -= steps
        if self._left < 0:
            raise TooMuch("takes too many steps to check", blames_value=self._is_large)

    def spend_on_error(self) -> None:
        """Count an error that the library made; raises as `spend`."""
        self.spend(self._per_error)

    def spend_on_schema(self, size_bytes: int) -> None:
        """Count the making ready of a schema; what it takes too much is found with a value."""
        self._left_of_request -= size_bytes // SCHEMA_BYTES_PER_STEP

    def enter(self) -> None:
        """Count a level, until `leave`.

        Raises:
            TooMuch: There are too many.
        """
        self._depth += 1
        if self._depth > DEPTH_LIMIT:
            raise TooMuch("leads too deep to check", blames_value=self._is_deep)

    def leave(self) -> None:
        """Count a level less."""
        self._depth -= 1
