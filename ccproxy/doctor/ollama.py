"""Whether Ollama answers, is set up for this fleet, and has the models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ccproxy.doctor.finding import error, ok, warning
from ccproxy.doctor.versions import check_ollama_version
from ccproxy.setup.arithmetic import KvCacheType
from ccproxy.setup.ollama_environment import (
    FLASH_ATTENTION,
    KEEP_ALIVE,
    KV_CACHE_TYPE,
    MAX_LOADED_MODELS,
    NUM_PARALLEL,
)
from ccproxy.setup.verifying import verify

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ccproxy.doctor.finding import Finding
    from ccproxy.setup.deployed import Deployed
    from ccproxy.setup.ollama_environment import OllamaEnvironment
    from ccproxy.setup.sight import OllamaSight

LOADED_BY_ITSELF: Final = 3
"""Models that an Ollama keeps loaded on one GPU unless told otherwise. Source: Ollama
server/sched.go, `defaultModelsPerGPU`."""


def check_ollamas(sights: Sequence[OllamaSight]) -> Iterator[Finding]:
    """Say whether each Ollama answers, and what its version is good for."""
    for sight in sights:
        if sight.version is None:
            yield error(
                "ollama",
                sight.problem,
                "its models serve nobody; routes go on to Claude, and private agents are refused",
                "open -a Ollama, or: ollama serve",
            )
        else:
            yield from check_ollama_version(sight.version)


def check_environment(
    environment: OllamaEnvironment, deployed: Sequence[Deployed]
) -> Iterator[Finding]:
    """Judge the settings of the Ollama of this machine.

    Args:
        environment: Its variables.
        deployed: The deployments it serves.
    """
    if not deployed:
        return
    if not environment.is_seen:
        yield ok(
            "ollama settings",
            f"cannot be seen from here; `ollama serve` logs them at its start. {FLASH_ATTENTION}=1 "
            f"and {NUM_PARALLEL}=1 are assumed (docs/models.md)",
        )
        return
    findings = [*_flash(environment), *_parallel(environment, deployed)]
    findings += _keep_alive(environment, deployed)
    yield from findings
    if not findings:
        told = ", ".join(f"{name}={value}" for name, value in environment.values.items())
        yield ok("ollama settings", f"{told or 'none'} ({environment.source})")


def _flash(environment: OllamaEnvironment) -> Iterator[Finding]:
    wanted = environment.values.get(KV_CACHE_TYPE, "")
    if environment.flash_attention is not True:
        ignored = f", and {KV_CACHE_TYPE}={wanted} is ignored" if wanted not in ("", "f16") else ""
        yield warning(
            "ollama settings",
            f"{FLASH_ATTENTION} is not set"
            if environment.flash_attention is None
            else f"{FLASH_ATTENTION} is {environment.values[FLASH_ATTENTION]}",
            "a qwen2.5 model takes up to 2.3 GiB more at a context of 32768, and reads more "
            f"slowly{ignored}",
            environment.to_set(FLASH_ATTENTION, 1),
        )
    elif environment.kv_cache is KvCacheType.Q4_0:
        yield warning(
            "ollama settings",
            f"{KV_CACHE_TYPE}={wanted}",
            "qwen2.5 answers get worse with keys and values of 4 bits (Ollama docs/faq.md)",
            environment.to_set(KV_CACHE_TYPE, KvCacheType.Q8_0),
        )


def _parallel(environment: OllamaEnvironment, deployed: Sequence[Deployed]) -> Iterator[Finding]:
    models = {each.model for each in deployed}
    most = environment.number(MAX_LOADED_MODELS) or LOADED_BY_ITSELF
    if most < len(models):
        yield warning(
            "ollama settings",
            f"{len(models)} models are configured, and Ollama keeps {most} loaded",
            "it unloads one to load another, which takes seconds each time",
            environment.to_set(MAX_LOADED_MODELS, len(models)),
        )
    parallel = environment.number(NUM_PARALLEL) or 1
    few = [each for each in deployed if (each.settings.max_parallel_requests or 1) > parallel]
    for each in few:
        yield warning(
            "ollama settings",
            f"{each.settings.name} lets {each.settings.max_parallel_requests} requests through at "
            f"once, and {NUM_PARALLEL} is {parallel}",
            "the rest waits inside Ollama, where nobody can tell how long",
            environment.to_set(NUM_PARALLEL, each.settings.max_parallel_requests),
        )


def _keep_alive(environment: OllamaEnvironment, deployed: Sequence[Deployed]) -> Iterator[Finding]:
    silent = [each.settings.name for each in deployed if each.settings.keep_alive is None]
    if not silent:
        return
    told = environment.values.get(KEEP_ALIVE)
    what = f"{', '.join(silent)}: no keep_alive, so that of Ollama counts ({told or '5m'})"
    if told is None:
        means = "after 5 minutes without a request the model is unloaded, and the next one waits"
        yield warning("ollama settings", what, means, "set keep_alive: 30m in ccproxy.yaml")


def check_models(deployed: Sequence[Deployed]) -> Iterator[Finding]:
    """Judge the models one by one.

    Args:
        deployed: Everything that an Ollama serves.
    """
    for each in deployed:
        if not each.sight.answers:
            continue  # said once, of the Ollama
        doubts = verify(each)
        for doubt in doubts:
            means = "requests for it fail, and go to the next deployment" if doubt.is_error else ""
            make = error if doubt.is_error else warning
            yield make("models", f"{each.settings.name}: {doubt.what}", means, doubt.fix)
        if not doubts:
            yield ok("models", f"{each.settings.name}: {each.model} is there")
