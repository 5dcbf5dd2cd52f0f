"""One entry of `model_list`, understood: which upstream, where, with which options."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from ccproxy.config.hosts import is_loopback, parse_api_base, stays_on_premises
from ccproxy.config.models import ModelInfo
from ccproxy.config.references import ENVIRONMENT_REFERENCE
from routing.capabilities import Capabilities
from routing.types import THIS_HOST, Deployment, Side

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from ccproxy.config.models import DeploymentBlock, LiteLLMParams

OLLAMA: Final = "ollama_chat"
ANTHROPIC: Final = "anthropic"
ANY_MODEL: Final = "*"
"""Upstream model of `anthropic/*`: whatever id the client asked for."""

DEFAULT_API_BASES: Final[Mapping[str, str]] = {
    OLLAMA: "http://127.0.0.1:11434",
    ANTHROPIC: "https://api.anthropic.com",
}
"""Source: the defaults of Ollama's server and of the anthropic SDK 2.11.0."""

DEFAULT_NUM_CTX_TOKENS: Final = 32768
"""For an Ollama deployment without `num_ctx`. Every request must pin it, since Ollama's own
default varies with the machine's memory and any difference between requests reloads the model.
32 Ki tokens hold a Claude Code system prompt with tools and some turns."""

DEFAULT_TIMEOUT_S: Final = 600.0
"""Source: the anthropic SDK's own default (2.11.0). A local model may need minutes to load and to
read a long prompt, and a client that waits less says so by leaving."""

CLAUDE_ID: Final = re.compile(r"claude-[A-Za-z0-9._@-]+")
"""Every id that Claude's API has had since `claude-instant-1` begins like this."""

CLOUD_MODEL: Final = re.compile(r"[:-]cloud$")
"""Ollama's names for models that it forwards to ollama.com, e.g. `gpt-oss:120b-cloud`."""


@dataclass(frozen=True, slots=True)
class DeploymentSettings:
    """One deployment of the config file."""

    name: str
    """`model_name`."""
    model: str
    """As written, or as the environment gave it: `ollama_chat/qwen2.5-coder:32b-instruct`."""
    provider: str
    """The part before the first slash: `ollama_chat`, `anthropic` or another of LiteLLM's."""
    upstream_model: str
    """The part after it; `*` for `anthropic/*`."""
    base_model: str | None
    """With `*`: the Claude id asked for when the client's is not one of Claude's."""
    api_base: str | None
    """Base URL without a trailing slash; None lets LiteLLM use its provider's own."""
    api_key: str | None = field(repr=False)
    num_ctx: int | None
    """Context in tokens; never None for Ollama."""
    keep_alive: str | int | None
    """Ollama's: a duration, or seconds (negative: for ever)."""
    timeout_s: float
    """To the first byte of an answer."""
    stream_timeout_s: float
    """To the first byte of a streamed answer."""
    max_parallel_requests: int | None
    weights_gib: float | None
    kv_kib_per_token: float | None
    trained_context_tokens: int | None
    supports_tools: bool | None
    """None means unknown, here and below."""
    supports_vision: bool | None
    supports_reasoning: bool | None
    max_input_tokens: int | None
    max_output_tokens: int | None
    on_premises: bool
    """True if nothing sent to it leaves this host and the listed on-premises hosts."""
    unavailable: str | None
    """Why it cannot be used, or None."""
    needs_own_credential: bool = False
    """It is used under the client's account: with the client's own credential, no key of ours."""
    stands_in_for: tuple[str, ...] = ()
    """Models of the roster's wishes that it is used instead of."""

    @property
    def takes_only_claude_ids(self) -> bool:
        """True if it asks for the client's own model id and names none to ask instead."""
        return self.is_claude and self.upstream_model == "*" and self.base_model is None

    @property
    def is_ollama(self) -> bool:
        """True if it is served by an Ollama, which can be asked about its models for free."""
        return self.provider == OLLAMA

    @property
    def is_claude(self) -> bool:
        """True if it speaks the Messages API itself and gets the client's own bytes."""
        return self.provider == ANTHROPIC


