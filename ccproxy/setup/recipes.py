"""Modelfile recipes: names that the roster uses and the registry does not know.

A recipe is a Modelfile with the lines `FROM base` and `PARAMETER name value`, and a comment
`# creates NAME`. It lies in `modelfiles/` beside `ccproxy.yaml`. `num_ctx` is in it so that whoever
uses the model without saying a context, such as `ollama run`, makes Ollama load nothing again.
Source: Ollama docs/modelfile.md.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from routing.wishes import plain_model

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from ccproxy.setup.choice import ChosenModel

FOLDER: Final = "modelfiles"
SUFFIX: Final = ".Modelfile"
_CREATES: Final = re.compile(r"#\s*creates\s+(\S+)")
_MOST_BYTES: Final = 64 * 1024
_SAME_SIZE: Final = 0.02
"""How far sizes are apart at most that count as the same: the catalogue rounds them."""


class RecipeError(Exception):
    """A recipe that cannot be used; the message names file and line, and how to fix it."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one model is made of another."""

    creates: str
    base: str
    """What the registry calls the model it is made of."""
    parameters: Mapping[str, int | float | str] = field(default_factory=dict)


def recipe_text(model: ChosenModel) -> str:
    """Return the recipe of a chosen model."""
    return (
        f"# creates {model.model}\n"
        "# `ccproxy models pull` fetches the base and creates the model; by hand:\n"
        f"# ollama create {model.model} -f {model.role.value}{SUFFIX}\n"
        f"FROM {model.card.name}\n"
        f"PARAMETER num_ctx {model.num_ctx}\n"
    )


def load_recipes(folder: Path) -> tuple[Recipe, ...]:
    """Return the recipes beside a config file; none where there is no folder of them.

    Raises:
        RecipeError: One of them cannot be used.
    """
    return tuple(
        _read(file.read_text(encoding="utf-8", errors="replace")[:_MOST_BYTES], file)
        for file in sorted((folder / FOLDER).glob(f"*{SUFFIX}"))
    )


def find_recipe(recipes: Iterable[Recipe], model: str) -> Recipe | None:
    """Return the recipe that makes a model of that name."""
    plain = plain_model(model)
    return next((each for each in recipes if plain_model(each.creates) == plain), None)


def is_made_of(made_bytes: int | None, base_bytes: float | None) -> bool | None:
    """Return whether a model has the size of the one that its recipe makes it of.

    It has the same weights; template and parameters are a few kilobytes. None where a size is
    unknown.
    """
    if made_bytes is None or base_bytes is None:
        return None
    return abs(made_bytes - base_bytes) <= _SAME_SIZE * base_bytes


def _read(text: str, file: Path) -> Recipe:
    creates = base = ""
    parameters: dict[str, int | float | str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split(maxsplit=2)
        match [word if index else word.upper() for index, word in enumerate(words)]:
            case ["FROM", name]:
                base = name
            case ["PARAMETER", name, value]:
                parameters[name] = _value(value)
            case [first, *_] if first.startswith("#"):
                found = _CREATES.match(line)
                creates = found[1] if found is not None else creates
            case []:
                continue
            case _:
                raise RecipeError(
                    f"{file}:{number}: only FROM, PARAMETER and comments are used here; for more "
                    f"run `ollama create NAME -f {file}` yourself"
                )
    if not creates or not base:
        what = "a comment `# creates NAME`" if not creates else "a line `FROM model`"
        raise RecipeError(f"{file}: needs {what}")
    return Recipe(creates, base, parameters)


def _value(text: str) -> int | float | str:
    """Return a parameter's value as Ollama's API takes it."""
    text = text.strip()
    for convert in (int, float):
        try:
            return convert(text)
        except ValueError:
            continue
    return text.strip('"')
