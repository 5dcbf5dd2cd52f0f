"""The OpenAPI schema: what FastAPI knows of its routes, and what it cannot know.

Bodies and queries are read by hand here, and Messages requests never reach FastAPI, so both are
described in this file. The description of Messages is the frame (Anthropic's reference, "Create a
Message", 2026-08); what is inside of blocks is checked by `wire/validate` and at Claude.
"""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any, Final

from ccproxy.api.figures import GROUPINGS, MOST_HOURS
from ccproxy.wire.models_page import LIFECYCLES, MAX_LIMIT

if TYPE_CHECKING:
    from collections.abc import Mapping

_OPEN: Final = ("/", "/api/hello", "/health/live", "/health/ready", "/dashboard")
"""Paths that need no token."""
_JSON: Final = "application/json"


def _one(name: str, kind: str = "string", **more: object) -> dict[str, object]:
    """Return one parameter of the query that may be left out."""
    return {"name": name, "in": "query", "required": False, "schema": {"type": kind, **more}}


_SLUG: Final[dict[str, object]] = {
    "name": "slug",
    "in": "path",
    "required": True,
    "description": "An agent of the roster, which a base URL may name.",
    "schema": {"type": "string", "minLength": 1},
}
_VERSION: Final[dict[str, object]] = {
    "name": "anthropic-version",
    "in": "header",
    "required": True,
    "schema": {"type": "string", "enum": ["2023-06-01"]},
}
_HOURS: Final = _one("hours", "integer", minimum=1, maximum=MOST_HOURS)
_PAGE: Final = (
    _one("limit", "integer", minimum=1, maximum=MAX_LIMIT),
    _one("after_id"),
    _one("before_id"),
    _one("lifecycle", enum=list(LIFECYCLES)),
)
_PARAMETERS: Final[Mapping[str, tuple[dict[str, object], ...]]] = {
    "/v1/models": _PAGE,
    "/agents/{slug}/v1/models": _PAGE,
    "/admin/usage": (_HOURS, _one("by", enum=list(GROUPINGS))),
    "/admin/latency": (_HOURS,),
    "/admin/failures": (_HOURS,),
}
_TEXT: Final = {"type": "string"}
_BLOCKS: Final = {
    "type": "array",
    "items": {"type": "object", "properties": {"type": _TEXT}, "required": ["type"]},
}
_TEXT_OR_BLOCKS: Final = {"anyOf": [_TEXT, _BLOCKS]}
_COUNTED: Final[dict[str, object]] = {
    "model": {"type": "string", "minLength": 1},
    "messages": {
        "type": "array",
        "minItems": 1,
        "items": {
            "type": "object",
            "properties": {
                "role": {"type": "string", "enum": ["user", "assistant"]},
                "content": _TEXT_OR_BLOCKS,
            },
            "required": ["role", "content"],
        },
    },
    "system": _TEXT_OR_BLOCKS,
    "tools": {
        "type": "array",
        "items": {
            "type": "object",
            "properties": {
                "name": _TEXT,
                "description": _TEXT,
                "input_schema": {"type": "object"},
            },
            "required": ["name"],
        },
    },
    "tool_choice": {"type": "object", "properties": {"type": _TEXT}, "required": ["type"]},
    "thinking": {"type": "object", "properties": {"type": _TEXT}, "required": ["type"]},
}
_SCHEMAS: Final[dict[str, object]] = {
    "CountTokensRequest": {
        "type": "object",
        "properties": _COUNTED,
        "required": ["model", "messages"],
    },
    "MessagesRequest": {
        "type": "object",
        "properties": {
            **_COUNTED,
            "max_tokens": {"type": "integer", "minimum": 1},
            "stream": {"type": "boolean"},
            "temperature": {"type": "number", "minimum": 0, "maximum": 1},
            "top_p": {"type": "number", "minimum": 0, "maximum": 1},
            "top_k": {"type": "integer", "minimum": 0},
            "stop_sequences": {"type": "array", "items": _TEXT},
            "metadata": {"type": "object", "properties": {"user_id": _TEXT}},
        },
        "required": ["model", "messages", "max_tokens"],
    },
    "Question": {
        "type": "object",
        "description": "A Messages request, and under which circumstances it would be sent.",
        "properties": {
            **_COUNTED,
            "agent": _TEXT,
            "path_agent": _TEXT,
            "headers": {"type": "object", "additionalProperties": _TEXT},
            "principal": _TEXT,
            "token_agents": {"type": "array", "items": _TEXT},
            "token_privacy": {"type": "string", "enum": ["any", "local_only"]},
            "bound_agent": _TEXT,
            "health": {"type": "object", "additionalProperties": _TEXT},
        },
    },
    "Error": {
        "type": "object",
        "properties": {
            "type": {"const": "error"},
            "error": {
                "type": "object",
                "properties": {"type": _TEXT, "message": _TEXT},
                "required": ["type", "message"],
            },
            "request_id": _TEXT,
        },
        "required": ["type", "error", "request_id"],
    },
}
_ERROR: Final = {
    "description": "An error in Anthropic's shape.",
    "content": {_JSON: {"schema": {"$ref": "#/components/schemas/Error"}}},
}


def _body(name: str) -> dict[str, object]:
    schema = {"$ref": f"#/components/schemas/{name}"}
    return {"required": True, "content": {_JSON: {"schema": schema}}}


_BODIES: Final = {"/admin/explain": _body("Question"), "/admin/estimate": _body("Question")}


def _messages_paths() -> dict[str, Any]:
    paths: dict[str, Any] = {}
    for prefix, name in (("", ""), ("/agents/{slug}", "_of_agent")):
        for path, what, schema in (
            ("/v1/messages", "create_message", "MessagesRequest"),
            ("/v1/messages/count_tokens", "count_tokens", "CountTokensRequest"),
        ):
            operation = {
                "operationId": what + name,
                "summary": what.replace("_", " ").capitalize(),
                "parameters": [_VERSION],
                "requestBody": _body(schema),
                "responses": {"200": {"description": "As the Claude Messages API answers."}},
            }
            paths[prefix + path] = {"post": operation}
    return paths


def whole_schema(of_framework: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of everything but the pass-through, from FastAPI's own."""
    schema = deepcopy(dict(of_framework))
    schema["paths"] |= deepcopy(_messages_paths())
    schema["components"] = {
        "schemas": _SCHEMAS,
        "securitySchemes": {
            "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
            "bearer": {"type": "http", "scheme": "bearer"},
        },
    }
    for path, operations in schema["paths"].items():
        for operation in operations.values():
            _complete(path, operation)
    return schema


def _complete(path: str, operation: dict[str, Any]) -> None:
    """Add to an operation what FastAPI does not know, and take away what it makes up."""
    known = [*operation.get("parameters", ()), *_PARAMETERS.get(path, ())]
    if "{slug}" in path:
        known.append(_SLUG)
    operation["parameters"] = known
    if path in _BODIES:
        operation["requestBody"] = _BODIES[path]
    operation["responses"].pop("422", None)  # a wrong request is a 400 here
    operation["responses"]["200"].pop("content", None)  # not always JSON
    operation["responses"]["default"] = _ERROR
    if path not in _OPEN:
        operation["security"] = [{"key": []}, {"bearer": []}]
