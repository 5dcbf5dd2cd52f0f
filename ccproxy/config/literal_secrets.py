"""Secrets that stand in a config file themselves, where a reference would do.

Warnings, not errors: a LiteLLM config file can be brought along as it is. A key for an Ollama is
none, since Ollama asks for no key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from ccproxy.config.hosts import is_loopback
from ccproxy.config.references import is_reference
from ccproxy.config.secrets import EXAMPLES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ccproxy.config.problems import ConfigProblem, KeyPath
    from ccproxy.config.yaml_marks import MarkedDocument

_KEYLESS: Final = ("ollama/", "ollama_chat/")


def literal_secrets(document: MarkedDocument) -> Iterator[ConfigProblem]:
    """Yield a warning for each secret of a config file that is no reference; no value is in it."""
    for key in _places(document.value):
        message = f"a secret stands in this file; better name where it is: {EXAMPLES}"
        yield document.problem(key, message)


def _places(root: object) -> Iterator[KeyPath]:
    for index, item in enumerate(_list(root, "model_list")):
        params = _child(item, "litellm_params")
        model = _child(params, "model")
        if isinstance(model, str) and model.startswith(_KEYLESS):
            continue
        if _is_literal(_child(params, "api_key")):
            yield ("model_list", index, "litellm_params", "api_key")
    for index, item in enumerate(_list(_child(root, "alerts"), "webhooks")):
        url = _child(item, "url")
        if _is_literal(url) and not is_loopback(_host(url)):
            yield ("alerts", "webhooks", index, "url")
    ledger = _child(_child(root, "ledger"), "url")
    if _is_literal(ledger) and _has_password(ledger):
        yield ("ledger", "url")
    if _is_literal(_child(_child(_child(root, "auth"), "jwt"), "hs256_secret")):
        yield ("auth", "jwt", "hs256_secret")


def _child(value: object, name: str) -> object:
    return value.get(name) if isinstance(value, dict) else None


def _list(value: object, name: str) -> list[object]:
    found = _child(value, name)
    return found if isinstance(found, list) else []


def _is_literal(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip()) and not is_reference(value)


def _host(url: object) -> str:
    try:
        return urlsplit(str(url)).hostname or ""
    except ValueError:
        return ""


def _has_password(url: object) -> bool:
    try:
        return urlsplit(str(url)).password is not None
    except ValueError:
        return False