class InvalidDeploymentError(ValueError):
    """A deployment that contradicts itself.

    Attributes:
        key: The key that is wrong.
        block: The block of the entry that holds it; empty for the entry itself.
    """

    def __init__(self, key: str, message: str, block: str = "litellm_params") -> None:
        """`message` says what is wrong and how to fix it."""
        super().__init__(message)
        self.key = key
        self.block = block


def to_routing_deployment(settings: DeploymentSettings) -> Deployment:
    """Return what routing needs to know of a deployment."""
    if settings.provider == ANTHROPIC:
        side = Side.CLAUDE
    else:
        side = Side.LOCAL if settings.on_premises else Side.OTHER
    return Deployment(
        name=settings.name,
        side=side,
        leaves_host=not settings.on_premises,
        unavailable=settings.unavailable,
        needs_own_credential=settings.needs_own_credential,
        upstream_model=settings.upstream_model,
        base_model=settings.base_model,
        capabilities=Capabilities(
            tools=settings.supports_tools,
            vision=settings.supports_vision,
            thinking=settings.supports_reasoning,
        ),
        max_input_tokens=settings.max_input_tokens,
        num_ctx=settings.num_ctx,
        weights_gib=settings.weights_gib,
        kv_kib_per_token=settings.kv_kib_per_token,
        trained_context_tokens=settings.trained_context_tokens,
        host=_host_of(settings) if side is Side.LOCAL else None,
        stands_in_for=settings.stands_in_for,
    )


def _host_of(settings: DeploymentSettings) -> str | None:
    """Return the machine a local model runs on."""
    if settings.api_base is None:
        return None
    host = parse_api_base(settings.api_base).host
    return THIS_HOST if is_loopback(host) else host


def build_deployment(
    block: DeploymentBlock, on_premises_hosts: Collection[str], unavailable: str | None
) -> DeploymentSettings:
    """Return the settings of one entry of `model_list`.

    Args:
        block: The entry, its references to the environment already read.
        on_premises_hosts: Normalised hosts.
        unavailable: Why it cannot be used, if that is already known.

    Raises:
        InvalidDeploymentError: The provider, a model or the address is wrong.
    """
    params = block.litellm_params
    info = block.model_info or ModelInfo()
    provider, upstream_model = _split_model(params.model, is_known=unavailable is None)
    api_base, host_is_ours = _address(params, provider, on_premises_hosts)
    api_key = _api_key(params)
    needs_own = _needs_own_credential(block, provider)
    if provider == ANTHROPIC and api_key is None and unavailable is None and not needs_own:
        unavailable = "it has no api_key"
    timeout_s = params.timeout or DEFAULT_TIMEOUT_S
    return DeploymentSettings(
        name=block.model_name,
        model=params.model,
        provider=provider,
        upstream_model=upstream_model,
        base_model=_base_model(info, params.model),
        api_base=api_base,
        api_key=api_key,
        num_ctx=params.num_ctx or (DEFAULT_NUM_CTX_TOKENS if provider == OLLAMA else None),
        keep_alive=params.keep_alive,
        timeout_s=timeout_s,
        stream_timeout_s=params.stream_timeout or timeout_s,
        max_parallel_requests=params.max_parallel_requests,
        weights_gib=info.weights_gib,
        kv_kib_per_token=info.kv_kib_per_token,
        trained_context_tokens=info.trained_context_tokens,
        supports_tools=info.supports_tools,
        supports_vision=info.supports_vision,
        supports_reasoning=info.supports_reasoning,
        max_input_tokens=info.max_input_tokens,
        max_output_tokens=info.max_output_tokens,
        on_premises=host_is_ours and provider != ANTHROPIC and not _is_cloud(upstream_model),
        unavailable=unavailable,
        needs_own_credential=needs_own,
        stands_in_for=tuple(info.stands_in_for or ()),
    )


