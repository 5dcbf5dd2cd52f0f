"""What a tokens file holds: its shape, read without believing anything, and written.

A limit that cannot be read refuses the whole file: left out, a token would be good for more than
was meant.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Final

from routing.types import Privacy

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_SHA256_HEX_CHARS: Final = 64
_ENTRY_KEYS: Final = frozenset(
    {
        "name", "sha256", "scopes", "agents", "privacy", "created_at", "expires_at",
        "requests_per_minute", "retiring",
    }
)  # fmt: skip


class TokenError(Exception):
    """A tokens file or a token request that cannot be accepted; the message says how to fix it."""


@dataclass(frozen=True, slots=True)
class RetiringToken:
    """A token that another one has taken the place of."""

    sha256: str = field(repr=False)
    until: datetime
    """From then on it is refused."""


@dataclass(frozen=True, slots=True)
class StoredToken:
    """One entry of the tokens file. The token itself is not in it."""

    name: str
    sha256: str = field(repr=False)
    """Lower-case hex digest of the token's bytes."""
    scopes: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    created_at: str = ""
    """UTC, ISO 8601."""
    privacy: Privacy = Privacy.ANY
    expires_at: datetime | None = None
    """From then on it is refused; None: never."""
    requests_per_minute: int | None = None
    """How many Messages requests it is good for in a minute; None: any number."""
    retiring: tuple[RetiringToken, ...] = ()
    """What the token was before it was rotated, as long as that is good."""


def parse_document(path: Path, document: object) -> tuple[StoredToken, ...]:
    """Return the entries of a tokens file's JSON.

    Raises:
        TokenError: It is not in its shape; the message names file and key.
    """
    if not isinstance(document, dict) or not isinstance(document.get("tokens"), list):
        message = f'{path}: expected {{"version": 1, "tokens": [...]}}, as ccproxy token writes it.'
        raise TokenError(message)
    if document.get("version") != 1:
        message = f"{path}: key version: {document.get('version')!r} is not known here, only 1 is."
        raise TokenError(message)
    return tuple(
        _parse_entry(f"{path}: key tokens.{index}", entry)
        for index, entry in enumerate(document["tokens"])
    )


def _parse_entry(place: str, entry: object) -> StoredToken:
    if not isinstance(entry, dict):
        message = f"{place}: expected an object with name and sha256."
        raise TokenError(message)
    # An ignored key could be a misspelt limit, and the token would be good for more than meant.
    unknown = sorted(set(entry) - _ENTRY_KEYS)
    if unknown:
        message = (
            f"{place}.{unknown[0]}: unknown key. Known keys: {', '.join(sorted(_ENTRY_KEYS))}."
        )
        raise TokenError(message)
    name = entry.get("name")
    if not isinstance(name, str) or not name:
        message = f"{place}.name: expected a name."
        raise TokenError(message)
    return StoredToken(
        name=name,
        sha256=_digest(f"{place}.sha256", entry.get("sha256")),
        scopes=_strings(f"{place}.scopes", entry.get("scopes", [])),
        agents=_strings(f"{place}.agents", entry.get("agents", [])),
        created_at=str(entry.get("created_at", "")),
        privacy=_privacy(f"{place}.privacy", entry.get("privacy", Privacy.ANY)),
        expires_at=_moment(f"{place}.expires_at", entry.get("expires_at")),
        requests_per_minute=_rate(f"{place}.requests_per_minute", entry.get("requests_per_minute")),
        retiring=_retiring(f"{place}.retiring", entry.get("retiring", [])),
    )


def _is_sha256_hex(text: str) -> bool:
    return len(text) == _SHA256_HEX_CHARS and all(char in "0123456789abcdefABCDEF" for char in text)


def _strings(place: str, value: object) -> tuple[str, ...]:
    # A wrong type here must not widen a token: `agents: null` would mean "any agent".
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        message = f"{place}: expected a list of strings."
        raise TokenError(message)
    return tuple(value)


def _privacy(place: str, value: object) -> Privacy:
    if not isinstance(value, str) or value not in list(Privacy):
        message = f"{place}: expected one of: {', '.join(Privacy)}."
        raise TokenError(message)
    return Privacy(value)


def _digest(place: str, value: object) -> str:
    if not isinstance(value, str) or not _is_sha256_hex(value):
        # The value is not shown: somebody may have pasted a token here.
        message = f"{place}: expected the token's sha256, {_SHA256_HEX_CHARS} hex digits."
        raise TokenError(message)
    return value.lower()


def _moment(place: str, value: object) -> datetime | None:
    """Return a point in time; without a zone, or unreadable, it must not become "never"."""
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        message = f"{place}: expected a time with its zone, such as 2027-01-31T00:00:00+00:00."
        raise TokenError(message)
    return moment


def _rate(place: str, value: object) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise TokenError(f"{place}: expected a whole number above 0.")
    return value


def _retiring(place: str, value: object) -> tuple[RetiringToken, ...]:
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise TokenError(f"{place}: expected a list of objects with sha256 and until.")
    found = []
    for index, item in enumerate(value):
        here = f"{place}.{index}"
        until = _moment(f"{here}.until", item.get("until"))
        if until is None:
            raise TokenError(f"{here}.until: expected a time.")
        found.append(RetiringToken(_digest(f"{here}.sha256", item.get("sha256")), until))
    return tuple(found)


def document_of(tokens: Sequence[StoredToken]) -> dict[str, object]:
    """Return what a tokens file holds; a key that limits nothing is left out."""
    return {"version": 1, "tokens": [_entry(token) for token in tokens]}


def _entry(token: StoredToken) -> dict[str, object]:
    entry: dict[str, object] = {
        "name": token.name,
        "sha256": token.sha256,
        "scopes": list(token.scopes),
        "agents": list(token.agents),
        "created_at": token.created_at,
    }
    if token.privacy is not Privacy.ANY:
        entry["privacy"] = token.privacy.value
    if token.expires_at is not None:
        entry["expires_at"] = token.expires_at.isoformat(timespec="seconds")
    if token.requests_per_minute is not None:
        entry["requests_per_minute"] = token.requests_per_minute
    if token.retiring:
        entry["retiring"] = [
            {"sha256": each.sha256, "until": each.until.isoformat(timespec="seconds")}
            for each in token.retiring
        ]
    return entry
