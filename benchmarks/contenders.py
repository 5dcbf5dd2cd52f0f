"""What is measured: each contender as a process with a port, in front of one upstream.

ccproxy runs as its users run it: `ccproxy serve` with a config file, a tokens file, the shipped
routing table and the roster of 117 agents, one worker, and its request log (to `/dev/null`).
"""

from __future__ import annotations

import shutil
import sys
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from benchmarks.processes import (
    CLIENT_CORE,
    SERVER_CORE,
    Gauge,
    free_port,
    start,
    stopping,
    wait_for_port,
)
from benchmarks.raw_client import Connection
from ccproxy.auth import create_token

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

REPOSITORY: Final = Path(__file__).resolve().parents[1]
CLAUDE_MODEL: Final = "claude-opus-4-1-20250805"
QUICK: Final = "qwen-coder"
PACED: Final = "qwen-fast"

NGINX_CONF: Final = """
daemon off; worker_processes 1; error_log /dev/null; pid {folder}/nginx.pid;
events {{ worker_connections 4096; }}
http {{
  access_log off; client_max_body_size 64m; client_body_buffer_size 1m;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  upstream claude {{ server 127.0.0.1:{upstream}; keepalive 64; }}
  server {{
    listen 127.0.0.1:{port} backlog=2048; keepalive_requests 1000000;
    location / {{
      proxy_pass http://claude; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_buffering off; proxy_read_timeout 600s;
    }}
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Contender:
    """Something on a port that answers like the upstream."""

    name: str
    port: int
    gauge: Gauge | None
    """None where there is no process to measure, that is for going direct."""


@dataclass(frozen=True, slots=True)
class Home:
    """A folder with a config file, and the token it accepts."""

    config: Path
    token: str


@contextmanager
def running_upstream() -> Iterator[int]:
    """Run the fast upstream; yield its port."""
    command = [sys.executable, "-m", "benchmarks.fast_upstream"]
    process = start(command, core=CLIENT_CORE, read_output=True, cwd=REPOSITORY)
    with stopping(process):
        assert process.stdout is not None
        yield int(process.stdout.readline())


def make_home(folder: Path, upstream_port: int, *, paced_model: str | None) -> Home:
    """Write a config of the shipped shape.

    Args:
        folder: Where to.
        upstream_port: Of the fast upstream, which plays Claude and Ollama.
        paced_model: What `qwen-fast` is at Ollama. With None nothing is served by Ollama: the
            local names of the shipped routing table lead to Claude as well, and LiteLLM stays off.
    """
    folder.mkdir(parents=True, exist_ok=True)
    base = f"http://127.0.0.1:{upstream_port}"
    shipped = yaml.safe_load((REPOSITORY / "config/ccproxy.yaml").read_text())
    model_list: list[dict[str, Any]] = []
    for name, was_claude in _shipped_deployments(shipped):
        params = {"model": "anthropic/*", "api_base": base, "api_key": "upstream-key"}
        if paced_model is not None and not was_claude:
            model = paced_model if name == PACED else "quick:latest"
            params = {"model": f"ollama_chat/{model}", "api_base": base}
        model_list.append({"model_name": name, "litellm_params": params})
    document = {
        "server": {"host": "127.0.0.1", "port": 8081},
        "auth": {"mode": "required", "tokens_file": "tokens.json"},
        "roster": str(REPOSITORY / "config/orchestra-config.json"),
        "routing": str(REPOSITORY / "config/routing.yaml"),
        "model_list": model_list,
        "ledger": {"url": "sqlite:///ccproxy.db"},
    }
    config = folder / "ccproxy.yaml"
    config.write_text(yaml.safe_dump(document))
    token = create_token(folder / "tokens.json", "bench", scopes=(), agents=())
    return Home(config, token)


def _shipped_deployments(shipped: dict[str, Any]) -> Iterator[tuple[str, bool]]:
    """Yield name, and whether it is Claude, of every deployment of the shipped config file."""
    for entry in shipped["model_list"]:
        yield entry["model_name"], entry["litellm_params"]["model"].startswith("anthropic/")


@contextmanager
def running_ccproxy(home: Home, name: str, *, log_requests: bool = True) -> Iterator[Contender]:
    """Run one worker until the block ends."""
    with stopping_proxy(home, log_requests=log_requests) as (process, port):
        wait_for_port(port, process)
        yield Contender(name, port, Gauge(process.pid))


@contextmanager
def stopping_proxy(
    home: Home, *, log_requests: bool = True
) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Start one worker and do not wait for it."""
    port = free_port()
    command = [sys.executable, "-m", "ccproxy", "serve", "--config", str(home.config)]
    command += ["--port", str(port)]
    if not log_requests:
        command = [sys.executable, "-m", "benchmarks.quiet_server", str(home.config), str(port)]
    process = start(command, core=SERVER_CORE, cwd=REPOSITORY)
    with stopping(process):
        yield process, port


def start_to_first_answer_s(home: Home, request: bytes) -> float:
    """Start a worker, ask until it answers 200, and return the seconds that took."""
    began = time.perf_counter()
    with stopping_proxy(home) as (_, port):
        while True:
            try:
                connection = Connection(port)
            except ConnectionRefusedError:
                if time.perf_counter() - began > 60:
                    raise
                time.sleep(0.002)
                continue
            connection.exchange(request)
            took_s = time.perf_counter() - began
            connection.close()
            return took_s


@contextmanager
def running_nginx(folder: Path, upstream_port: int) -> Iterator[Contender]:
    """Run nginx as a reverse proxy with one worker."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    conf = folder / "nginx.conf"
    conf.write_text(NGINX_CONF.format(folder=folder, upstream=upstream_port, port=port))
    binary = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/opt/homebrew/bin:/usr/bin")
    assert binary is not None
    process = start([binary, "-p", str(folder), "-c", str(conf)], core=SERVER_CORE)
    with stopping(process):
        wait_for_port(port, process)
        yield Contender("nginx", port, Gauge(process.pid))


def has_nginx() -> bool:
    """Say whether nginx is installed."""
    return (
        shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/opt/homebrew/bin:/usr/bin")
        is not None
    )


@contextmanager
def claude_side(folder: Path, home: Home, upstream_port: int) -> Iterator[list[Contender]]:
    """Run everything that is compared on the Claude side."""
    with ExitStack() as stack:
        contenders = [Contender("direct", upstream_port, None)]
        if has_nginx():
            contenders.append(stack.enter_context(running_nginx(folder / "nginx", upstream_port)))
        contenders.append(stack.enter_context(running_ccproxy(home, "ccproxy")))
        quiet = running_ccproxy(home, "ccproxy, log off", log_requests=False)
        contenders.append(stack.enter_context(quiet))
        yield contenders


@contextmanager
def running_bare_litellm(upstream_port: int) -> Iterator[subprocess.Popen[str]]:
    """Run the floor of the local side; see `benchmarks.bare_litellm` for its jobs."""
    command = [sys.executable, "-m", "benchmarks.bare_litellm"]
    command.append(f"http://127.0.0.1:{upstream_port}")
    process = start(command, core=SERVER_CORE, read_output=True, cwd=REPOSITORY)
    with stopping(process):
        yield process
