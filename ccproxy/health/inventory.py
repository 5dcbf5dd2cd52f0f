"""What one local backend has: which models are pulled, what they can do, which are in memory.

Learned from `/api/tags`, `/api/ps` and, once per model and digest, `/api/show`; none of these loads
a model. A failure of one of these questions says nothing of the backend, and what was learned
before stays: capabilities do not change because a server is down.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from ccproxy.health.rows import transition_rows
from ccproxy.ports import ModelFacts
from routing.transitions import WHY_LIMIT, Transition, with_latest

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from ccproxy.health.backend import BackendControl, LoadedModel, PulledModel


class ModelState(StrEnum):
    """Where a model is."""

    UNKNOWN = "unknown"
    ABSENT = "absent"
    """Not pulled."""
    PRESENT = "present"
    """On disk."""
    RESIDENT = "resident"
    """In memory."""


_WHY: Final = {
    ModelState.ABSENT: "not in /api/tags",
    ModelState.PRESENT: "in /api/tags",
    ModelState.RESIDENT: "in /api/ps",
    ModelState.UNKNOWN: "nobody could look yet",
}


@dataclass(slots=True)
class Known:
    """What was learned of one model, and of which digest."""

    facts: ModelFacts | None = None
    shown_digest: str | None = None
    loaded: LoadedModel | None = None
    """As it was when last looked; None also where nobody could look."""
    was_loaded: bool | None = None
    """Whether it was in memory then; None where nobody could look."""
    has_answered: bool = False
    """Since that look began."""
    transitions: tuple[Transition[ModelState], ...] = ()
    """By the clock of whoever watches."""

    @property
    def state(self) -> ModelState:
        """Where it was when last looked for."""
        return self.transitions[-1].state if self.transitions else ModelState.UNKNOWN

    @property
    def is_loaded(self) -> bool | None:
        """Whether it is in memory, as far as is known: what has just answered is."""
        return True if self.has_answered else self.was_loaded

    def row(self, unix_s: Callable[[float | None], float | None]) -> dict[str, Any]:
        """Return it for `/health`, JSON-ready."""
        loaded = self.loaded
        memory = None
        if loaded is not None:
            memory = {
                "size_bytes": loaded.size_bytes,
                "size_vram_bytes": loaded.size_vram_bytes,
                "context_tokens": loaded.context_tokens,
                "expires_at": loaded.expires_at,
            }
        transitions = transition_rows(self.transitions, unix_s)
        return {
            "state": self.state,
            "since": transitions[-1]["at"] if transitions else None,
            "why": _WHY[self.state],
            "transitions": transitions,
            "loaded": memory,
            **asdict(self.facts or ModelFacts()),
        }


class Inventory:
    """The models of one backend that somebody asks for."""

    def __init__(
        self, control: BackendControl, models: Collection[str], now: Callable[[], float]
    ) -> None:
        """Begin without any knowledge; `now` is the clock of the changes."""
        self._control = control
        self._now = now
        self.models = {tagged(name): Known() for name in models}
        self.last_error: str | None = None
        """What went wrong when it was last taken."""

    def known(self, model: str) -> Known | None:
        """Return what is known of a model; None where nobody watches it."""
        return self.models.get(tagged(model))

    def answered(self, model: str) -> None:
        """Hear that a model has answered just now: nothing answers that is not in memory."""
        known = self.known(model)
        if known is not None:
            known.has_answered = True

    async def take(self) -> None:
        """Look at everything once; errors are kept as text."""
        try:
            self.last_error = await self._look()
        except Exception as exc:  # noqa: BLE001 - the boundary of a background task
            self.last_error = _text(exc)

    async def _look(self) -> str | None:
        """Return what went wrong with a single question, or None."""
        error: str | None = None
        pulled = {tagged(model.name): model for model in await self._control.models()}
        for name, known in self.models.items():
            model = pulled.get(name)
            if model is None:
                known.facts, known.shown_digest = ModelFacts(present=False), None
            elif known.shown_digest != model.digest:
                error = await self._show(known, model) or error
        return await self._look_at_memory() or error

    async def _show(self, known: Known, model: PulledModel) -> str | None:
        """Learn of one model; what fails is tried again the next time."""
        try:
            facts = await self._control.show(model.name)
        except Exception as exc:  # noqa: BLE001 - the boundary of a background task
            # What an earlier digest was is not known of this one.
            known.facts = ModelFacts(present=True, remote=model.remote or None)
            return _text(exc)
        known.facts = replace(
            facts, remote=model.remote or facts.remote, weights_bytes=model.size_bytes
        )
        known.shown_digest = model.digest
        return None

    async def _look_at_memory(self) -> str | None:
        """Learn what is loaded."""
        loaded: dict[str, LoadedModel] = {}
        error: str | None = None
        for known in self.models.values():
            # Before it is asked: an answer meanwhile is newer than what it says.
            known.has_answered = False
        try:
            loaded = {tagged(each.name): each for each in await self._control.resident()}
        except Exception as exc:  # noqa: BLE001 - the boundary of a background task
            error = _text(exc)
        for name, known in self.models.items():
            known.loaded = loaded.get(name)
            known.was_loaded = None if error is not None else name in loaded
            self._note(known, _state(known))
        return error

    def _note(self, known: Known, state: ModelState) -> None:
        if state is not known.state:
            change = Transition(self._now(), state, _WHY[state])
            known.transitions = with_latest(known.transitions, change)


def tagged(model: str) -> str:
    """Return a model name as Ollama compares it: `x` is `x:latest`, case does not count."""
    lower = model.lower()
    return lower if ":" in lower.rpartition("/")[2] else f"{lower}:latest"


def _state(known: Known) -> ModelState:
    if known.loaded is not None:
        return ModelState.RESIDENT
    is_present = known.facts is not None and known.facts.present
    return ModelState.PRESENT if is_present else ModelState.ABSENT


def _text(exc: Exception) -> str:
    return (str(exc) or type(exc).__name__)[:WHY_LIMIT]
