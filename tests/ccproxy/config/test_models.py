"""The shapes of `ccproxy.yaml`."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from ccproxy.config.models import DeploymentBlock, LiteLLMParams, ModelInfo


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("30m", "30m"),
        ("1h30m", "1h30m"),
        ("1.5h", "1.5h"),
        ("-1m", "-1m"),
        ("0", 0),
        ("30", 30),
        ("-1", -1),
        (300, 300),
        (-1, -1),
    ],
)
def test_keep_alive_as_ollama_takes_it(value: object, expected: object) -> None:
    """Go's durations and whole seconds; digits in quotes are seconds too."""
    assert LiteLLMParams(model="a/b", keep_alive=value).keep_alive == expected  # type: ignore[arg-type]


@pytest.mark.parametrize("value", ["", "30 m", "forever", "m", "1.5", True, [1], 1.5])
def test_keep_alive_that_ollama_would_refuse(value: object) -> None:
    """What Ollama would answer with a 400 to every request is refused at once."""
    with pytest.raises(ValidationError):
        LiteLLMParams(model="a/b", keep_alive=value)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["qwen-coder", "qwen2.5:32b", "org/model@v1", "a"])
def test_names_of_deployments(name: str) -> None:
    """What fits into a header and a URL is a name."""
    block = DeploymentBlock.model_validate({"model_name": name, "litellm_params": {"model": "a/b"}})
    assert block.model_name == name


@pytest.mark.parametrize("name", ["", "a b", "a,b", "a\nb", "ä", "-a", "agent/a"])
def test_what_is_no_name(name: str) -> None:
    """What would break a header or hide an agent is refused."""
    with pytest.raises(ValidationError):
        DeploymentBlock.model_validate({"model_name": name, "litellm_params": {"model": "a/b"}})


@pytest.mark.parametrize("value", ["yes", 1])
def test_capabilities_are_true_or_false(value: object) -> None:
    """A capability is not guessed from a word or a number."""
    with pytest.raises(ValidationError):
        ModelInfo.model_validate({"supports_tools": value})
