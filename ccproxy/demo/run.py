"""`ccproxy run` and `ccproxy demo`: a proxy that answers on any machine.

`run` uses the real upstreams it finds and says which; where it finds none it starts simulated
ones. Real and simulated are never mixed. `demo` always simulates.
"""

from __future__ import annotations

import asyncio
import os
import signal
import urllib.error
import urllib.request
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import uvloop
from rich.console import Console

from ccproxy.api.listening import client_url, listen, room_for_connections
from ccproxy.app import build_proxy
from ccproxy.auth import create_token, list_tokens, revoke_token
from ccproxy.config.settings import load_settings
from ccproxy.demo.standin import simulated_upstreams
from ccproxy.serve import AnnouncingServer, server_config, told

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from ccproxy.config.settings import Settings
    from ccproxy.ports import OutcomeSink

LOCAL_TOKEN: Final = "local"  # noqa: S105 - its name, not its value
TRAFFIC_TOKEN: Final = "demo-traffic"  # noqa: S105 - its name, not its value
PROBE_TIMEOUT_S: Final = 1.0
TRAFFIC_AGENTS: Final = 8
TRAFFIC_PER_MINUTE: Final = 40


@dataclass(frozen=True, slots=True)
class Found:
    """Which real upstreams exist on this machine."""

    ollama: bool
    claude: bool
    others: tuple[str, ...] = ()
    """Deployments of other providers, which nothing here could stand in for."""

    @property
    def any(self) -> bool:
        """True when at least one is real: then nothing is simulated."""
        return self.ollama or self.claude or bool(self.others)


def run(config: Path, port: int | None, *, simulate: bool, traffic: bool) -> None:
    """Serve until interrupted.

    Args:
        config: The settings file.
        port: Overrides the file's port.
        simulate: Start simulated upstreams even where real ones exist.
        traffic: Let a small simulated fleet of roster agents send work.

    Raises:
        ConfigError: A file is unusable; nothing was bound.
        DemoTrafficRefused: Traffic was asked for and the upstreams are real.
        ListenError: The address is taken; nothing was started or printed.
    """
    settings = load_settings(config, os.environ)
    found = Found(ollama=False, claude=False) if simulate else look_around(settings)
    if traffic and found.any:
        raise DemoTrafficRefused
    with told(settings) as sinks:
        sockets = listen(settings.host, settings.port if port is None else port)
        # The server passes the signal on when it has shut down; there is more to put away then.
        signal.signal(signal.SIGTERM, _end_in_order)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(settings, found, sockets, sinks, traffic=traffic))


def _end_in_order(_number: int, _frame: object) -> None:
    raise SystemExit(0)


class DemoTrafficRefused(Exception):
    """Demo traffic would cost money or keep a real machine busy."""

    def __str__(self) -> str:
        """Say what to do instead."""
        return (
            "demo traffic is for simulated upstreams only, and this machine has real ones; "
            "use `make demo ARGS=--demo-traffic`"
        )


def look_around(settings: Settings) -> Found:
    """Return which upstreams of the settings are real here. Loads no model, costs nothing."""
    ollama = {d.api_base for d in settings.deployments if d.is_ollama}
    usable = [d for d in settings.deployments if d.unavailable is None]
    others = tuple(
        d.name
        for d in usable
        if not (d.is_ollama or d.is_claude) and (d.api_key is not None or d.api_base is not None)
    )
    return Found(
        ollama=any(_answers(base) for base in ollama if base),
        claude=any(d.is_claude for d in usable),
        others=others,
    )


def _answers(api_base: str) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{api_base}/api/version", timeout=PROBE_TIMEOUT_S) as reply:
            return bool(reply.status == 200)
    except (OSError, urllib.error.URLError, ValueError):
        return False


async def _serve(
    settings: Settings,
    found: Found,
    sockets: list[socket.socket],
    sinks: Sequence[OutcomeSink],
    *,
    traffic: bool,
) -> None:
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    async with AsyncExitStack() as stack:
        if not found.any:
            simulation = await stack.enter_async_context(simulated_upstreams(settings))
            settings = simulation.in_place_of_real(settings)
        proxy = build_proxy(settings, sinks=sinks)
        base_url = client_url(sockets)
        stop = asyncio.Event()

        def end() -> None:
            stop.set()
            proxy.end_views()

        server = AnnouncingServer(
            server_config(
                proxy.app,
                settings.host,
                settings.port,
                most_connections=room_for_connections(),
                trusted_proxies=settings.trusted_proxies,
            ),
            on_start=lambda: _introduce(console, settings, found, base_url),
            on_stop=end,
        )
        if traffic:
            slugs = sorted(proxy.live.loaded.roster.agents)
            await stack.enter_async_context(_traffic(settings, base_url, slugs, stop))
        await server.serve(sockets)


def _introduce(console: Console, settings: Settings, found: Found, base_url: str) -> None:
    console.print(f"ccproxy on [bold]{base_url}[/bold]")
    if not found.any:
        console.print(
            "[yellow]Upstreams are SIMULATED[/yellow]: no Ollama answers here and "
            "ANTHROPIC_API_KEY is not set. Answers are canned and labelled so."
        )
    else:
        console.print(f"Ollama: {'found' if found.ollama else 'not found, unavailable'}")
        console.print(f"Claude: {'key found' if found.claude else 'no key, unavailable'}")
        if found.others:
            console.print(f"Others: {', '.join(found.others)}")
    token = _first_token(settings)
    if token is None:
        console.print(
            f"Token `{LOCAL_TOKEN}` exists; it was shown when it was made. "
            "For another: ccproxy token create NAME"
        )
        return
    console.print(f"\nToken `{LOCAL_TOKEN}`, shown this once. Paste into a client's shell:\n")
    console.print(f"export ANTHROPIC_BASE_URL={base_url}")
    console.print(f"export ANTHROPIC_AUTH_TOKEN={token}\n")


def _first_token(settings: Settings) -> str | None:
    """Create the token `local` at the first start; None when it exists."""
    if any(token.name == LOCAL_TOKEN for token in list_tokens(settings.tokens_file)):
        return None
    return create_token(settings.tokens_file, LOCAL_TOKEN, scopes=("ops",), agents=())


@asynccontextmanager
async def _traffic(
    settings: Settings, base_url: str, slugs: Sequence[str], stop: asyncio.Event
) -> AsyncIterator[None]:
    """Let a few agents of the roster send work until `stop` is set or the block ends."""
    # The SDK is most of what a start would import, and only traffic needs it.
    from ccproxy.demo.traffic import send_traffic  # noqa: PLC0415

    _forget_traffic_token(settings)
    token = create_token(settings.tokens_file, TRAFFIC_TOKEN, scopes=(), agents=())
    step = max(1, len(slugs) // TRAFFIC_AGENTS)
    sending = asyncio.create_task(
        send_traffic(
            base_url,
            token,
            slugs[::step][:TRAFFIC_AGENTS],
            requests_per_minute=TRAFFIC_PER_MINUTE,
            stop=stop,
        )
    )
    try:
        yield
    finally:
        # First, since it waits for nothing: Ctrl-C interrupts whatever does.
        _forget_traffic_token(settings)
        stop.set()
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)


def _forget_traffic_token(settings: Settings) -> None:
    """Revoke the token of the simulated fleet, also one that a killed process left behind."""
    if any(token.name == TRAFFIC_TOKEN for token in list_tokens(settings.tokens_file)):
        revoke_token(settings.tokens_file, TRAFFIC_TOKEN)
