"""Task profiles and workloads, as the shipped `profiles.yaml` has them."""

from __future__ import annotations

import random
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

import yaml

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SHIPPED: Final = "profiles.yaml"
LEAST_OUTPUT_TOKENS: Final = 16
"""Of a request made after one in the ledger: shorter answers tell nothing of speed."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What one kind of task asks for; see `profiles.yaml`."""

    name: str
    input_tokens: int
    output_tokens: int
    about: str = ""
    tools: int = 0
    text: str = "prose"
    turns: int = 1
    result_tokens: int = 0
    cached: bool = False
    forced: bool = False
    stream: bool = True


@dataclass(frozen=True, slots=True)
class Profiles:
    """Everything that can be asked for by name."""

    profiles: Mapping[str, Profile]
    workloads: Mapping[str, Mapping[str, int]]
    """Workload -> profile -> tasks in one cycle."""

    @property
    def names(self) -> tuple[str, ...]:
        """Workloads, then profiles."""
        return (*self.workloads, *self.profiles)

    def tasks(self, name: str, count: int, seed: int) -> list[Profile]:
        """Return the profile of each task, in an order that depends on the seed.

        Every whole cycle of a workload has all of its tasks.

        Raises:
            KeyError: There is no such workload or profile.
        """
        shares = self.workloads.get(name, {name: 1})
        cycle = [self.profiles[each] for each, tasks in shares.items() for _ in range(tasks)]
        order = random.Random(f"order {seed}")  # noqa: S311 - it has to come again
        tasks: list[Profile] = []
        while len(tasks) < count:
            tasks += order.sample(cycle, len(cycle))
        return tasks[:count]


def shipped_profiles() -> Profiles:
    """Return what `profiles.yaml` says."""
    document: dict[str, Any] = yaml.safe_load((files("ccproxy.bench") / SHIPPED).read_text())
    profiles = {name: Profile(name, **said) for name, said in document["profiles"].items()}
    return Profiles(profiles, document["workloads"])


def from_shapes(shapes: Sequence[tuple[int, int]], count: int, seed: int) -> list[Profile]:
    """Return tasks with the sizes of earlier requests, drawn by chance; none where there are none.

    Args:
        shapes: Prompt and output tokens of each.
        count: How many tasks.
        seed: The same draws the same.
    """
    draw = random.Random(f"shapes {seed}")  # noqa: S311 - it has to come again
    return [
        Profile("ledger", prompt_tokens, max(LEAST_OUTPUT_TOKENS, output_tokens))
        for prompt_tokens, output_tokens in (draw.choices(shapes, k=count) if shapes else ())
    ]
