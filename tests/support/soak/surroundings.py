"""The house that a soak puts under load: simulated upstreams, deployments, a routing table.

Every route has a deadline, every kind of deployment is there, and half of the `local_only` route
are deployments that leave the host although they stand at Ollama: a `:cloud` model, and a stub
whose name does not tell.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from ccproxy.demo.claude import SimulatedClaude
from ccproxy.demo.ollama_models import SimModel, default_fleet
from ccproxy.demo.ollama_server import SimulatedOllama
from routing import breaker, health
from tests.support.proxy import REPOSITORY, UPSTREAM_KEY

DEADLINE_S: Final = 4.0
"""From a request's arrival to the end of its answer, on every route."""
FIRST_BYTE_S: Final = 1.5
"""What an upstream may take to begin, and between two pieces."""
PATIENCE_S: Final = 0.5
"""How long a local stream stays uncommitted: short, so that many fall back late."""
PING_AFTER_S: Final = 0.4
SLOTS: Final = 4
"""Of the proxy at each large local model, and of the simulated machine."""
OLLAMA_SPEED: Final = 40.0
CLAUDE_SPEED: Final = 2.0
MEMORY_GIB: Final = 300.0
"""Room for all models side by side: what is loaded and evicted is no subject of this."""

FASTER: Final = 10.0
"""By how much the time in which something is left alone is shorter than by default. So are deadlines:
what takes minutes in a house takes seconds here."""
BREAKERS: Final = replace(
    breaker.DEFAULT_RULES,
    window_s=breaker.DEFAULT_RULES.window_s / FASTER,
    first_open_s=breaker.DEFAULT_RULES.first_open_s / FASTER,
    longest_open_s=breaker.DEFAULT_RULES.longest_open_s / FASTER,
    longest_wait_s=breaker.DEFAULT_RULES.longest_wait_s / FASTER,
)
HEALTH: Final = replace(
    health.DEFAULT_RULES,
    dwell_s=health.DEFAULT_RULES.dwell_s / FASTER,
    interval_s=health.DEFAULT_RULES.interval_s / FASTER,
    doubtful_s=health.DEFAULT_RULES.doubtful_s / FASTER,
    down_first_s=health.DEFAULT_RULES.down_first_s / FASTER,
    down_longest_s=health.DEFAULT_RULES.down_longest_s / FASTER,
    apart_s=health.DEFAULT_RULES.apart_s / FASTER,
)

CLOUD_MODEL: Final = "qwen3-coder:480b-cloud"
STUB_MODEL: Final = "house-model:latest"
LEAVING_MODELS: Final = frozenset({CLOUD_MODEL, STUB_MODEL})
"""What stands at Ollama and is computed elsewhere."""
NUMBER_HEADER: Final = "x-soak-number"
"""By which a request is found again in the record of decisions."""
PRIVATE_CATEGORY: Final = "securityAgents"
CLAUDE_FIRST_AGENT: Final = "code-reviewer"


def simulated_ollama() -> SimulatedOllama:
    """Return a machine with the demo's models, a `:cloud` model and a stub."""
    elsewhere = (
        SimModel(CLOUD_MODEL, remote_host="https://ollama.com"),
        SimModel(STUB_MODEL, remote_host="https://ollama.com", remote_model="qwen3:235b"),
    )
    return SimulatedOllama(
        (*default_fleet(), *elsewhere), MEMORY_GIB, OLLAMA_SPEED, num_parallel=SLOTS
    )


def simulated_claude() -> SimulatedClaude:
    """Return a Claude that takes a while."""
    return SimulatedClaude(speed=CLAUDE_SPEED)


def settings_document(ollama_url: str, claude_url: str) -> dict[str, Any]:
    """Return the `ccproxy.yaml` of a soak, without its routing table."""

    def local(name: str, model: str, slots: int | None = None) -> dict[str, Any]:
        params: dict[str, Any] = {
            "model": f"ollama_chat/{model}",
            "api_base": ollama_url,
            "num_ctx": 32768,
            "keep_alive": "30m",
            "timeout": FIRST_BYTE_S,
            "stream_timeout": FIRST_BYTE_S,
        }
        if slots is not None:
            params["max_parallel_requests"] = slots
        return {"model_name": name, "litellm_params": params}

    def claude(name: str) -> dict[str, Any]:
        params = {
            "model": "anthropic/*",
            "api_base": claude_url,
            "api_key": UPSTREAM_KEY,
            "timeout": FIRST_BYTE_S,
        }
        info = {"base_model": f"{name}-5-5"}
        return {"model_name": name, "litellm_params": params, "model_info": info}

    return {
        "server": {"host": "127.0.0.1", "port": 0},
        "auth": {"mode": "required", "tokens_file": "tokens.json"},
        "roster": str(REPOSITORY / "config/orchestra-config.json"),
        "model_list": [
            local("qwen-coder", "qwen2.5-coder:32b-instruct", SLOTS),
            local("qwen-quality", "qwen2.5:32b-instruct", SLOTS),
            local("qwen-fast", "qwen-fast:latest"),
            local("house-cloud", CLOUD_MODEL),
            local("house-stub", STUB_MODEL),
            claude("claude-opus"),
            claude("claude-sonnet"),
            claude("claude-haiku"),
        ],
        "ledger": {"url": "sqlite:///ccproxy.db"},
    }


def routing_document() -> dict[str, Any]:
    """Return the `routing.yaml` of a soak."""
    private = ["house-cloud", "house-stub", "qwen-quality", "qwen-coder", "claude-sonnet"]
    profile = {
        "deadline_s": DEADLINE_S,
        "rules": [
            # Never true: a header that a rule asks for stands in the record of decisions.
            {"name": "numbered", "when": {"header": {NUMBER_HEADER: "none"}}, "privacy": "any"},
        ],
        "tiers": {
            "opus": {"route": ["claude-opus", "claude-sonnet"]},
            "sonnet": {"route": ["qwen-coder", "claude-sonnet"]},
            "haiku": {"route": ["qwen-fast", "qwen-coder", "claude-haiku"]},
        },
        "categories": {PRIVATE_CATEGORY: {"route": private, "privacy": "local_only"}},
        "agents": {CLAUDE_FIRST_AGENT: {"route": ["claude-sonnet", "house-stub", "qwen-fast"]}},
        "default": {"route": ["house-cloud", "qwen-fast", "claude-haiku"]},
    }
    return {"version": 1, "active_profile": "soak", "profiles": {"soak": profile}}
