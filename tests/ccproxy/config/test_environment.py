"""References to the environment."""

from __future__ import annotations

from ccproxy.config.environment import referenced_variable, resolve_params


def test_only_the_prefix_makes_a_reference() -> None:
    """`os.environ/NAME` is a reference; anything else is itself."""
    assert referenced_variable("os.environ/KEY") == "KEY"
    assert referenced_variable("my os.environ/KEY") is None
    assert referenced_variable(3) is None


def test_references_are_read_in_any_key_of_ours() -> None:
    """Each key we use may come from the environment; space around the value is dropped."""
    params = {"model": "os.environ/M", "num_ctx": "os.environ/N", "api_key": "plain"}
    resolved = resolve_params(params, {"M": "ollama_chat/x", "N": " 4096\n"})
    assert resolved.values == {"model": "ollama_chat/x", "num_ctx": "4096", "api_key": "plain"}
    assert resolved.missing == {}


def test_a_missing_variable_leaves_its_key_out() -> None:
    """Unset and empty are both missing; a model stays as written; other keys are not ours."""
    params = {"model": "os.environ/M", "api_key": "os.environ/K", "extra": "os.environ/E"}
    resolved = resolve_params(params, {"K": ""})
    assert resolved.values == {"model": "os.environ/M", "extra": "os.environ/E"}
    assert resolved.missing == {"model": "M", "api_key": "K"}
