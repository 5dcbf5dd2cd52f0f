"""Local references of a JSON Schema: what `$ref` points to, and how much may be put in its place.

Only pointers into the same document are followed (`#`, `#/$defs/Name`, `#/properties/a/items`);
nothing is fetched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping

EXPANSION_LIMIT_BYTES: Final = 65_536
"""All that references of one tool may add: an eighth of a 128 k context at 4 bytes a token."""
MISSING: Final = object()
"""What a reference leads to that cannot be followed."""


class LocalRefs:
    """The references of one schema; used for one rewriting."""

    def __init__(self, root: Mapping[str, object]) -> None:
        """`root` is the whole schema."""
        self._root = root
        self._left_bytes = EXPANSION_LIMIT_BYTES
        self._sizes_bytes: dict[str, int] = {}

    def target(self, ref: object) -> object:
        """Return the schema a `$ref` points to, or `MISSING`."""
        if not isinstance(ref, str) or not (ref == "#" or ref.startswith("#/")):
            return MISSING
        found: object = self._root
        for raw in ref.split("/")[1:]:
            token = unquote(raw).replace("~1", "/").replace("~0", "~")
            if isinstance(found, dict) and token in found:
                found = found[token]
            elif isinstance(found, list) and token.isdecimal() and int(token[:9]) < len(found):
                found = found[int(token[:9])]
            else:
                return MISSING
        return found if isinstance(found, dict | bool) else MISSING

    def afford(self, ref: str, target: object) -> bool:
        """Return whether `target` may be put in once more, and count it.

        The first one that does not fit ends all expansion, so that measuring is bounded as well.
        """
        if self._left_bytes > 0:
            if ref not in self._sizes_bytes:
                self._sizes_bytes[ref] = len(orjson.dumps(target))
            self._left_bytes -= self._sizes_bytes[ref]
        return self._left_bytes > 0


def ref_name(ref: object) -> str:
    """Return what a reference is called in words: its last part."""
    text = str(ref)
    return unquote(text.rsplit("/", 1)[-1]).lstrip("#") or "the whole input"
