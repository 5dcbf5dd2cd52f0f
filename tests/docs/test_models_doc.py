"""docs/models.md, docs/doctor.md and docs/install.md say what is so."""

import re

import pytest

from ccproxy.cli.tree import PLACES, load
from ccproxy.config.settings import load_settings
from ccproxy.doctor.versions import KNOWN_BAD
from ccproxy.setup.recipes import find_recipe, load_recipes
from tests.support.capacity import PAGE, with_guide
from tests.support.tools import ROOT


def test_the_capacity_guide_is_what_the_arithmetic_says():
    """A change of the arithmetic or the catalogue needs `make docs`."""
    page = PAGE.read_text()

    assert with_guide(page) == page


def test_every_known_bad_version_is_in_the_page():
    """With the source of each."""
    page = (ROOT / "docs/doctor.md").read_text()

    sources = {
        source for bad in KNOWN_BAD for source in re.findall(r"CVE-[\d-]+|\S+#\d+", bad.source)
    }
    assert {source for source in sources if source not in page} == set()
    assert len(sources) >= len(KNOWN_BAD)


def test_shipped_recipes_make_the_shipped_models(tmp_path):
    """Each local deployment of config/ccproxy.yaml has a recipe with the context that is pinned there."""
    settings = load_settings(ROOT / "config/ccproxy.yaml", {"HOME": str(tmp_path)})
    recipes = load_recipes(ROOT / "config")
    made = {each.name: find_recipe(recipes, each.upstream_model) for each in settings.deployments}

    assert {each.name: each.num_ctx for each in settings.deployments if each.is_ollama} == {
        name: recipe.parameters["num_ctx"] for name, recipe in made.items() if recipe is not None
    }


@pytest.mark.parametrize("name", ["doctor.md", "install.md", "models.md"])
def test_commands_of_the_page_exist(name):
    """Every `ccproxy ...` in a page is a command with such options."""
    page = (ROOT / "docs" / name).read_text()
    shown = re.findall(r"^(?:.*`)?ccproxy ((?:[a-z-]+ ?)+[^#`\n]*)", page, re.MULTILINE)

    names = {place.name for place in PLACES}
    for line in shown:
        name, *words = line.split()
        assert name in names, line
        command = load(name)
        while words and hasattr(command, "commands"):
            command = command.commands.get(words.pop(0))
            assert command is not None, line
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known, line
    assert shown
