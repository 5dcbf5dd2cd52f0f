"""Whether an answer of `ccproxy init` can be used: of an option as of a question.

Each check returns what the answer means, or raises ValueError with what is wrong with it.
"""

# ruff: noqa: PLC0415 -- a command imports what it needs when it runs

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Given = TypeVar("Given")
Meant = TypeVar("Meant")

NO_KEY: Final = "none"
SHIPPED_ROSTER: Final = "-"
LEAST_RAM_GIB: Final = 1
LEAST_MEMORY_GIB: Final = 0.1
_MOST_GIB: Final = 64 * 1024
"""Far above any machine that models run on."""


def of_option(name: str, check: Callable[[Given], Meant], value: Given) -> Meant:
    """Return what an option means.

    Raises:
        BadParameter: It cannot be used; exit code 2.
    """
    try:
        return check(value)
    except ValueError as error:
        raise typer.BadParameter(f"{name}: {error}") from None


def folder_of(given: str | Path) -> Path:
    """Return the folder of an installation, absolute; it may be missing."""
    folder = Path(given).expanduser().absolute()
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is there and is no folder")
    return folder


def gib_of(given: str | float, least_gib: float) -> float:
    """Return an amount of memory in GiB, at least `least_gib`."""
    try:
        amount = float(given)
    except ValueError:
        raise ValueError("must be a number of GiB, such as 32") from None
    if not least_gib <= amount <= _MOST_GIB:  # not a number is neither
        raise ValueError(f"must be from {least_gib:g} to {_MOST_GIB} GiB")
    return amount


def ollama_of(given: str) -> str:
    """Return Ollama's address; it may be written without a scheme, as in OLLAMA_HOST."""
    from urllib.parse import urlsplit

    address = given.strip() if "://" in given else f"http://{given.strip()}"
    checked = _api_base("ollama_chat/any", address)
    if "://" not in given and urlsplit(checked).port is None:
        raise ValueError("must be an address such as http://127.0.0.1:11434, or HOST:PORT")
    return checked


def claude_of(given: str) -> str:
    """Return the address of a gateway to Claude."""
    return _api_base("anthropic/*", given.strip())


def _api_base(model: str, address: str) -> str:
    """Return an address as a deployment's `api_base` takes it."""
    from ccproxy.config.deployments import build_deployment
    from ccproxy.config.hosts import parse_api_base
    from ccproxy.config.models import DeploymentBlock, LiteLLMParams

    checked = parse_api_base(address).url
    params = LiteLLMParams(model=model, api_base=checked)
    build_deployment(DeploymentBlock(model_name="any", litellm_params=params), (), None)
    return checked


def key_of(given: str, folder: Path, environ: Mapping[str, str]) -> str | None:
    """Return where Claude's key is, None for an installation without Claude.

    The key may be missing. One that is there must be the owner's alone.
    """
    from ccproxy.config.references import is_reference
    from ccproxy.config.secrets import SecretError, SecretMissing, Secrets

    if given == NO_KEY:
        return None
    if not is_reference(given):
        raise ValueError(
            "says where the key is, not the key itself: os.environ/NAME, file/PATH, "
            "keychain/SERVICE/ACCOUNT, or none"
        )
    try:
        Secrets(environ, folder).read(given)
    except SecretMissing:
        return given
    except SecretError as error:
        raise ValueError(str(error)) from None
    return given


def roster_of(given: str) -> Path | None:
    """Return the file of a roster that can be used, None for a copy of the shipped one."""
    from ccproxy.config.problems import ConfigError
    from ccproxy.config.roster import load_roster

    if given == SHIPPED_ROSTER:
        return None
    path = Path(given).expanduser()
    try:
        load_roster(path)
    except ConfigError as error:
        raise ValueError(str(error)) from None
    return path
