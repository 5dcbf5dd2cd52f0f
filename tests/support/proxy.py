"""A whole proxy on a real socket in front of both simulated upstreams, for tests."""

from __future__ import annotations

import json
import tempfile
from contextlib import asynccontextmanager
from dataclasses import dataclass
from math import inf
from pathlib import Path
from shutil import copyfile
from typing import TYPE_CHECKING, Any, Final

import yaml

from ccproxy.app import Proxy, build_proxy
from ccproxy.auth import create_token
from ccproxy.config.roster import slug_of
from ccproxy.config.settings import load_settings
from ccproxy.demo.asgi_server import running
from ccproxy.demo.claude import SimulatedClaude
from ccproxy.demo.ollama_server import SimulatedOllama
from routing import breaker, health, retry
from routing.types import Privacy
from tests.support.http_wire import ask
from tests.support.messages import turn
from tests.support.waiting import until_found

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from ccproxy.ports import OutcomeSink
    from routing.breaker import BreakerRules
    from routing.health import HealthRules
    from routing.retry import RetryRules

REPOSITORY = Path(__file__).parents[2]
UPSTREAM_KEY = "upstream-key-of-the-proxy"
TEST_SPEED = 1000.0
"""Simulated seconds per second: fast, and still in the right order."""

FORGIVING: Final = {
    "health_rules": health.HealthRules(
        dwell_s=10**9, doubtful_s=0.005, apart_s=0, probe_timeout_s=3600
    ),
    "breaker_rules": breaker.BreakerRules(
        failures_to_open=10**9, of_last=10**9, wait_to_open_s=inf
    ),
    "retry_rules": retry.RetryRules(first_pause_s=0.01),
}
"""Arguments for a proxy that many tests share: what one of them breaks is not held against the next.
A backend that refused the very first probe is down all the same, and stays so. A model that was
deleted and is back is found at once."""


@dataclass(frozen=True, slots=True)
class RunningProxy:
    """What a test needs of a running proxy."""

    base_url: str
    token: str
    """May do everything, `ops` included."""
    ollama: SimulatedOllama
    claude: SimulatedClaude
    ollama_url: str
    claude_url: str
    proxy: Proxy
    tokens_file: Path
    config_file: Path
    routing_file: Path
    """The test's own copy: it may be edited."""

    @property
    def headers(self) -> dict[str, str]:
        """The least a Messages request must carry."""
        return {"x-api-key": self.token, "anthropic-version": "2023-06-01"}

    def new_token(
        self,
        name: str,
        *,
        agents: Sequence[str] = (),
        scopes: Sequence[str] = (),
        privacy: Privacy = Privacy.ANY,
    ) -> str:
        """Create another token."""
        return create_token(self.tokens_file, name, tuple(scopes), tuple(agents), privacy)


async def warm(proxy: RunningProxy) -> None:
    """Serve a first request, so that LiteLLM's import is over, and wait until models are known."""
    first = await ask(proxy.base_url, "/v1/messages", headers=proxy.headers, body=turn())
    assert first.status == 200, first.body

    async def known() -> bool | None:
        answer = await ask(proxy.base_url, "/health", method="GET", headers=proxy.headers)
        models = [
            each for backend in answer.json()["backends"] for each in backend.get("models", ())
        ]
        return all(each["present"] is not None for each in models) or None

    await until_found(known)


def settings_document(
    ollama_url: str, claude_url: str, *, roster: Path, routing: Path
) -> dict[str, Any]:
    """Return a `ccproxy.yaml` with the shipped file's deployment names."""

    def local(name: str, model: str, **info: object) -> dict[str, Any]:
        params = {
            "model": f"ollama_chat/{model}",
            "api_base": ollama_url,
            "num_ctx": 32768,
            "keep_alive": "30m",
        }
        return {"model_name": name, "litellm_params": params, "model_info": info}

    def claude(name: str, model_id: str = "*") -> dict[str, Any]:
        params = {"model": f"anthropic/{model_id}", "api_base": claude_url, "api_key": UPSTREAM_KEY}
        deployment: dict[str, Any] = {"model_name": name, "litellm_params": params}
        if model_id == "*":
            deployment["model_info"] = {"base_model": f"{name}-5-5"}
        return deployment

    return {
        "server": {"host": "127.0.0.1", "port": 0},
        "auth": {"mode": "required", "tokens_file": "tokens.json"},
        "roster": str(roster),
        "routing": str(routing),
        "model_list": [
            local("qwen-coder", "qwen2.5-coder:32b-instruct"),
            local("qwen-quality", "qwen2.5:32b-instruct"),
            local("qwen-fast", "qwen-fast:latest"),
            local("qwen-thinker", "qwen3:8b"),
            local("qwen-vision", "qwen2.5vl:7b"),
            claude("claude-opus"),
            claude("claude-sonnet"),
            claude("claude-haiku"),
            claude("claude-default", "claude-sonnet-5-5"),
        ],
        "ledger": {"url": "sqlite:///ccproxy.db"},
    }


