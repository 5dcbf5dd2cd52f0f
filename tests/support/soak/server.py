"""The proxy of a soak as `ccproxy serve` runs it, with a look inside.

The same settings, app and server, but for these:

- a shorter patience, breakers and probes that are faster, and a grace of so many seconds for running
  streams after a stop signal;
- a look inside at `/_inside`: what lives in the process, by name (`Inside`);
- `POST /_inside?N` limits the process to N file descriptors; 0 takes the limit back.
"""

from __future__ import annotations

import asyncio
import gc
import os
import resource
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson
import psutil
import uvicorn
import uvloop

from ccproxy.app import build_proxy
from ccproxy.config.settings import load_settings
from ccproxy.observability.logs import RequestLog, configure_logging
from ccproxy.pipeline.slots import Slots
from ccproxy.serve import server_config
from tests.support.soak.surroundings import BREAKERS, HEALTH, PATIENCE_S, PING_AFTER_S

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

INSIDE: Final = "/_inside"
_COUNTED: Final = ("ccproxy.", "routing.", "aiohttp.", "httpx", "uvicorn.", "asyncio.")


class Inside:
    """Looks at what lives in this process.

    The first look puts all that is there out of the garbage collector's sight; later ones see what
    has come since, in a moment instead of a second.
    """

    def __init__(self) -> None:
        """Look at nothing yet."""
        self._slots: list[Slots] = []

    def look(self) -> dict[str, Any]:
        """Return what there is, JSON-ready."""
        gc.collect()
        if not self._slots:
            self._slots = [each for each in gc.get_objects() if isinstance(each, Slots)]
            gc.freeze()
        occupancies = [each.occupancy() for each in self._slots]
        process = psutil.Process()
        tasks = Counter(_running(task) for task in asyncio.all_tasks())
        kinds = Counter(map(type, gc.get_objects()))
        return {
            "tasks": dict(tasks),
            "objects": {name: count for kind, count in kinds.items() if (name := _name(kind))},
            "busy_slots": sum(each.busy for each in occupancies),
            "waiting_for_slots": sum(each.waiting for each in occupancies),
            "taken_slots": sum(map(_taken, self._slots)),
            "descriptors": process.num_fds(),
            "sockets": _sockets(process),
            "threads": process.num_threads(),
        }


def _sockets(process: psutil.Process) -> dict[str, int]:
    """Return how many sockets are in which state, of clients and of upstreams by their port."""
    sockets = process.net_connections()
    own = {each.laddr.port for each in sockets if each.status == psutil.CONN_LISTEN}
    return dict(
        Counter(
            f"{each.status} "
            + ("client" if each.laddr.port in own else f"upstream {each.raddr and each.raddr.port}")
            for each in sockets
        )
    )


def _name(kind: type) -> str | None:
    """Return the name of a class, if its objects are counted."""
    # Not of every class: some of those that are written in C have none, or no text.
    module = kind.__module__ if isinstance(kind.__module__, str) else ""
    return f"{module}.{kind.__qualname__}" if module.startswith(_COUNTED) else None


def _running(task: asyncio.Task[Any]) -> str:
    return getattr(task.get_coro(), "__qualname__", "unknown")


def _taken(slots: Slots) -> int:
    semaphore, limit = slots._semaphore, slots._limit
    return 0 if semaphore is None or limit is None else limit - semaphore._value


def limit_descriptors(count: int) -> None:
    """Let this process open no more than so many files and sockets; 0 is as many as ever."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (count or hard, hard))


def with_a_look_inside(app: ASGIApp) -> ASGIApp:
    """Return the app with one path more."""
    inside = Inside()

    async def served(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != INSIDE:
            await app(scope, receive, send)
            return
        if scope["method"] == "POST":
            limit_descriptors(int(scope["query_string"]))
        body = orjson.dumps(inside.look())
        headers = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return served


def main(config: str, port: str, grace_s: str) -> None:
    """Serve until a signal stops it."""
    settings = load_settings(Path(config), os.environ)
    configure_logging()
    proxy = build_proxy(
        settings,
        sinks=[RequestLog()],
        patience_s=PATIENCE_S,
        ping_after_s=PING_AFTER_S,
        health_rules=HEALTH,
        breaker_rules=BREAKERS,
    )
    app = with_a_look_inside(proxy.app)
    server = uvicorn.Server(server_config(app, "127.0.0.1", int(port), grace_s=int(grace_s)))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(server.serve())
