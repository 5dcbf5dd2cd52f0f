"""Fetching models with progress that people can watch."""

from __future__ import annotations

import shlex
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from ccproxy.cli.output import remark
from ccproxy.setup.arithmetic import BYTES_PER_GIB
from ccproxy.setup.catalogue import CATALOGUE
from ccproxy.setup.recipes import find_recipe, is_made_of
from ccproxy.upstreams.ollama_pull import OllamaPuller, PullFailed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator, Sequence

    from rich.progress import TaskID

    from ccproxy.setup.deployed import Deployed
    from ccproxy.setup.recipes import Recipe
    from ccproxy.upstreams.ollama_pull import Progress as News


async def pull_all(
    wanted: Sequence[Deployed], recipes: Sequence[Recipe], *, refetch: bool
) -> list[str]:
    """Fetch models one after the other, and return why some could not be had.

    Args:
        wanted: Whose Ollamas answer.
        recipes: For names that the registry does not have.
        refetch: Fetch a recipe's base also where it is there.
    """
    failures = []
    with _shown() as show:
        for each in {(each.sight.api_base, each.model): each for each in wanted}.values():
            puller = OllamaPuller(each.sight.api_base)
            try:
                await _pull(puller, each, find_recipe(recipes, each.model), show, refetch=refetch)
            except PullFailed as error:
                failures.append(str(error))
            finally:
                await puller.aclose()
    return failures


def of_another_base(deployed: Iterable[Deployed], recipes: Sequence[Recipe]) -> list[str]:
    """Return a line for each model that is there, and was not made as its recipe says."""
    notes = []
    for each in deployed:
        recipe = find_recipe(recipes, each.model)
        if recipe is None or each.pulled is None:
            continue
        if is_made_of(each.pulled.size_bytes, _base_bytes(each, recipe)) is False:
            notes.append(
                f"note: {each.model} is there, but not made of {recipe.base} as its recipe says; "
                f"`ccproxy models pull {shlex.quote(each.settings.name)} --all` makes it anew"
            )
    return notes


def _base_bytes(each: Deployed, recipe: Recipe) -> float | None:
    """Return the size of a recipe's base: as it is there, else by the catalogue."""
    base, card = each.sight.find(recipe.base), CATALOGUE.get(recipe.base)
    if base is not None:
        return base.size_bytes
    return None if card is None else card.weights_gib * BYTES_PER_GIB


async def _pull(
    puller: OllamaPuller, each: Deployed, recipe: Recipe | None, show: _Show, *, refetch: bool
) -> None:
    if recipe is None:
        await show.all_of(each.model, puller.pull(each.model))
        return
    is_own_base = recipe.base == recipe.creates
    if refetch or is_own_base or each.sight.find(recipe.base) is None:
        await show.all_of(recipe.base, puller.pull(recipe.base))
    made = puller.create(recipe.creates, recipe.base, recipe.parameters)
    await show.all_of(f"{recipe.creates} from {recipe.base}", made)


class _Show:
    """A bar for every piece on a terminal, else a line for every change."""

    def __init__(self, bars: Progress | None) -> None:
        self._bars = bars

    async def all_of(self, what: str, news: AsyncIterator[News]) -> None:
        """Show a download from its beginning to its end."""
        tasks: dict[str, TaskID] = {}
        last = ""
        async for each in news:
            if self._bars is None:
                if each.status not in {last, "success"}:
                    remark(f"{what}: {each.status}")
            elif each.digest is not None and each.total_bytes:
                if each.digest not in tasks:
                    label = f"{what} {each.digest[-12:]}"
                    tasks[each.digest] = self._bars.add_task(label, total=each.total_bytes)
                self._bars.update(tasks[each.digest], completed=each.done_bytes)
            elif each.status.startswith("broke off"):
                self._bars.console.print(f"{what}: {each.status}")
            last = each.status
        done = f"{what}: done"
        if self._bars is None:
            remark(done)
        else:
            self._bars.console.print(done)


@contextmanager
def _shown() -> Iterator[_Show]:
    if not sys.stderr.isatty():
        yield _Show(None)
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True, highlight=False, markup=False)) as bars:
        yield _Show(bars)