def roster_with_prompts(prompts: Mapping[str, str]) -> dict[str, Any]:
    """Return the shipped roster with these prompts, by slug, written into its entries."""
    document: dict[str, Any] = json.loads((REPOSITORY / "config/orchestra-config.json").read_text())
    lists = [value for value in document.values() if isinstance(value, list)]
    for entry in [document["architect"], *(entry for entries in lists for entry in entries)]:
        if isinstance(entry, dict) and "name" in entry:
            prompt = prompts.get(slug_of(entry["name"]))
            if prompt is not None:
                entry["prompt"] = prompt
    return document


@asynccontextmanager
async def running_proxy(
    *,
    prompts: Mapping[str, str] | None = None,
    routing: Mapping[str, Any] | None = None,
    changes: Mapping[str, Any] | None = None,
    edit: Callable[[dict[str, Any]], object] | None = None,
    patience_s: float = 8.0,
    ping_after_s: float = 6.0,
    body_timeout_s: float = 60.0,
    ollama: SimulatedOllama | None = None,
    claude: SimulatedClaude | None = None,
    health_rules: HealthRules = health.DEFAULT_RULES,
    breaker_rules: BreakerRules = breaker.DEFAULT_RULES,
    retry_rules: RetryRules = retry.DEFAULT_RULES,
    sinks: Sequence[OutcomeSink] = (),
) -> AsyncIterator[RunningProxy]:
    """Run a proxy while the block runs.

    Args:
        prompts: Prompts, by slug, that the roster has for its agents instead of its own.
        routing: A routing table to use instead of the shipped one.
        changes: Top-level keys of `ccproxy.yaml` to replace.
        edit: Called with the whole of `ccproxy.yaml`, after that, to change it in place.
        patience_s: How long a local stream may stay uncommitted.
        ping_after_s: Silence of a local stream after which a ping goes out.
        body_timeout_s: How long a request body may take.
        ollama: A simulator of the test's own making.
        claude: Likewise.
        health_rules: When a backend counts as down.
        breaker_rules: When a deployment is left alone.
        retry_rules: How much is tried for one request.
        sinks: Who else hears of finished requests.
    """
    ollama = ollama or SimulatedOllama(speed=TEST_SPEED)
    claude = claude or SimulatedClaude(speed=TEST_SPEED)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        routing_file = home / "routing.yaml"
        shipped = (REPOSITORY / "config/routing.yaml").read_text()
        routing_file.write_text(shipped if routing is None else yaml.safe_dump(dict(routing)))
        copyfile(REPOSITORY / "config/pricing.yaml", home / "pricing.yaml")
        roster_file = REPOSITORY / "config/orchestra-config.json"
        if prompts is not None:
            roster_file = home / "roster.json"
            roster_file.write_text(json.dumps(roster_with_prompts(prompts)))
        async with ollama.serve() as ollama_url, claude.serve() as claude_url:
            document = settings_document(
                ollama_url,
                claude_url,
                roster=roster_file,
                routing=routing_file,
            )
            document.update(changes or {})
            if edit is not None:
                edit(document)
            config = home / "ccproxy.yaml"
            config.write_text(yaml.safe_dump(document))
            settings = load_settings(config, {"HOME": str(home)})
            token = create_token(settings.tokens_file, "test", scopes=("ops",), agents=())
            proxy = build_proxy(
                settings,
                patience_s=patience_s,
                ping_after_s=ping_after_s,
                body_timeout_s=body_timeout_s,
                health_rules=health_rules,
                breaker_rules=breaker_rules,
                retry_rules=retry_rules,
                sinks=sinks,
            )
            async with running(proxy.app) as base_url:
                yield RunningProxy(
                    base_url,
                    token,
                    ollama,
                    claude,
                    ollama_url,
                    claude_url,
                    proxy,
                    settings.tokens_file,
                    config,
                    routing_file,
                )
