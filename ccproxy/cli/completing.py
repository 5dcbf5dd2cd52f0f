"""Values for the Tab key, from the files of the config that the command would read.

Only names are taken, and nothing is checked: a file that is missing or broken gives no values, and
never an error while somebody types.
"""

# ruff: noqa: PLC0415 -- imported only at the Tab key

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import typer  # noqa: TC002 - Typer reads annotations

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

Named = list[tuple[str, str]]
"""Values, each with a line about it."""


def agent_names(ctx: typer.Context, incomplete: str) -> Named:
    """Return the roster's slugs; behind a comma another one."""
    return _behind_comma(incomplete, _names(ctx, _agents))


def profile_names(ctx: typer.Context, incomplete: str) -> Named:
    """Return the profiles of the routing file."""
    return _beginning(incomplete, _names(ctx, _profiles))


def deployment_names(ctx: typer.Context, incomplete: str) -> Named:
    """Return the deployments of the config file."""
    return _beginning(incomplete, _names(ctx, _deployments))


def local_names(ctx: typer.Context, incomplete: str) -> Named:
    """Return the deployments of the config file that an Ollama serves."""
    found = _names(ctx, _deployments)
    return _beginning(incomplete, [each for each in found if each[1].startswith("ollama")])


def token_names(ctx: typer.Context, incomplete: str) -> Named:
    """Return the names of the tokens."""
    return _beginning(incomplete, _names(ctx, _tokens))


def health_words(ctx: typer.Context, incomplete: str) -> Named:
    """Return what `--health` may assume of deployments, and of all of a kind."""
    groups = [("ollama", "all that an Ollama serves"), ("claude", "all of Claude's")]
    found = [
        (f"{name}={word}", told)
        for name, told in (*groups, *_names(ctx, _deployments))
        for word in ("down", "up")
    ]
    return _beginning(incomplete, found)


def limit_words(ctx: typer.Context, incomplete: str) -> Named:
    """Return what `--where` may limit to, of that whose values the files or this program have."""
    from routing.types import RequestClass, Side, Tier

    kinds: dict[str, Named] = {
        "agent": _names(ctx, _agents),
        "deployment": _names(ctx, _deployments),
        "principal": _names(ctx, _tokens),
        "request_class": [(each.value, "") for each in RequestClass],
        "route": [(each.value, "") for each in Side],
        "tier": [(each.value, "") for each in Tier],
    }
    found = [(f"{kind}={name}", told) for kind, names in kinds.items() for name, told in names]
    return _beginning(incomplete, found)


def version_names(ctx: typer.Context, incomplete: str) -> Named:
    """Return the kept versions of the routing files, newest first."""
    return _beginning(incomplete, _names(ctx, _versions))


def secret_references(ctx: typer.Context, incomplete: str) -> Named:
    """Return the references of the config file behind which a secret can be stored."""
    return _beginning(incomplete, _names(ctx, _references))


class _Files:
    """The config file, and what it names."""

    def __init__(self, given: Path | None) -> None:
        from ccproxy.cli.options import found_config

        self._config = found_config(given).absolute()
        self.settings = self._yaml(self._config)

    def named(self, key: str, default: str) -> Path:
        """Return the path that stands under a key."""
        return self.path(self.settings.get(key, default))

    def path(self, text: str) -> Path:
        """Return a path of the config file as an absolute one."""
        from ccproxy.config.locate import expand_path

        return expand_path(text, self._config.parent, os.environ)

    def routing(self) -> dict[str, Any]:
        """Return the routing file."""
        return self._yaml(self.named("routing", "routing.yaml"))

    def tokens_file(self) -> Path:
        """Return the path of the tokens file."""
        return self.path(self.settings.get("auth", {}).get("tokens_file", "tokens.json"))

    @staticmethod
    def _yaml(path: Path) -> dict[str, Any]:
        import yaml

        with path.open("rb") as file:
            return dict(yaml.load(file, yaml.CSafeLoader))


def _names(ctx: typer.Context, read: Callable[[_Files], Named]) -> Named:
    try:
        return read(_Files(ctx.params.get("config")))
    except Exception:  # noqa: BLE001 - whatever is wrong, this is no moment to tell
        return []


def _agents(files: _Files) -> Named:
    from ccproxy.config.roster import load_roster

    loaded = load_roster(files.named("roster", "orchestra-config.json"))
    return [(slug, f"{each.name}, {each.tier}") for slug, each in loaded.roster.agents.items()]


def _profiles(files: _Files) -> Named:
    routing = files.routing()
    active = routing.get("active_profile")
    return [(name, "active" if name == active else "") for name in routing["profiles"]]


def _deployments(files: _Files) -> Named:
    items = files.settings["model_list"]
    return [(each["model_name"], each["litellm_params"]["model"]) for each in items]


def _tokens(files: _Files) -> Named:
    document = json.loads(files.tokens_file().read_bytes())
    return [(each["name"], "") for each in document["tokens"]]


def _versions(files: _Files) -> Named:
    from ccproxy.config.versions import FOLDER_NAME, VersionStore

    store = VersionStore(files.tokens_file().with_name(FOLDER_NAME))
    return [
        (each.version, f"in force from {each.saved_at.astimezone():%Y-%m-%d %H:%M:%S}")
        for each in store.versions()
    ]


def _references(files: _Files) -> Named:
    from ccproxy.config.references import FILE_REFERENCE, KEYCHAIN_REFERENCE
    from ccproxy.config.secrets import describe

    found = dict.fromkeys(_texts(files.settings))
    storable = [each for each in found if each.startswith((FILE_REFERENCE, KEYCHAIN_REFERENCE))]
    return [(each, describe(each)) for each in storable]


def _texts(value: object) -> Iterator[str]:
    """Yield every text of a document, at whatever depth."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _texts(each)


def _beginning(incomplete: str, names: Iterable[tuple[str, str]]) -> Named:
    return [each for each in names if each[0].startswith(incomplete)]


def _behind_comma(incomplete: str, names: Named) -> Named:
    before, comma, last = incomplete.rpartition(",")
    return [(f"{before}{comma}{name}", told) for name, told in _beginning(last, names)]
