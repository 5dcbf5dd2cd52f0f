"""From what pydantic reports about a config file to problems a person can act on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ccproxy.config.alerts_block import AlertsBlock, EmailBlock, WebhookBlock
from ccproxy.config.budgets_block import BudgetBlock
from ccproxy.config.jwt_block import ClaimsBlock, JwtBlock
from ccproxy.config.models import (
    AuthBlock,
    ConfigFile,
    DeploymentBlock,
    LedgerBlock,
    LiteLLMParams,
    LocalBlock,
    LoggingBlock,
    ModelInfo,
    ServerBlock,
)
from routing.nearest import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydantic import BaseModel, ValidationError
    from pydantic_core import ErrorDetails

    from ccproxy.config.problems import ConfigProblem, KeyPath
    from ccproxy.config.yaml_marks import MarkedDocument

BLOCKS: Final[Mapping[tuple[str, ...], type[BaseModel]]] = {
    (): ConfigFile,
    ("server",): ServerBlock,
    ("auth",): AuthBlock,
    ("auth", "jwt"): JwtBlock,
    ("auth", "jwt", "claims"): ClaimsBlock,
    ("local",): LocalBlock,
    ("ledger",): LedgerBlock,
    ("logging",): LoggingBlock,
    ("alerts",): AlertsBlock,
    ("alerts", "webhooks"): WebhookBlock,
    ("alerts", "email"): EmailBlock,
    ("budgets",): BudgetBlock,
    ("model_list",): DeploymentBlock,
    ("model_list", "litellm_params"): LiteLLMParams,
    ("model_list", "model_info"): ModelInfo,
}
"""The model behind each block, by key path without list indexes."""

LITELLM_SETTINGS: Final = ("litellm_settings", "general_settings", "router_settings")

OUR_WORD: Final[Mapping[str, str]] = {"supports_function_calling": "supports_tools"}
"""LiteLLM's keys for which we read another one."""

PLAIN_WORDS: Final[Mapping[str, str]] = {
    "missing": "is required",
    "model_type": "must be a map of `key: value`",
    "dict_type": "must be a map of `key: value`",
    "list_type": "must be a list",
    "string_type": "must be a text; quote it if it looks like a number",
    "string_too_short": "must not be empty",
    "too_short": "must not be empty",
    "bool_type": "must be true or false",
}
"""pydantic's error types in the words of the file."""


def validation_problems(error: ValidationError, document: MarkedDocument) -> list[ConfigProblem]:
    """Return one problem for each error pydantic found."""
    return [document.problem(detail["loc"], _message(detail)) for detail in error.errors()]


def _message(detail: ErrorDetails) -> str:
    """Return what is wrong; the value itself is never in it, since it may be a secret."""
    path = detail["loc"]
    if detail["type"] == "extra_forbidden":
        return _unknown_key(path)
    plain = PLAIN_WORDS.get(detail["type"])
    if plain is not None:
        return plain
    return detail["msg"].removeprefix("Value error, ")


def _unknown_key(path: KeyPath) -> str:
    """Return the message for a key that a block does not have."""
    names = tuple(str(part) for part in path if isinstance(part, str))
    block = BLOCKS.get(names[:-1])
    known = block.model_fields if block is not None else {}
    return f"unknown key.{did_you_mean(names[-1], known)}"


def unused_keys(document: MarkedDocument) -> Iterator[ConfigProblem]:
    """Yield a warning for each key in LiteLLM's own blocks that we don't use."""
    root = document.value if isinstance(document.value, dict) else {}
    for name in LITELLM_SETTINGS:
        block = root.get(name)
        for key in block if isinstance(block, dict) else ():
            yield document.problem(
                (name, str(key)), "a setting of LiteLLM's; it has no effect here"
            )
    items = root.get("model_list")
    for index, item in enumerate(items if isinstance(items, list) else ()):
        for name in ("litellm_params", "model_info"):
            block = item.get(name) if isinstance(item, dict) else None
            known = BLOCKS["model_list", name].model_fields
            for key in block if isinstance(block, dict) else ():
                if key not in known:
                    yield document.problem(
                        ("model_list", index, name, str(key)), _unused(key, known)
                    )


def _unused(key: object, known: Mapping[str, object]) -> str:
    """Return the warning for one key of LiteLLM's."""
    ours = OUR_WORD.get(str(key))
    hint = f" Use {ours!r}." if ours else did_you_mean(str(key), known)
    return f"has no effect here.{hint}"
