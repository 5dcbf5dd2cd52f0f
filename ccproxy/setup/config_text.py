"""The text of `ccproxy.yaml`, with the reasons for its numbers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from ccproxy.setup.arithmetic import KvCacheType, buffers_gib, kv_gib
from ccproxy.setup.wishes import Role

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ccproxy.setup.choice import ChosenModel
    from ccproxy.setup.plan import SetupPlan

KEEP_ALIVE: Final = "30m"
CLAUDE_MODELS: Final = {
    "claude-opus": "claude-opus-5-5",
    "claude-sonnet": "claude-sonnet-5-5",
    "claude-haiku": "claude-haiku-5-5",
}
"""Deployment of a tier -> the id it asks for where the client's is none of Claude's."""
CLAUDE_DEFAULT: Final = "claude-default"
_PURPOSE: Final = {
    Role.CODER: "for agents of the sonnet tier",
    Role.GENERAL: "for those who write, review and plan more than they code",
    Role.FAST: "for agents of the haiku tier, and a client's own small chores",
}


def config_text(plan: SetupPlan) -> str:
    """Return the file; `load_settings` reads it, and `routing_text` names its deployments."""
    return "\n".join(_lines(plan)) + "\n"


def _lines(plan: SetupPlan) -> Iterator[str]:
    yield f"# Written by `ccproxy init` for a machine with {plan.ram_gib:.0f} GiB of memory."
    yield "# Read once at start: after an edit run `ccproxy doctor`, then restart the service."
    yield "# Paths are relative to this file; `~` is your home folder."
    yield ""
    yield "server:"
    yield "  host: 127.0.0.1   # this machine only; 0.0.0.0 lets others in"
    yield f"  port: {plan.port}"
    yield ""
    yield "auth:"
    yield "  mode: required"
    yield "  tokens_file: tokens.json   # hashes only; `ccproxy token create NAME` adds one"
    yield ""
    yield f"roster: {_quoted(plan.roster_path)}   # the agents, their tiers and wishes"
    yield "routing: routing.yaml   # which agent goes to which deployment"
    yield ""
    yield "model_list:"
    yield from _local_models(plan)
    if plan.has_claude:
        yield from _claude_models(plan)
    yield "ledger:"
    yield "  url: sqlite:///ccproxy.db"
    yield "  keep_days: 90   # then single requests are thrown away; their sums stay"
    yield ""
    yield "logging:   # without it lines go to stderr, and under launchd to a file that only grows"
    yield "  file: ccproxy.log   # `ccproxy service logs` shows it"
    yield "  max_mib: 64   # then a new file is begun, and `keep` older ones stay"
    yield "  keep: 5"


def _local_models(plan: SetupPlan) -> Iterator[str]:
    choice = plan.choice
    if not plan.local:
        yield f"  # No local model: {choice.memory_gib:.1f} GiB are too few for the smallest."
        return
    kv_cache = choice.runner.kv_cache
    yield "  # --- Local models, through Ollama. `ccproxy models pull` fetches what is missing."
    yield f"  # Models can have {choice.memory_gib:.2f} GiB here, and these take"
    yield f"  # {choice.resident_gib:.2f} GiB together, so that all of them stay loaded. Each is"
    yield "  #   weights + KV cache per token x num_ctx x parallel + buffers,"
    yield f"  # with OLLAMA_FLASH_ATTENTION=1, OLLAMA_KV_CACHE_TYPE={kv_cache} and"
    yield f"  # OLLAMA_NUM_PARALLEL={choice.runner.parallel}; `ccproxy doctor` looks at that."
    for model in plan.local:
        yield from _local_model(plan, model)


def _local_model(plan: SetupPlan, model: ChosenModel) -> Iterator[str]:
    parallel = plan.choice.runner.parallel
    card = model.card
    kv = kv_gib(model.kv_kib_per_token, model.num_ctx, parallel)
    buffers = buffers_gib(card, model.num_ctx, flash_attention=plan.choice.runner.flash_attention)
    yield f"  # {_PURPOSE[model.role]}:"
    yield (
        f"  # {card.weights_gib:.2f} GiB + {model.kv_kib_per_token:g} KiB x {model.num_ctx} x "
        f"{parallel} ({kv:.2f} GiB) + {buffers:.2f} GiB = {model.resident_gib:.2f} GiB"
    )
    if model.needs_recipe:
        yield f"  # modelfiles/{model.role.value}.Modelfile makes it from {card.name}."
    yield f"  - model_name: {model.role.value}"
    yield "    litellm_params:"
    yield f"      model: {_quoted(f'ollama_chat/{model.model}')}"
    yield f"      api_base: {_quoted(plan.ollama_url)}"
    yield f"      num_ctx: {model.num_ctx}   # sent with every request; no prompt is cut to fit"
    yield f"      keep_alive: {KEEP_ALIVE}"
    yield "    model_info:"
    yield f"      weights_gib: {card.weights_gib:.2f}"
    note = _kv_note(plan.choice.runner.kv_cache)
    yield f"      kv_kib_per_token: {model.kv_kib_per_token:g}{note}"
    yield f"      trained_context_tokens: {card.trained_context_tokens}"
    yield "      supports_tools: true"
    if model.stands_in_for:
        yield "      # The roster wishes these; this machine has no room for them."
        yield f"      stands_in_for: [{', '.join(map(_quoted, model.stands_in_for))}]"
    yield ""


def _kv_note(kv_cache: KvCacheType) -> str:
    if kv_cache is KvCacheType.F16:
        return "   # f16; OLLAMA_KV_CACHE_TYPE=q8_0 about halves it"
    return f"   # {kv_cache}; f16 would take about {2 / kv_cache.bytes_per_value:.1f} times as much"


def _claude_models(plan: SetupPlan) -> Iterator[str]:
    yield "  # --- Claude. anthropic/* passes on the model id that the client asked for."
    key = _quoted(plan.key_reference or "")
    address = "" if plan.claude_url is None else f", api_base: {_quoted(plan.claude_url)}"
    for name, base_model in CLAUDE_MODELS.items():
        yield f"  - model_name: {name}"
        yield f'    litellm_params: {{model: "anthropic/*", api_key: {key}{address}}}'
        yield f"    model_info: {{base_model: {base_model}}}"
    yield f"  - model_name: {CLAUDE_DEFAULT}   # whatever the client calls its model"
    model = f"anthropic/{CLAUDE_MODELS['claude-sonnet']}"
    yield f"    litellm_params: {{model: {model}, api_key: {key}{address}}}"
    yield ""


def _quoted(text: str) -> str:
    """Return a YAML scalar: JSON's is one, but for its halves of what is beyond 16 bits."""
    return json.dumps(text, ensure_ascii=not text.isprintable())
