"""One entry of `model_list`."""

from __future__ import annotations

import pytest

from ccproxy.config.deployments import (
    DeploymentSettings,
    InvalidDeploymentError,
    build_deployment,
    to_routing_deployment,
)
from ccproxy.config.models import DeploymentBlock
from routing.capabilities import Capabilities
from routing.types import THIS_HOST, Deployment, Side


def build(params: dict[str, object], unavailable: str | None = None) -> DeploymentSettings:
    """Return the settings of an entry named `d`."""
    block = DeploymentBlock.model_validate({"model_name": "d", "litellm_params": params})
    return build_deployment(block, ["studio"], unavailable)


def test_only_ollama_has_a_default_context() -> None:
    """Every request to Ollama pins `num_ctx`; other upstreams know no such thing."""
    assert build({"model": "ollama_chat/q"}).num_ctx == 32768
    assert build({"model": "anthropic/*", "api_key": "k"}).num_ctx is None


def test_the_model_may_contain_slashes() -> None:
    """The provider ends at the first slash."""
    deployment = build({"model": "ollama_chat/hf.co/org/model:Q4"})
    assert (deployment.provider, deployment.upstream_model) == (
        "ollama_chat",
        "hf.co/org/model:Q4",
    )


def test_another_provider_keeps_its_own_address() -> None:
    """Where we know no default, LiteLLM's own is used, and that is somewhere else."""
    deployment = build({"model": "openai/gpt"})
    assert (deployment.api_base, deployment.on_premises) == (None, False)


def test_a_blank_key_is_none() -> None:
    """Space around a key is dropped, and a key of spaces is no key."""
    assert build({"model": "openai/gpt", "api_key": " k\n"}).api_key == "k"
    assert build({"model": "openai/gpt", "api_key": "  "}).api_key is None


def test_a_known_reason_is_kept() -> None:
    """The first reason why a deployment is unavailable reaches routing."""
    deployment = build({"model": "anthropic/*"}, "environment variable K is not set")
    assert to_routing_deployment(deployment) == Deployment(
        "d",
        Side.CLAUDE,
        leaves_host=True,
        unavailable="environment variable K is not set",
        upstream_model="*",
    )


def test_routing_hears_what_the_model_can_do() -> None:
    """Abilities, limits and weights of `model_info` reach routing; what is left out is unknown."""
    block = DeploymentBlock.model_validate(
        {
            "model_name": "d",
            "litellm_params": {"model": "ollama_chat/q", "num_ctx": 8192},
            "model_info": {
                "supports_tools": True,
                "supports_vision": False,
                "max_input_tokens": 8000,
                "weights_gib": 4.4,
                "kv_kib_per_token": 56,
            },
        }
    )
    assert to_routing_deployment(build_deployment(block, (), None)) == Deployment(
        "d",
        Side.LOCAL,
        leaves_host=False,
        upstream_model="q",
        capabilities=Capabilities(tools=True, vision=False),
        max_input_tokens=8000,
        num_ctx=8192,
        weights_gib=4.4,
        kv_kib_per_token=56,
        host=THIS_HOST,
    )


@pytest.mark.parametrize(
    ("base", "host"),
    [
        ("http://127.0.0.1:1", THIS_HOST),
        ("http://[::1]:1", THIS_HOST),
        ("http://Studio:1", "studio"),
        ("http://elsewhere:1", None),
    ],
)
def test_routing_knows_the_machine(base: str, host: str | None) -> None:
    """Models at any loopback address are on this machine; one that is not ours has none."""
    deployment = build({"model": "ollama_chat/q", "api_base": base})
    assert to_routing_deployment(deployment).host == host


@pytest.mark.parametrize(
    "base", ["http://studio:11434", "http://10.0.0.1:1", "http://localhost.example.com"]
)
def test_credentials_never_travel_in_plain_text(base: str) -> None:
    """Not even a listed on-premises host gets Claude's key over plain HTTP."""
    with pytest.raises(InvalidDeploymentError) as caught:
        build({"model": "anthropic/*", "api_key": "k", "api_base": base})
    assert caught.value.key == "api_base"


def test_under_the_clients_account() -> None:
    """`credentials: client` needs no key and makes the deployment usable; routing is told."""
    entry = {"model_name": "d", "credentials": "client", "litellm_params": {"model": "anthropic/*"}}
    deployment = build_deployment(DeploymentBlock.model_validate(entry), (), None)
    assert (deployment.unavailable, deployment.api_key) == (None, None)
    assert to_routing_deployment(deployment).needs_own_credential
    assert not to_routing_deployment(build({"model": "anthropic/*"})).needs_own_credential


@pytest.mark.parametrize(
    ("params", "key"),
    [
        ({"model": "anthropic/*", "api_key": "k"}, "api_key"),
        ({"model": "openai/gpt"}, "credentials"),
        ({"model": "ollama_chat/q"}, "credentials"),
    ],
)
def test_never_both_accounts_and_nobody_else(params: dict[str, object], key: str) -> None:
    """A key of ours beside the client's credential is refused, and so is any other provider."""
    entry = {"model_name": "d", "credentials": "client", "litellm_params": params}
    with pytest.raises(InvalidDeploymentError) as caught:
        build_deployment(DeploymentBlock.model_validate(entry), (), None)
    assert caught.value.key == key