def _needs_own_credential(block: DeploymentBlock, provider: str) -> bool:
    """Return whether a deployment is used with the client's own credential."""
    if block.credentials == "proxy":
        return False
    if provider != ANTHROPIC:
        problem = f"client is only for {ANTHROPIC}/…: nobody else gets a client's credential"
        raise InvalidDeploymentError("credentials", problem, "")
    if block.litellm_params.api_key is not None:
        problem = "with credentials: client no key of ours is sent; take out one of the two"
        raise InvalidDeploymentError("api_key", problem)
    return True


def _is_cloud(upstream_model: str) -> bool:
    """Return whether Ollama forwards the model to its own cloud."""
    return CLOUD_MODEL.search(upstream_model.lower()) is not None


def _split_model(model: str, *, is_known: bool) -> tuple[str, str]:
    """Return provider and upstream model.

    Args:
        model: `provider/model`.
        is_known: False lets a reference to a missing variable pass.
    """
    provider, slash, upstream_model = model.partition("/")
    if not slash:
        guess = ANTHROPIC if model.startswith("claude") else OLLAMA
        # What stands there is not shown: it may be a key, from a variable that was mistaken.
        raise _wrong_model(f"needs a provider in front; write {guess}/ before it")
    if provider == "ollama":
        fix = f"{OLLAMA}/{upstream_model}"
        raise _wrong_model(f"ollama/ uses Ollama's completion API, without tools; write {fix}")
    if not provider or not upstream_model:
        raise _wrong_model("must be <provider>/<model>")
    if ANY_MODEL in upstream_model and model != f"{ANTHROPIC}/{ANY_MODEL}" and is_known:
        raise _wrong_model(f"a wildcard is only possible as {ANTHROPIC}/{ANY_MODEL}")
    return provider, upstream_model


def _base_model(info: ModelInfo, model: str) -> str | None:
    """Return the checked `base_model`.

    Args:
        info: What the file says of the model.
        model: `provider/model`, or the reference to a variable that is not set.
    """
    if info.base_model is None:
        return None
    wildcard = f"{ANTHROPIC}/{ANY_MODEL}"
    if not CLAUDE_ID.fullmatch(info.base_model):
        problem = "must be an id of Claude's, such as claude-sonnet-5-5, without a provider"
    elif model != wildcard and not model.startswith(ENVIRONMENT_REFERENCE):
        problem = f"is only for {wildcard}, and {model} asks for its own; take it out"
    else:
        return info.base_model
    raise InvalidDeploymentError("base_model", problem, "model_info")


def _wrong_model(message: str) -> InvalidDeploymentError:
    """Return an error about the key `model`."""
    return InvalidDeploymentError("model", message)


def _address(
    params: LiteLLMParams, provider: str, on_premises_hosts: Collection[str]
) -> tuple[str | None, bool]:
    """Return the base URL, and whether its host is this one or on premises.

    Credentials go to an Anthropic upstream, so there plain HTTP is allowed to loopback only.
    """
    text = params.api_base or DEFAULT_API_BASES.get(provider)
    if text is None:
        return None, False
    try:
        base = parse_api_base(text)
    except ValueError as error:
        raise InvalidDeploymentError("api_base", str(error)) from error
    if provider == ANTHROPIC and not base.is_encrypted and not stays_on_premises(base.host, ()):
        message = "would send credentials unencrypted; use https://, or a loopback address"
        raise InvalidDeploymentError("api_base", message)
    return base.url, stays_on_premises(base.host, on_premises_hosts)


def _api_key(params: LiteLLMParams) -> str | None:
    """Return the key as it can stand in a header; blank counts as none."""
    key = (params.api_key or "").strip()
    if not key:
        return None
    if not key.isascii() or not key.isprintable() or " " in key:
        message = "has a character that cannot stand in a header; was it copied whole?"
        raise InvalidDeploymentError("api_key", message)
    return key
