"""Whether the models are what the config file says of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ccproxy.setup.deployed import Deployed

WEIGHTS_OFF_BY: Final = 0.1
"""Part of a model's size that the config file may be wrong by."""


START_OLLAMA: Final = "start Ollama (open -a Ollama, or: ollama serve)"


@dataclass(frozen=True, slots=True)
class Doubt:
    """One thing that is not as the file says."""

    is_error: bool
    """True if requests will fail or be answered by another deployment."""
    what: str
    fix: str


def verify(deployed: Deployed) -> tuple[Doubt, ...]:
    """Return everything that is wrong with one deployment; nothing is loaded for it."""
    sight, name = deployed.sight, deployed.settings.name
    if not sight.answers:
        return (Doubt(True, sight.problem, f"{START_OLLAMA}, or correct api_base"),)
    if deployed.pulled is None:
        what = f"{deployed.model} is not in this Ollama"
        return (Doubt(True, what, f"ccproxy models pull {name}"),)
    return tuple(_doubts(deployed))


def _doubts(deployed: Deployed) -> Iterator[Doubt]:
    settings, facts, pulled = deployed.settings, deployed.facts, deployed.pulled
    if pulled is not None and not pulled.digest:
        again = f"ccproxy models pull {settings.name} --all"
        yield Doubt(True, f"{deployed.model} has no digest: an unfinished download?", again)
    why = deployed.sight.unsaid.get(deployed.model)
    if why is not None:
        ask = f"ccproxy models verify {settings.name} --ask"
        yield Doubt(False, f"Ollama says nothing of {deployed.model}: {why}", ask)
    if facts.remote and settings.on_premises:
        what = f"{deployed.model} is a stub: its inference runs on somebody else's machine"
        yield Doubt(True, what, "pull a model that runs here, or route nothing private to it")
    trained = facts.trained_context_tokens
    if trained is not None and settings.num_ctx is not None and settings.num_ctx > trained:
        what = f"num_ctx {settings.num_ctx} is above what it was trained for ({trained})"
        yield Doubt(True, what, f"set num_ctx: {trained} or less")
    yield from _capabilities(deployed)
    yield from _size(deployed)
    loaded = deployed.loaded
    if loaded is not None and loaded.context_tokens not in (None, settings.num_ctx):
        what = (
            f"it is loaded with a context of {loaded.context_tokens}, not {settings.num_ctx}: "
            "somebody else uses it, and each of you makes Ollama load it again"
        )
        yield Doubt(False, what, f"give them num_ctx {settings.num_ctx} too (docs/models.md)")


def _capabilities(deployed: Deployed) -> Iterator[Doubt]:
    settings, facts = deployed.settings, deployed.facts
    for key, said, seen in (
        ("supports_tools", settings.supports_tools, facts.supports_tools),
        ("supports_vision", settings.supports_vision, facts.supports_vision),
        ("supports_reasoning", settings.supports_reasoning, facts.supports_thinking),
    ):
        if said is None or seen is None or said == seen:
            continue
        what = f"the file says {key}: {str(said).lower()}, and Ollama says {str(seen).lower()}"
        yield Doubt(said, what, f"take {key} out of model_info: Ollama is asked for it")


def _size(deployed: Deployed) -> Iterator[Doubt]:
    said, seen = deployed.settings.weights_gib, deployed.weights_gib()
    if said is None or seen is None or abs(said - seen) <= WEIGHTS_OFF_BY * seen:
        return
    what = f"the file says weights_gib: {said:g}, and it has {seen:.2f} GiB: another quantisation?"
    again = f"ccproxy models pull {deployed.settings.name} --all"
    yield Doubt(False, what, f"{again}, or if this is the model that is meant: {seen:.2f}")
