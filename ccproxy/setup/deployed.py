"""The deployments of a config file that an Ollama serves, beside what that Ollama says of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ccproxy.config.hosts import is_loopback, parse_api_base
from ccproxy.ports import ModelFacts
from ccproxy.setup.arithmetic import (
    BYTES_PER_GIB,
    KvCacheType,
    Load,
    Runner,
    buffers_gib,
    kv_gib,
    kv_kib_per_token,
)
from ccproxy.setup.catalogue import CATALOGUE
from ccproxy.setup.sight import OllamaSight, look_at_all

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ccproxy.config.deployments import DeploymentSettings
    from ccproxy.config.settings import Settings
    from ccproxy.upstreams.ollama import OllamaModel, ResidentModel

UNKNOWN: Final = ModelFacts()
USUAL_BUFFERS_GIB: Final = 0.3
"""Of a model that is not in the catalogue, with flash attention."""
_BYTES_PER_KIB: Final = 1024


@dataclass(frozen=True, slots=True)
class Deployed:
    """One deployment and its model."""

    settings: DeploymentSettings
    sight: OllamaSight

    @property
    def model(self) -> str:
        """The model's name at Ollama."""
        return self.settings.upstream_model

    @property
    def facts(self) -> ModelFacts:
        """What Ollama says of the model; nothing is known where it does not answer."""
        return self.sight.facts.get(self.model, UNKNOWN)

    @property
    def pulled(self) -> OllamaModel | None:
        """The model as Ollama lists it."""
        return self.sight.find(self.model)

    @property
    def loaded(self) -> ResidentModel | None:
        """The model as it lies in memory, if it does."""
        return self.sight.resident(self.model)

    @property
    def is_here(self) -> bool:
        """True if its Ollama is on this machine."""
        return is_loopback(parse_api_base(self.sight.api_base).host)

    def weights_gib(self) -> float | None:
        """Return the weights' memory: Ollama's word, else the config file's."""
        seen = self.facts.weights_bytes
        return self.settings.weights_gib if seen is None else seen / BYTES_PER_GIB

    def kv_kib_per_token(self, runner: Runner) -> float | None:
        """Return what a token of context costs: by the model's own numbers, else the file's.

        Where Ollama's settings cannot be seen, the file's word is first: `init` wrote it for the
        type of KV cache that it was told.
        """
        said, exact = self.settings.kv_kib_per_token, self._exact_kv_kib()
        if exact is None or (said is not None and not runner.is_seen):
            return said
        return exact * runner.kv_cache.bytes_per_value / KvCacheType.F16.bytes_per_value

    def resident_gib(self, runner: Runner) -> float | None:
        """Return the memory of the model at its pinned context; None where too little is known."""
        load = self.load(runner)
        return None if self.kv_kib_per_token(runner) is None or load is None else load.resident_gib

    def load(self, runner: Runner) -> Load | None:
        """Return both sizes, without a KV cache that is not known; None without the weights."""
        weights = self.weights_gib()
        if weights is None:
            return None
        kv_kib = self.kv_kib_per_token(runner)
        exact_kib = self._exact_kv_kib()
        kv, exact = (
            kv_gib(each or 0, self.settings.num_ctx or 0, runner.parallel)
            for each in (kv_kib, kv_kib if exact_kib is None else exact_kib)
        )
        return Load(weights + kv + self._buffers_gib(runner), weights + exact)

    def _exact_kv_kib(self) -> float | None:
        """Return what a token costs at f16: by Ollama's word, else the catalogue's."""
        seen, card = self.facts.kv_bytes_per_token, CATALOGUE.get(self.model)
        if seen is None:
            return None if card is None else kv_kib_per_token(card, KvCacheType.F16)
        return seen / _BYTES_PER_KIB

    def _buffers_gib(self, runner: Runner) -> float:
        """Return the buffers: of a model of the catalogue exactly, of others about."""
        card = CATALOGUE.get(self.model)
        if card is None:
            return USUAL_BUFFERS_GIB
        context = self.settings.num_ctx or 0
        return buffers_gib(card, context, flash_attention=runner.flash_attention)


def look_at_deployments(settings: Settings) -> tuple[Deployed, ...]:
    """Ask every Ollama of the settings, and return its deployments in the order of the file."""
    ours = [each for each in settings.deployments if each.is_ollama and each.api_base]
    models: dict[str, list[str]] = {}
    for each in ours:
        models.setdefault(each.api_base or "", []).append(each.upstream_model)
    sights = look_at_all(models)
    return tuple(Deployed(each, sights[each.api_base or ""]) for each in ours)


def named(deployed: Iterable[Deployed], names: Iterable[str]) -> tuple[Deployed, ...]:
    """Return those of some names, of deployments or of models; all of them without a name.

    Raises:
        KeyError: With the first name that nothing has.
    """
    everything, wanted = tuple(deployed), tuple(names)
    for name in wanted:
        if not any(name in (each.settings.name, each.model) for each in everything):
            raise KeyError(name)
    return tuple(
        each
        for each in everything
        if not wanted or each.settings.name in wanted or each.model in wanted
    )
