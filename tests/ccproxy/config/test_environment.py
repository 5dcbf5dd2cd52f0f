"""References in a `litellm_params` block."""

from __future__ import annotations

from pathlib import Path

from ccproxy.config.environment import resolve_params
from ccproxy.config.references import is_reference, referenced_variable
from ccproxy.config.secrets import Secrets


def secrets(**environ: str) -> Secrets:
    """Return secrets of an environment alone."""
    return Secrets(environ, Path("/etc/ccproxy"))


def test_only_the_prefix_makes_a_reference() -> None:
    """`os.environ/NAME` is a reference; anything else is itself."""
    assert referenced_variable("os.environ/KEY") == "KEY"
    assert referenced_variable("my os.environ/KEY") is None
    assert referenced_variable(3) is None
    assert is_reference("file/key")
    assert not is_reference("my file/key")


def test_references_are_read_in_any_key_of_ours() -> None:
    """Each key we use may come from the environment; space around the value is dropped."""
    params = {"model": "os.environ/M", "num_ctx": "os.environ/N", "api_key": "plain"}
    resolved = resolve_params(params, secrets(M="ollama_chat/x", N=" 4096\n"))
    assert resolved.values == {"model": "ollama_chat/x", "num_ctx": "4096", "api_key": "plain"}
    assert resolved.missing == {}


def test_a_missing_variable_leaves_its_key_out() -> None:
    """Unset and empty are both missing; a model stays as written; other keys are not ours."""
    params = {"model": "os.environ/M", "api_key": "os.environ/K", "extra": "os.environ/E"}
    resolved = resolve_params(params, secrets(K=""))
    assert resolved.values == {"model": "os.environ/M", "extra": "os.environ/E"}
    assert resolved.missing == {
        "model": "environment variable M is not set",
        "api_key": "environment variable K is not set",
    }


def test_only_a_key_may_be_in_a_file() -> None:
    """`file/` in front of anything but a secret is meant as it stands."""
    resolved = resolve_params({"model": "file/x", "keep_alive": "keychain/a/b"}, secrets())
    assert resolved.values == {"model": "file/x", "keep_alive": "keychain/a/b"}
    assert resolved.missing == resolved.refused == {}
