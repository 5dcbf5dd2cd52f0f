"""Whether this machine has room for the models, by the arithmetic that `init` chooses them with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ccproxy.doctor.finding import error, ok, warning
from ccproxy.setup.arithmetic import LOAD_SHARE, RESERVE_GIB, stay_together
from routing.wishes import plain_model

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ccproxy.doctor.finding import Finding
    from ccproxy.setup.arithmetic import Load, Runner
    from ccproxy.setup.deployed import Deployed
    from ccproxy.setup.machine import Machine

_OTHER_MODELS: Final = (
    "ccproxy init --force chooses models that fit together; docs/models.md has other ways"
)


@dataclass(frozen=True, slots=True)
class _Sized:
    name: str
    """Of the deployment."""
    load: Load
    has_kv: bool
    """False where the KV cache is not known and so not in it."""

    def __str__(self) -> str:
        less = "" if self.has_kv else " without its KV cache, whose size is not known"
        return f"{self.name} {self.load.resident_gib:.1f}{less}"


def check_room(
    deployed: Iterable[Deployed], runner: Runner, memory_gib: float | None
) -> Iterator[Finding]:
    """Judge the models of this machine together; says nothing where there are none.

    Args:
        deployed: Everything that an Ollama serves.
        runner: How the Ollama of this machine runs.
        memory_gib: What models can have here; None where that is not known.
    """
    here = [each for each in deployed if each.is_here]
    if memory_gib is None:
        return
    sized = _sized(here, runner)
    too_big = [each for each in sized if each.load.resident_gib > memory_gib]
    for each in too_big:
        yield error(
            "models",
            f"{each.name} takes {each.load.resident_gib:.1f} GiB, and models can have "
            f"{memory_gib:.1f} GiB here",
            "part of it runs on the CPU, ten times slower, or it does not load at all",
            "lower num_ctx, take a smaller model, or: ccproxy init --force",
        )
    if sized and not too_big:
        yield _together(sized, memory_gib)
    unknown = dict.fromkeys(each.settings.name for each in here if each.weights_gib() is None)
    if unknown:
        yield ok("models", f"not reckoned with: {', '.join(unknown)}, whose size is not known")


def room_gib(machine: Machine, said_gib: float | None) -> float | None:
    """Return what models can have here; None where nobody knows.

    Args:
        machine: Itself.
        said_gib: By the routing table. It counts, for whoever wrote it knows of a graphics card or
            of other programs; but macOS gives no more than it does.
    """
    known = [each for each in (said_gib, machine.memory_gib) if each is not None]
    return min(known, default=None) if machine.is_macos else next(iter(known), None)


def _together(sized: Sequence[_Sized], memory_gib: float) -> Finding:
    told = " + ".join(map(str, sized))
    total_gib = sum(each.load.resident_gib for each in sized)
    if total_gib > memory_gib:
        return warning(
            "models",
            f"{told} = {total_gib:.1f} GiB, and models can have {memory_gib:.1f} GiB here",
            "Ollama unloads one to load another; each change takes seconds",
            _OTHER_MODELS,
        )
    if not stay_together((each.load for each in sized), memory_gib):
        return warning(
            "models",
            f"{told} = {total_gib:.1f} of {memory_gib:.1f} GiB, which Ollama finds too close",
            f"it wants weights and KV cache at f16 in {LOAD_SHARE:.0%} of what is free beyond "
            f"{RESERVE_GIB:g} GiB, or unloads one to load another; each change takes seconds",
            _OTHER_MODELS,
        )
    return ok("models", f"{told} = {total_gib:.1f} of {memory_gib:.1f} GiB")


def _sized(here: Iterable[Deployed], runner: Runner) -> Sequence[_Sized]:
    """Return each model once, with the longest context that it is loaded with."""
    largest: dict[tuple[str, str], _Sized] = {}
    for each in here:
        load = each.load(runner)
        if load is None:
            continue
        key = (each.sight.api_base, plain_model(each.model))
        has_kv = each.kv_kib_per_token(runner) is not None
        before = largest.get(key)
        if before is None or before.load.resident_gib < load.resident_gib:
            largest[key] = _Sized(each.settings.name, load, has_kv)
    return tuple(largest.values())
