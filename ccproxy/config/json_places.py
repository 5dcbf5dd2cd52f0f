"""Where each value of a JSON text stands, so that a complaint can name line and column.

Most JSON is YAML, but not all of it: PyYAML refuses the surrogate pairs in which `json.dumps`
writes an emoji. So files that other programs write are read by `json`, and their places are found
here.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ccproxy.config.problems import KeyPath

_PIECE: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]:,]|[^\s{}\[\]:,"]+')


@dataclass(frozen=True, slots=True)
class JsonPlaces:
    """The places of one text's keys and list items."""

    text: str
    offsets: Mapping[KeyPath, int]
    """Where each key, each list item and the root begin; of a repeated key the last."""
    repeated: tuple[KeyPath, ...] = ()
    """Paths of keys that occur more than once in their object, at each repetition."""

    def line_and_column(self, path: KeyPath) -> tuple[int, int]:
        """Return the place, from 1, of a path or of the nearest enclosing one that exists."""
        while path and path not in self.offsets:
            path = path[:-1]
        offset = self.offsets.get(path, 0)
        return self.text.count("\n", 0, offset) + 1, offset - self.text.rfind("\n", 0, offset)


def find_places(text: str) -> JsonPlaces:
    """Return the places in a text that `json.loads` accepts."""
    offsets: dict[KeyPath, int] = {}
    repeated: list[KeyPath] = []
    # One element per open container: the key or position of what comes next in it.
    path: list[str | int] = []
    wants_key = False
    for match in _PIECE.finditer(text):
        piece = match.group()
        if piece == ":":
            continue
        if piece == ",":
            wants_key = _advance(path)
        elif piece in "}]":
            path.pop()
            wants_key = False
        elif wants_key:
            wants_key = False
            path[-1] = json.loads(piece)
            here = tuple(path)
            if here in offsets:
                repeated.append(here)
                _forget_below(offsets, here)
            offsets[here] = match.start()
        else:
            offsets.setdefault(tuple(path), match.start())
            if piece in "{[":
                path.append("" if piece == "{" else 0)
                wants_key = piece == "{"
    return JsonPlaces(text, offsets, tuple(repeated))


def _forget_below(offsets: dict[KeyPath, int], path: KeyPath) -> None:
    """Remove the places of a value that `json` drops, as its key comes again."""
    below = [known for known in offsets if len(known) > len(path) and known[: len(path)] == path]
    for known in below:
        del offsets[known]


def _advance(path: list[str | int]) -> bool:
    """Step past a comma; return whether a key comes next, that is, whether this is an object."""
    last = path[-1]
    if isinstance(last, int):
        path[-1] = last + 1
        return False
    return True
