"""One look at an Ollama: its version, its models, what is loaded. Loads nothing."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from ccproxy.ports import ModelFacts
from routing.wishes import plain_model

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ccproxy.upstreams.ollama import OllamaControl, OllamaModel, ResidentModel

LOOK_FOR_S: Final = 5.0
"""The longest that one Ollama is waited for, before it is asked about single models."""
SHOW_FOR_S: Final = 3.0
"""The longest after that; all models are asked about at once."""
_MISSING: Final = ModelFacts(present=False)


@dataclass(frozen=True, slots=True)
class OllamaSight:
    """What one Ollama said."""

    api_base: str
    version: str | None = None
    """None where nobody answered."""
    problem: str = ""
    """Why not."""
    pulled: tuple[OllamaModel, ...] = ()
    loaded: tuple[ResidentModel, ...] = ()
    facts: Mapping[str, ModelFacts] = field(default_factory=dict)
    """Of the models that were asked about, by the name that was asked for."""
    unsaid: Mapping[str, str] = field(default_factory=dict)
    """Why nothing is known of a model that is there, by the name that was asked for."""

    @property
    def answers(self) -> bool:
        """True if it is there."""
        return self.version is not None

    def find(self, model: str) -> OllamaModel | None:
        """Return a pulled model by its name."""
        plain = plain_model(model)
        return next((each for each in self.pulled if plain_model(each.name) == plain), None)

    def resident(self, model: str) -> ResidentModel | None:
        """Return a loaded model by its name."""
        plain = plain_model(model)
        return next((each for each in self.loaded if plain_model(each.name) == plain), None)


def look_at_all(models: Mapping[str, Iterable[str]]) -> dict[str, OllamaSight]:
    """Look at several Ollamas at once, and ask each about some models.

    Args:
        models: By the Ollamas' addresses.
    """

    async def look() -> list[OllamaSight]:
        return await asyncio.gather(*(look_at(*item) for item in models.items()))

    return {sight.api_base: sight for sight in asyncio.run(look())}


async def look_at(
    api_base: str, models: Iterable[str] = (), *, show_for_s: float = SHOW_FOR_S
) -> OllamaSight:
    """Look at one Ollama; an answer that does not come is part of what is seen."""
    # 0.1 s (the ollama package and httpx), for those who ask.
    from ccproxy.upstreams.ollama import OllamaControl, OllamaControlError  # noqa: PLC0415

    control = OllamaControl(api_base)
    try:
        async with asyncio.timeout(LOOK_FOR_S):
            sight = await _look(control)
        return await _look_closer(control, sight, tuple(dict.fromkeys(models)), show_for_s)
    except OllamaControlError as error:
        return OllamaSight(api_base, problem=str(error))
    except TimeoutError:
        problem = f"Ollama at {api_base} does not answer within {LOOK_FOR_S:g} s"
        return OllamaSight(api_base, problem=problem)
    finally:
        await control.aclose()


async def _look(control: OllamaControl) -> OllamaSight:
    version = await control.version()
    pulled, loaded = await asyncio.gather(control.models(), control.resident())
    return OllamaSight(control.api_base, version, "", pulled, loaded)


async def _look_closer(
    control: OllamaControl, sight: OllamaSight, models: tuple[str, ...], show_for_s: float
) -> OllamaSight:
    """Ask about the models; one that is broken says nothing about the others."""
    told = await asyncio.gather(*(_facts(control, sight, each, show_for_s) for each in models))
    facts = dict(zip(models, (facts for facts, _ in told), strict=True))
    unsaid = {model: why for model, (_, why) in zip(models, told, strict=True) if why}
    return replace(sight, facts=facts, unsaid=unsaid)


async def _facts(
    control: OllamaControl, sight: OllamaSight, model: str, show_for_s: float
) -> tuple[ModelFacts, str]:
    """Return what is known of a model, and why it is not more."""
    from ccproxy.upstreams.ollama import OllamaControlError  # noqa: PLC0415 - as above

    found = sight.find(model)
    if found is None:
        return _MISSING, ""
    why, facts = "", ModelFacts(present=True)
    try:
        async with asyncio.timeout(show_for_s):
            facts = await control.show(model)
    except OllamaControlError as error:
        why = str(error)
    except TimeoutError:
        why = f"no answer within {show_for_s:g} s"
    return replace(facts, weights_bytes=found.size_bytes), why
