"""The smallest checks of request validation, in Anthropic's wording.

`null` for an optional field counts as absent, as in pydantic's `Optional`. Every function here
either returns or raises a 400 that begins with the path of the field (conformance 072, 084).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NoReturn

import orjson

from ccproxy.wire.errors import UnsupportedLocally, invalid_request

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

ID_PATTERN: Final = re.compile(r"[a-zA-Z0-9_-]+")


@dataclass(slots=True)
class Review:
    """What one validation has learnt so far.

    Attributes:
        newest_version: True under `anthropic-version: 2026-10-21`.
        unsupported: What is valid but beyond a local model; raised only when all else is valid,
            so that an invalid request is never sent elsewhere.
        images: Images seen.
        added_tools: Names of tools defined inside `messages`.
        removed_tools: Names of tools that messages remove and do not add again.
    """

    newest_version: bool
    unsupported: list[str] = field(default_factory=list)
    images: int = 0
    added_tools: set[str] = field(default_factory=set)
    removed_tools: set[str] = field(default_factory=set)

    def raise_unsupported(self) -> None:
        """Raise `UnsupportedLocally` for the first finding, if there is one."""
        if self.unsupported:
            raise UnsupportedLocally(self.unsupported[0])


def refuse(path: str, problem: str) -> NoReturn:
    """Raise the 400 `path: problem`."""
    raise invalid_request(f"{path}: {problem}")


def require(mapping: Mapping[str, Any], key: str, path: str) -> object:
    """Return a member that must be there; its type is the caller's question."""
    if key not in mapping:
        refuse(f"{path}.{key}" if path else key, "Field required")
    return mapping[key]


def as_object(value: object, path: str) -> dict[str, Any]:
    """Return `value` if it is an object."""
    if not isinstance(value, dict):
        refuse(path, "Input should be a valid dictionary")
    return value


def as_list(value: object, path: str) -> list[Any]:
    """Return `value` if it is an array."""
    if not isinstance(value, list):
        refuse(path, "Input should be a valid list")
    return value


def as_string(value: object, path: str) -> str:
    """Return `value` if it is a string."""
    if not isinstance(value, str):
        refuse(path, "Input should be a valid string")
    return value


def as_integer(value: object, path: str, *, at_least: int) -> int:
    """Return `value` if it is an integer (not a bool) of at least `at_least`."""
    if not isinstance(value, int) or isinstance(value, bool):
        refuse(path, "Input should be a valid integer")
    if value < at_least:
        refuse(path, f"Input should be greater than or equal to {at_least}")
    return value


def as_id(value: object, path: str) -> str:
    """Return `value` if it may name a tool call (conformance 085)."""
    text = as_string(value, path)
    if not ID_PATTERN.fullmatch(text):
        refuse(path, "String should match pattern '^[a-zA-Z0-9_-]+$'")
    return text


def one_of(value: object, path: str, allowed: Collection[str]) -> str:
    """Return `value` if it is one of the strings in `allowed`."""
    if not isinstance(value, str) or value not in allowed:
        *first, last = (f"'{name}'" for name in allowed)
        names = f"{', '.join(first)} or {last}" if first else last
        refuse(path, f"Input should be {names}")
    return value


def tag_of(value: Mapping[str, Any], path: str, allowed: Collection[str]) -> str:
    """Return `type` of a tagged object if it is one of `allowed`."""
    tag = require(value, "type", path)
    if not isinstance(tag, str) or tag not in allowed:
        expected = ", ".join(f"'{name}'" for name in sorted(allowed))
        shown = repr(tag[:64]) if isinstance(tag, str) else "of another type"
        refuse(
            path,
            f"Input tag {shown} found using 'type' does not match any of the expected tags:"
            f" {expected}",
        )
    return tag


def optional_bool(mapping: Mapping[str, Any], key: str, path: str) -> None:
    """Check a member that is absent, null or a boolean."""
    if not isinstance(mapping.get(key), bool | None):
        refuse(f"{path}.{key}" if path else key, "Input should be a valid boolean")


def optional_string(mapping: Mapping[str, Any], key: str, path: str) -> None:
    """Check a member that is absent, null or a string."""
    if not isinstance(mapping.get(key), str | None):
        refuse(f"{path}.{key}" if path else key, "Input should be a valid string")


def check_depth(value: object, path: str, review: Review) -> None:
    """Note a value nested deeper than 254 levels: it can be read, but not be written again."""
    try:
        orjson.dumps(value)
    except orjson.JSONEncodeError:
        review.unsupported.append(f"{path}: nested too deeply for the local model")
