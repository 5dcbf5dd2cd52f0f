"""JSON Schemas of the files people edit, for their editors.

A schema is a help while typing; what counts is what `load_settings` and `load_routing` say, which
check names against each other. An editor finds it through a first line such as
`# yaml-language-server: $schema=ccproxy.schema.json`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from ccproxy.config.models import ConfigFile
from routing.reader import ENTRY_KEYS, PROFILE_KEYS, ROOT_KEYS, TABLE_VERSION, TIERS
from routing.types import Privacy

if TYPE_CHECKING:
    from collections.abc import Mapping

JsonSchema: TypeAlias = dict[str, object]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
ENTRY: Final[Mapping[str, str]] = {"$ref": "#/$defs/entry"}


def ccproxy_schema() -> JsonSchema:
    """Return the schema of `ccproxy.yaml`."""
    return {"$schema": DIALECT, **ConfigFile.model_json_schema(), "title": "ccproxy.yaml"}


def routing_schema() -> JsonSchema:
    """Return the schema of `routing.yaml`; its key sets are those the reader checks."""
    return {
        "$schema": DIALECT,
        "title": "routing.yaml",
        **_closed(ROOT_KEYS, _root_keys(), required=ROOT_KEYS),
        "$defs": {
            "profile": {**_closed(PROFILE_KEYS, _profile_keys()), "type": ["object", "null"]},
            "entry": _closed(ENTRY_KEYS, _entry_keys()),
        },
    }


def _closed(
    keys: tuple[str, ...], schemas: Mapping[str, object], required: tuple[str, ...] = ()
) -> JsonSchema:
    """Return the schema of a map with exactly these keys; a key without a schema is a bug here."""
    return {
        "type": "object",
        "properties": {key: schemas[key] for key in keys},
        "required": list(required),
        "additionalProperties": False,
    }


def _root_keys() -> JsonSchema:
    """Return the schemas of the keys of the root."""
    return {
        "version": {"const": TABLE_VERSION},
        "active_profile": {"type": "string", "description": "The profile that serves."},
        "profiles": {
            "type": "object",
            "minProperties": 1,
            "additionalProperties": {"$ref": "#/$defs/profile"},
        },
    }


def _profile_keys() -> JsonSchema:
    """Return the schemas of the keys of a profile."""
    return {
        "extends": {
            "type": "string",
            "description": "The profile this one is built on; maps merge, routes are replaced.",
        },
        "tiers": {
            "type": ["object", "null"],
            "description": "By the agent's tier, or that of the requested Claude model.",
            "properties": dict.fromkeys(TIERS, ENTRY),
            "additionalProperties": False,
        },
        "categories": _entries("By the roster's list name; wins over tiers."),
        "agents": _entries("By slug; wins over categories."),
        "default": {**ENTRY, "description": "Where nothing above names a route."},
        "unknown": {**ENTRY, "description": "For callers that are not recognised."},
        "privacy": _privacy(),
    }


def _entry_keys() -> JsonSchema:
    """Return the schemas of the keys of an entry."""
    return {
        "route": {
            "type": "array",
            "minItems": 1,
            "items": {"type": "string"},
            "description": "Deployments in the order in which they are tried.",
        },
        "privacy": _privacy(),
    }


def _entries(description: str) -> JsonSchema:
    """Return the schema of a map from any name to an entry."""
    return {
        "type": ["object", "null"],
        "description": description,
        "additionalProperties": ENTRY,
    }


def _privacy() -> JsonSchema:
    """Return the schema of `privacy`."""
    return {
        "enum": [privacy.value for privacy in Privacy],
        "description": "local_only anywhere wins: the request never leaves the host.",
    }
