"""JSON Schemas of the files people edit, for their editors.

A schema is a help while typing; what counts is what `load_settings` and `load_routing` say, which
check names against each other. An editor finds it through a first line such as
`# yaml-language-server: $schema=ccproxy.schema.json`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from ccproxy.config.models import ConfigFile
from routing.condition_reader import CLOCK_PATTERN, DAY_PATTERN, TIME_KEYS, WHEN_KEYS
from routing.policies import OnOverflow
from routing.policy_reader import THINKING_KEYS, THINKING_WORDS
from routing.reader import (
    ENTRY_KEYS,
    PROFILE_KEYS,
    REQUIRED_ROOT_KEYS,
    ROOT_KEYS,
    RULE_KEYS,
    TABLE_VERSION,
    TIERS,
)
from routing.types import Privacy, RequestClass

if TYPE_CHECKING:
    from collections.abc import Mapping

JsonSchema: TypeAlias = dict[str, object]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
ENTRY: Final[Mapping[str, str]] = {"$ref": "#/$defs/entry"}
TEXTS: Final[Mapping[str, str]] = {"$ref": "#/$defs/texts"}
POSITIVE: Final[Mapping[str, object]] = {"type": "number", "exclusiveMinimum": 0}


def ccproxy_schema() -> JsonSchema:
    """Return the schema of `ccproxy.yaml`."""
    return {"$schema": DIALECT, **ConfigFile.model_json_schema(), "title": "ccproxy.yaml"}


def routing_schema() -> JsonSchema:
    """Return the schema of `routing.yaml`; its key sets are those the reader checks."""
    profile = _closed(PROFILE_KEYS, {**_profile_keys(), **_entry_keys()})
    rule = _closed(RULE_KEYS, {**_rule_keys(), **_entry_keys()}, required=("name", "when"))
    return {
        "$schema": DIALECT,
        "title": "routing.yaml",
        **_closed(ROOT_KEYS, _root_keys(), required=REQUIRED_ROOT_KEYS),
        "$defs": {
            "profile": {**profile, "type": ["object", "null"]},
            "entry": _closed(ENTRY_KEYS, _entry_keys()),
            "rule": rule,
            "when": {**_closed(WHEN_KEYS, _when_keys()), "type": ["object", "null"]},
            "texts": _one_or_more({"type": "string", "minLength": 1}),
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
        "memory_gib": {
            **POSITIVE,
            "description": "Memory this machine has for models, in GiB; checked, never enforced.",
        },
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
        "rules": {
            "type": ["array", "null"],
            "description": "Tried in order before everything else; the first that applies counts.",
            "items": {"$ref": "#/$defs/rule"},
        },
    }


def _rule_keys() -> JsonSchema:
    """Return the schemas of the keys that only a rule has."""
    return {
        "name": {"type": "string", "minLength": 1, "description": "Shown in decisions."},
        "when": {
            "$ref": "#/$defs/when",
            "description": "All of it must hold; a list means any of its items.",
        },
    }


def _when_keys() -> JsonSchema:
    """Return the schemas of the conditions of a rule."""
    tokens = {"type": "integer", "minimum": 0}
    return {
        "min_input_tokens": {**tokens, "description": "At least so many, as estimated."},
        "max_input_tokens": {**tokens, "description": "At most so many, as estimated."},
        "has_images": _flag("An image anywhere in the request."),
        "has_documents": _flag("A PDF or another document that is not plain text."),
        "has_server_tools": _flag("A tool that Anthropic runs."),
        "tool_names": _globs("A tool with such a name is offered."),
        "thinking": _flag("Thinking is switched on."),
        "requested_model": _globs("The `model` of the request; case does not count."),
        "agent": _globs("Slugs of the roster."),
        "category": _globs("Lists of the roster."),
        "tier": _one_or_more({"enum": list(TIERS)}),
        "principal": _globs("Name of the token."),
        "project": _globs("The project of the token."),
        "header": {
            "type": "object",
            "description": "Header -> what its value must look like; * and ? are wildcards.",
            "additionalProperties": TEXTS,
        },
        "time": _time(),
        "request_class": _one_or_more({"enum": [kind.value for kind in RequestClass]}),
    }


def _time() -> JsonSchema:
    """Return the schema of a time window."""
    schemas: JsonSchema = {
        "days": _one_or_more({"type": "string", "pattern": f"^{DAY_PATTERN}$"}),
        "between": {
            "type": "string",
            "pattern": f"^{CLOCK_PATTERN}$",
            "description": "HH:MM-HH:MM, local time; may cross midnight.",
        },
    }
    return {**_closed(TIME_KEYS, schemas), "minProperties": 1}


def _flag(description: str) -> JsonSchema:
    """Return the schema of true or false."""
    return {"type": "boolean", "description": description}


def _globs(description: str) -> JsonSchema:
    """Return the schema of one text or a list of them."""
    return {**TEXTS, "description": description}


def _one_or_more(item: Mapping[str, object]) -> JsonSchema:
    """Return the schema of one item or a list that is not empty."""
    return {"anyOf": [item, {"type": "array", "minItems": 1, "items": item}]}


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
        "deadline_s": {**POSITIVE, "description": "Seconds until the answer must have ended."},
        "max_cost_usd_per_request": {
            "type": "number",
            "minimum": 0,
            "description": "The most one request may be expected to cost, in dollars.",
        },
        "thinking": _thinking(),
        "on_overflow": {
            "enum": [each.value for each in OnOverflow],
            "description": "Where a prompt is too long: try the next deployment, or say so.",
        },
    }


def _thinking() -> JsonSchema:
    """Return the schema of a thinking policy."""
    cap = _closed(
        THINKING_KEYS,
        {"max_budget_tokens": {"type": "integer", "exclusiveMinimum": 0}},
        required=THINKING_KEYS,
    )
    return {
        "anyOf": [{"enum": list(THINKING_WORDS)}, cap],
        "description": "keep, strip, or the most tokens a request may think.",
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
