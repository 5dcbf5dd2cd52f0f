"""Downloads of the simulated Ollama: pieces, what is kept of a broken one, and `/api/create`.

A pull goes through the pieces of a model in quarters. What was sent before a client left, or before
a fault broke the answer off, is kept, and the next pull begins there, as Ollama's does.
Source: Ollama server/download.go, server/create.go (`parseFromModel`).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import orjson

from ccproxy.demo.ollama_models import normalised
from ccproxy.demo.ollama_requests import OllamaError
from ccproxy.demo.ollama_trouble import break_stream
from ccproxy.demo.ollama_wire import NDJSON

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ccproxy.demo.ollama_models import SimModel
    from ccproxy.demo.ollama_requests import JsonObject
    from ccproxy.demo.ollama_wire import Exchange

QUARTERS: Final = 4
_LINE_S: Final = 0.2


@dataclass(slots=True)
class Downloads:
    """What the registry has, what is on the machine, and what is half there."""

    registry: dict[str, SimModel]
    """By normalised name."""
    models: dict[str, SimModel]
    """On the machine, by normalised name; changed here."""
    pause: Callable[[float], Awaitable[None]]
    kept_quarters: dict[str, int] = field(default_factory=dict)
    """Of unfinished downloads, by digest."""

    async def serve(self, exchange: Exchange, name: str) -> None:
        """Answer `/api/pull` or `/api/create`.

        Raises:
            OllamaError: 400 for a model made of anything but another model that is there.
        """
        if exchange.request.path == "/api/pull":
            await self._pull(exchange, name)
        else:
            await self._create(exchange, name)

    async def _pull(self, exchange: Exchange, name: str) -> None:
        model = self.registry.get(normalised(name))
        stream = _wants_stream(exchange.request.body)
        if model is None:
            lines: list[JsonObject] = [
                {"status": "pulling manifest"},
                {"error": "pull model manifest: file does not exist"},
            ]
            await self._answer(exchange, lines, stream=stream)
            return
        if await self._answer(exchange, self._pull_lines(model), stream=stream, model=model):
            self.models[normalised(name)] = model
            self.kept_quarters.pop(model.digest, None)

    async def _create(self, exchange: Exchange, name: str) -> None:
        body = exchange.request.body
        base = self.models.get(normalised(str(body.get("from", ""))))
        if base is None:
            raise OllamaError(400, "neither 'from' or 'files' was specified")
        parameters = body.get("parameters") or {}
        made = replace(base, name=normalised(name), made_with=tuple(sorted(parameters.items())))
        self.models[normalised(name)] = made
        ends = ("using existing layer", "writing manifest", "success")
        lines: list[JsonObject] = [{"status": end} for end in ends]
        await self._answer(exchange, lines, stream=_wants_stream(body))

    def _pull_lines(self, model: SimModel) -> list[JsonObject]:
        digest, total = f"sha256:{model.digest}", model.weights_bytes
        parts = [
            {
                "status": f"pulling {model.digest[:12]}",
                "digest": digest,
                "total": total,
                "completed": total * done // QUARTERS,
            }
            for done in range(self.kept_quarters.get(model.digest, 0), QUARTERS + 1)
        ]
        ends = ("verifying sha256 digest", "writing manifest", "success")
        return [{"status": "pulling manifest"}, *parts, *({"status": end} for end in ends)]

    async def _answer(
        self,
        exchange: Exchange,
        lines: list[JsonObject],
        *,
        stream: bool,
        model: SimModel | None = None,
    ) -> bool:
        """Send the lines; False if a fault broke them off."""
        if not stream:
            await exchange.json(500 if "error" in lines[-1] else 200, lines[-1])
            return True
        await exchange.start(200, NDJSON)
        for number, line in enumerate(lines):
            fault = exchange.fault
            breaks = fault is not None and number == fault.after_records
            if fault is not None and breaks and await break_stream(exchange, fault):
                return False
            await exchange.write(orjson.dumps(line) + b"\n")
            if model is not None and "completed" in line:
                self.kept_quarters[model.digest] = line["completed"] * QUARTERS // line["total"]
            await self.pause(_LINE_S)
        await exchange.end()
        return True


def _wants_stream(body: Any) -> bool:  # noqa: ANN401 - JSON
    return not (isinstance(body, dict) and body.get("stream") is False)
