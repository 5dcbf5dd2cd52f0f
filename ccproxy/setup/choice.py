"""Which models a machine gets: the largest that fit together, by the roster's wishes.

Rules:
1. Everything chosen stays loaded at once, each with its pinned context, also by the cautious sum
   that Ollama makes before it loads one: nothing is unloaded to load something else for ever.
2. The largest coder counts first, then the longest context, then the largest fast model.
3. A context under `LEAST_CONTEXT_TOKENS` is no use to an agent: its prompt and tools alone take
   that much. Rather a smaller model.
4. The general model is loaded besides the largest coder, if it is wished and fits too; else the
   coder stands in for it.
5. Where not even two small models fit, one serves all; where that does not fit, none does.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Final

from ccproxy.setup.arithmetic import (
    Runner,
    kv_kib_per_token,
    load_of,
    model_memory_gib,
    resident_gib,
    stay_together,
)
from ccproxy.setup.catalogue import CODER, GENERAL
from ccproxy.setup.wishes import DEFAULT_MODELS, Role
from routing.wishes import plain_model

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ccproxy.setup.catalogue import ModelCard
    from ccproxy.setup.wishes import Wishes

RAM_PROFILES_GIB: Final = (16, 24, 32, 48, 64, 96)
"""Memory of the Apple machines there are; the last stands for all that have more."""
CONTEXTS_TOKENS: Final = (32768, 24576, 20480)
LEAST_CONTEXT_TOKENS: Final = CONTEXTS_TOKENS[-1]
_TAG: Final = r"[A-Za-z_][A-Za-z_.-]{0,79}"
_FREE_NAME: Final = re.compile(rf"qwen-[A-Za-z_.-]{{1,75}}(?::{_TAG})?", re.IGNORECASE)
"""Names that a recipe may give to a model of ours: the registry has no `qwen-...`. Any other is, or
may become, somebody's model, and one with a digit would say a size that is not the model's.
Source: the grammar of names in Ollama's types/model/name.go, without its hosts and namespaces."""


@dataclass(frozen=True, slots=True)
class ChosenModel:
    """One local deployment-to-be."""

    role: Role
    card: ModelCard
    model: str
    """What the deployment asks Ollama for: the card's name, or one that a recipe makes from it."""
    num_ctx: int
    kv_kib_per_token: float
    resident_gib: float
    stands_in_for: tuple[str, ...] = ()
    """Wished models that it is instead of."""

    @property
    def needs_recipe(self) -> bool:
        """True if the registry does not know its name."""
        return self.model != self.card.name


@dataclass(frozen=True, slots=True)
class Choice:
    """What a machine's local models are."""

    memory_gib: float
    """What models can have."""
    runner: Runner
    models: tuple[ChosenModel, ...]
    """Empty where nothing fits."""

    @property
    def resident_gib(self) -> float:
        """Memory with everything loaded."""
        return sum(model.resident_gib for model in self.models)

    def by_role(self, role: Role) -> ChosenModel | None:
        """Return the model of a role, or the one that stands in for it."""
        own = next((each for each in self.models if each.role is role), None)
        return own or next((each for each in self.models if each.role is Role.CODER), None)


def ram_profile_gib(ram_gib: float) -> int:
    """Return the profile of a machine: the largest that it has the memory of, or the smallest."""
    # Linux reports a few percent less than there is.
    reached = (each for each in RAM_PROFILES_GIB if each <= ram_gib * 1.05)
    return max(reached, default=RAM_PROFILES_GIB[0])


def choose(
    wishes: Wishes, *, ram_gib: float, runner: Runner, memory_gib: float | None = None
) -> Choice:
    """Return the models for a machine.

    Args:
        wishes: Of the roster.
        ram_gib: The machine's memory.
        runner: How Ollama runs.
        memory_gib: What models can have of it, if that is known otherwise.
    """
    room_gib = model_memory_gib(ram_gib) if memory_gib is None else memory_gib
    has_general = bool(wishes.of(Role.GENERAL))
    picked = next(_fitting(runner, room_gib, has_general=has_general), ())
    return Choice(room_gib, runner, tuple(_named(picked, wishes, runner)))


_Picked = tuple[tuple[Role, "ModelCard", int], ...]


def _fitting(runner: Runner, room_gib: float, *, has_general: bool) -> Iterator[_Picked]:
    """Yield what fits, best first."""
    for coder, context in product(CODER, CONTEXTS_TOKENS):
        for fast in _smaller(coder):
            pair: _Picked = ((Role.CODER, coder, context), (Role.FAST, fast, context))
            if not _fits(pair, runner, room_gib):
                continue
            trio: _Picked = (*pair[:1], (Role.GENERAL, GENERAL[0], context), *pair[1:])
            if has_general and coder is CODER[0] and _fits(trio, runner, room_gib):
                yield trio
            yield pair
    for coder, context in product(CODER, CONTEXTS_TOKENS):
        alone: _Picked = ((Role.CODER, coder, context),)
        if _fits(alone, runner, room_gib):
            yield alone


def _smaller(coder: ModelCard) -> Sequence[ModelCard]:
    """Return the fast models beside a coder: at most 7b, and smaller than it."""
    return [each for each in CODER[2:] if each.size_gb < coder.size_gb]


def _fits(picked: _Picked, runner: Runner, room_gib: float) -> bool:
    return stay_together((load_of(card, context, runner) for _, card, context in picked), room_gib)


def _named(picked: _Picked, wishes: Wishes, runner: Runner) -> Iterator[ChosenModel]:
    """Give each model the name that the roster wishes, where it may have it."""
    roles = {role for role, _, _ in picked}
    for role, card, context in picked:
        wished = list(wishes.of(role))
        if role is Role.CODER:
            wished += [w for other in Role if other not in roles for w in wishes.of(other)]
        model = _model_name(role, card, wishes)
        instead = [wish for wish in wished if plain_model(wish) != plain_model(model)]
        yield ChosenModel(
            role,
            card,
            model,
            context,
            kv_kib_per_token(card, runner.kv_cache),
            resident_gib(card, context, runner),
            tuple(instead),
        )


def _model_name(role: Role, card: ModelCard, wishes: Wishes) -> str:
    """Return a wished name for a fast model that is free, like `qwen-fast`; else the card's."""
    if role is not Role.FAST:
        return card.name
    wished = wishes.of(role) or (DEFAULT_MODELS[role],)
    return next((wish for wish in wished if _FREE_NAME.fullmatch(wish)), card.name)
