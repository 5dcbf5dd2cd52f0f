"""The Ollama that `make test-live` is run against, and which of its models play which part.

Models are picked among those that are pulled; a variable for each part overrules the choice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import httpx

from ccproxy.upstreams.ollama import OllamaControl
from tests.support.live_url import live_url

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ccproxy.ports import ModelFacts

DEFAULT_NUM_CTX: Final = 8192
_PREFERRED: Final = "qwen"
_SUPPORTS: Final = {
    "tools": "supports_tools",
    "thinking": "supports_thinking",
    "vision": "supports_vision",
}
PARTS: Final = ("text", *_SUPPORTS)
VARIABLES: Final = {
    "text": "CCPROXY_LIVE_MODEL",
    "tools": "CCPROXY_LIVE_TOOL_MODEL",
    "thinking": "CCPROXY_LIVE_THINKING_MODEL",
    "vision": "CCPROXY_LIVE_VISION_MODEL",
}
NUM_CTX_VARIABLE: Final = "CCPROXY_LIVE_NUM_CTX"


class NoLiveOllama(Exception):
    """The suite cannot run; the text says what to do about it."""


@dataclass(frozen=True, slots=True)
class LiveOllama:
    """What the suite runs against."""

    url: str
    version: str
    models: Mapping[str, str]
    """Part (of `PARTS`) -> model; a part that no model can play is missing."""
    num_ctx: int
    is_standin: bool
    """It says of itself that it is simulated: then the shape of answers counts, not their sense."""


async def find_live_ollama(environ: Mapping[str, str]) -> LiveOllama:
    """Return the Ollama to test against, having asked it what it has; nothing is loaded.

    Raises:
        NoLiveOllama: It does not answer, has no model, or lacks one that a variable names.
    """
    url = live_url(environ)
    control = OllamaControl(url)
    try:
        version = await control.version()
        pulled = [model for model in await control.models() if not model.remote]
        pulled.sort(key=lambda model: (_PREFERRED not in model.name, model.size_bytes or 0))
        facts = {model.name: await control.show(model.name) for model in pulled}
    except Exception as error:
        raise NoLiveOllama(f"{error}. Start Ollama, or say where it is in OLLAMA_HOST.") from error
    finally:
        await control.aclose()
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(f"{url}/api/version")
    return LiveOllama(
        url,
        version,
        _choose(facts, environ),
        int(environ.get(NUM_CTX_VARIABLE) or DEFAULT_NUM_CTX),
        is_standin="x-simulated" in answer.headers,
    )


def _choose(facts: Mapping[str, ModelFacts], environ: Mapping[str, str]) -> dict[str, str]:
    """Return a model for each part: as few different ones as possible, since each is loaded.

    `facts` are in the order of preference.
    """
    chosen: dict[str, str] = {}
    for part in PARTS:
        named = environ.get(VARIABLES[part])
        if named:
            chosen[part] = named
    able = [name for name, each in facts.items() if each.supports_tools]
    usable = able or [name for name in facts if "embed" not in name]
    if "text" not in chosen:
        if not usable:
            raise NoLiveOllama("No model is pulled: try `ollama pull qwen3:8b`.")
        chosen["text"] = usable[0]
    for part, ability in _SUPPORTS.items():
        candidates = [*chosen.values(), *facts]
        found = next((n for n in candidates if n in facts and getattr(facts[n], ability)), None)
        if part not in chosen and found is not None:
            chosen[part] = found
    return chosen
