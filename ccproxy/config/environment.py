"""References in a `litellm_params` block: `os.environ/NAME` anywhere, secrets where one belongs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ccproxy.config.models import LiteLLMParams
from ccproxy.config.references import is_reference, referenced_variable
from ccproxy.config.secrets import SecretError, SecretMissing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ccproxy.config.secrets import Secrets

SECRET_PARAMS: Final = frozenset({"api_key"})
"""Where `file/` and `keychain/` are read too; elsewhere they could be meant as they stand."""


@dataclass(frozen=True, slots=True)
class ResolvedParams:
    """A `litellm_params` block with its references read."""

    values: Mapping[str, object]
    missing: Mapping[str, str]
    """Key -> why there is nothing behind its reference."""
    refused: Mapping[str, str]
    """Key -> why what is behind its reference cannot be used."""


def resolve_params(params: Mapping[str, object], secrets: Secrets) -> ResolvedParams:
    """Return the block with each reference replaced by what it leads to.

    A key whose reference leads to nothing is left out, except for `model`, which a deployment
    cannot do without. Keys that we don't use are not looked at.
    """
    values: dict[str, object] = dict(params)
    missing: dict[str, str] = {}
    refused: dict[str, str] = {}
    for key in LiteLLMParams.model_fields:
        value = params.get(key)
        is_secret = key in SECRET_PARAMS and is_reference(value)
        if not isinstance(value, str) or not (is_secret or referenced_variable(value) is not None):
            continue
        try:
            values[key] = secrets.read(value)
            continue
        except SecretMissing as absent:
            missing[key] = str(absent)
        except SecretError as error:
            refused[key] = str(error)
        if key != "model":
            del values[key]
    return ResolvedParams(values, missing, refused)
