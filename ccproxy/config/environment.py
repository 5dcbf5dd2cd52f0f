"""`os.environ/NAME` in the values of a config file, as in LiteLLM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ccproxy.config.models import LiteLLMParams
from ccproxy.config.references import referenced_variable

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class ResolvedParams:
    """A `litellm_params` block with its references read."""

    values: Mapping[str, object]
    missing: Mapping[str, str]
    """Key -> the environment variable it asked for and did not get."""


def resolve_params(params: Mapping[str, object], environ: Mapping[str, str]) -> ResolvedParams:
    """Return the block with each reference replaced by the variable's value.

    A variable that is not set, or empty, is missing: its key is left out, except for `model`, which
    a deployment cannot do without. Keys that we don't use are not looked at.
    """
    values: dict[str, object] = dict(params)
    missing: dict[str, str] = {}
    for key in LiteLLMParams.model_fields:
        variable = referenced_variable(params.get(key))
        if variable is None:
            continue
        value = environ.get(variable, "").strip()
        if value:
            values[key] = value
            continue
        missing[key] = variable
        if key != "model":
            del values[key]
    return ResolvedParams(values, missing)
