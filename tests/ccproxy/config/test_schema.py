"""The published JSON Schemas."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
import yaml

from ccproxy.config.models import ConfigFile
from ccproxy.config.schema import ccproxy_schema, routing_schema
from routing.condition_reader import WHEN_KEYS
from routing.reader import ENTRY_KEYS, PROFILE_KEYS, ROOT_KEYS, RULE_KEYS

if TYPE_CHECKING:
    from collections.abc import Callable

SHIPPED = Path(__file__).parents[3] / "config"

TABLE: dict[str, Any] = {"version": 1, "active_profile": "a", "profiles": {"a": {}}}
ITEM: dict[str, Any] = {"model_name": "q", "litellm_params": {"model": "ollama_chat/q"}}


@pytest.mark.parametrize(
    ("name", "schema"), [("ccproxy.yaml", ccproxy_schema), ("routing.yaml", routing_schema)]
)
def test_a_shipped_file_is_valid(name: str, schema: Callable[[], dict[str, object]]) -> None:
    """Each schema is a schema, and the file we ship satisfies it."""
    jsonschema.Draft202012Validator.check_schema(schema())
    jsonschema.validate(yaml.safe_load((SHIPPED / name).read_bytes()), schema())


@pytest.mark.parametrize(
    ("name", "schema"), [("ccproxy", ccproxy_schema), ("routing", routing_schema)]
)
def test_an_editor_finds_the_schema(name: str, schema: Callable[[], dict[str, object]]) -> None:
    """The shipped file's first line names a file beside it that holds the schema as exported."""
    first_line = (SHIPPED / f"{name}.yaml").read_text().partition("\n")[0]
    assert first_line == f"# yaml-language-server: $schema={name}.schema.json"
    assert json.loads((SHIPPED / f"{name}.schema.json").read_bytes()) == schema()


def test_the_schemas_have_the_keys_that_are_read() -> None:
    """No key is in a schema and not read, or read and not in the schema."""
    routing: Any = routing_schema()
    assert tuple(routing["properties"]) == ROOT_KEYS
    assert tuple(routing["$defs"]["profile"]["properties"]) == PROFILE_KEYS
    assert tuple(routing["$defs"]["entry"]["properties"]) == ENTRY_KEYS
    assert tuple(routing["$defs"]["rule"]["properties"]) == RULE_KEYS
    assert tuple(routing["$defs"]["when"]["properties"]) == WHEN_KEYS
    settings: Any = ccproxy_schema()
    assert set(settings["properties"]) == set(ConfigFile.model_fields)


@pytest.mark.parametrize(
    "document",
    [
        {**TABLE, "rules": []},
        {**TABLE, "version": 2},
        {**TABLE, "profiles": {}},
        {**TABLE, "memory_gib": 0},
        {**TABLE, "profiles": {"a": {"rules": {}}}},
        {**TABLE, "profiles": {"a": {"rules": [{"name": "r"}]}}},
        {**TABLE, "profiles": {"a": {"rules": [{"name": "r", "when": {"agents": "x"}}]}}},
        {**TABLE, "profiles": {"a": {"rules": [{"name": "r", "when": {"tier": "opsu"}}]}}},
        {**TABLE, "profiles": {"a": {"rules": [{"name": "r", "when": {"time": {}}}]}}},
        {**TABLE, "profiles": {"a": {"default": {"thinking": {}}}}},
        {**TABLE, "profiles": {"a": {"default": {"deadline_s": 0}}}},
        {**TABLE, "profiles": {"a": {"on_overflow": "retry"}}},
        {**TABLE, "profiles": {"a": {"tiers": {"opsu": {}}}}},
        {**TABLE, "profiles": {"a": {"default": {"route": []}}}},
        {**TABLE, "profiles": {"a": {"privacy": "local"}}},
    ],
)
def test_routing_mistakes_show_while_typing(document: dict[str, Any]) -> None:
    """The schema refuses what the reader refuses, as far as names are not concerned."""
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, routing_schema())


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"model_list": []},
        {"model_list": [ITEM], "sever": {}},
        {"model_list": [{**ITEM, "tpm": 1}]},
        {"model_list": [{**ITEM, "litellm_params": {"model": "a/b", "num_ctx": 0}}]},
        {"model_list": [ITEM], "auth": {"mode": "on"}},
    ],
)
def test_settings_mistakes_show_while_typing(document: dict[str, Any]) -> None:
    """The schema refuses unknown keys and wrong shapes."""
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, ccproxy_schema())


@pytest.mark.parametrize(
    "params",
    [
        {"model": "a/b", "num_ctx": "os.environ/N"},
        {"model": "a/b", "keep_alive": -1},
        {"model": "a/b", "rpm": 5},
    ],
)
def test_what_litellm_allows_is_allowed(params: dict[str, Any]) -> None:
    """References to the environment and keys of LiteLLM's own are valid."""
    jsonschema.validate({"model_list": [{**ITEM, "litellm_params": params}]}, ccproxy_schema())
    jsonschema.validate({"model_list": [ITEM], "auth": {"mode": False}}, ccproxy_schema())
