"""One deployment of a config file, wired to what answers for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from ccproxy.config.settings import to_routing_deployment
from ccproxy.pipeline.passthrough import PassthroughDeployment
from ccproxy.pipeline.slots import Slots
from ccproxy.pipeline.translated import ModelLimits, TranslatedDeployment
from ccproxy.ports import ModelFacts
from ccproxy.upstreams.anthropic import AnthropicUpstream
from ccproxy.upstreams.litellm import LiteLLMRuntime, LiteLLMUpstream, Target

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from ccproxy.config.deployments import DeploymentSettings
    from ccproxy.health.monitor import OllamaMonitor
    from ccproxy.pipeline.paces import Paces
    from ccproxy.pipeline.prefix_watch import PrefixWatch
    from ccproxy.pipeline.token_ratios import TokenRatios
    from ccproxy.ports import MessagesUpstream
    from ccproxy.wire.our_tokens import OurTokens


@dataclass(frozen=True, slots=True)
class Shared:
    """What the translated deployments share."""

    monitor: OllamaMonitor
    token_ratios: TokenRatios
    prefixes: PrefixWatch
    paces: Paces
    slots: Mapping[str, Slots]
    """By deployment name."""
    patience_s: float
    strict: bool


def claude_pools(
    deployments: Sequence[DeploymentSettings], ours: OurTokens
) -> dict[str, MessagesUpstream]:
    """Return each deployment's pool; deployments with one address and key share theirs.

    Those that are used under the clients' accounts have no key, and share theirs too. `ours` tells
    what is sent to none of them.
    """
    pools: dict[tuple[object, ...], MessagesUpstream] = {}
    for deployment in deployments:
        key = (deployment.api_base, deployment.api_key, deployment.timeout_s)
        if key not in pools:
            pools[key] = AnthropicUpstream(
                deployment.api_base or "",
                deployment.api_key,
                ours=ours,
                read_timeout_s=deployment.timeout_s,
            )
    return {d.name: pools[d.api_base, d.api_key, d.timeout_s] for d in deployments}


def passthrough(
    deployment: DeploymentSettings, upstream: MessagesUpstream
) -> PassthroughDeployment:
    """Return what relays a Claude deployment's requests through a pool."""
    return PassthroughDeployment(
        deployment.name,
        upstream,
        deployment.upstream_model,
        base_model=deployment.base_model,
        slots=Slots(deployment.max_parallel_requests),
        is_clients_account=deployment.needs_own_credential,
    )


def translated(
    deployment: DeploymentSettings, runtime: LiteLLMRuntime, shared: Shared
) -> TranslatedDeployment:
    """Return what asks a model that does not speak the Messages API itself."""
    target = Target(
        model=deployment.model,
        name=deployment.name,
        api_base=deployment.api_base,
        api_key=deployment.api_key,
        num_ctx=deployment.num_ctx,
        keep_alive=deployment.keep_alive,
        timeout_s=deployment.timeout_s,
        first_byte_timeout_s=deployment.stream_timeout_s,
    )
    upstream = LiteLLMUpstream(runtime, target)
    monitor = shared.monitor
    known = to_routing_deployment(deployment)
    return TranslatedDeployment(
        deployment.name,
        known.side,
        upstream,
        model=known.upstream_model,
        facts=facts_source(deployment, monitor if deployment.is_ollama else None),
        limits=ModelLimits(
            deployment.num_ctx, deployment.max_output_tokens, deployment.max_input_tokens
        ),
        slots=shared.slots[deployment.name],
        token_ratios=shared.token_ratios,
        prefixes=shared.prefixes,
        paces=shared.paces,
        on_answer=partial(monitor.answered, deployment.api_base or "", deployment.upstream_model),
        patience_s=shared.patience_s,
        strict=shared.strict,
    )


def facts_source(
    deployment: DeploymentSettings, monitor: OllamaMonitor | None
) -> Callable[[], Awaitable[ModelFacts]]:
    """Return what is known of a model: the config file's word first, then what Ollama says."""
    said = {
        "supports_tools": deployment.supports_tools,
        "supports_vision": deployment.supports_vision,
        "supports_thinking": deployment.supports_reasoning,
    }
    stated: dict[str, Any] = {name: value for name, value in said.items() if value is not None}
    unseen = ModelFacts(remote=not deployment.on_premises if monitor is None else None)

    async def facts() -> ModelFacts:
        seen = None
        if monitor is not None:
            seen = await monitor.wait_facts(deployment.api_base or "", deployment.upstream_model)
        return replace(seen or unseen, **stated)

    return facts
