"""Whether there is a secret behind each reference; none is ever told."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from ccproxy.config.locate import expand_path
from ccproxy.config.problems import render_key
from ccproxy.config.references import ENVIRONMENT_REFERENCE, FILE_REFERENCE
from ccproxy.doctor.files import closing, is_open
from ccproxy.doctor.finding import error, ok

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from ccproxy.config.secrets import SecretPlace
    from ccproxy.doctor.finding import Finding


def check_secrets(
    places: Iterable[SecretPlace], folder: Path, environ: Mapping[str, str]
) -> Iterator[Finding]:
    """Say which references lead nowhere.

    Args:
        places: The references of a config file.
        folder: Absolute; the config file's own.
        environ: Environment variables.
    """
    found = list(places)
    missing: dict[str, list[SecretPlace]] = {}
    for place in found:
        if place.problem is not None:
            missing.setdefault(place.reference, []).append(place)
    for reference, users in missing.items():
        more = f" and {len(users) - 1} more" if len(users) > 1 else ""
        what = f"{render_key(users[0].key)}{more}: {users[0].problem}"
        opened = open_file(users[0], folder, environ)
        if opened is None:
            yield error("secrets", what, "what needs it is unavailable", _how_to_give(reference))
        else:
            means = "the proxy does not start with a secret that others may have read"
            yield error("secrets", what, means, *closing(opened))
    if found and not missing:
        yield ok("secrets", f"all {len(found)} references lead to a secret")


def open_file(place: SecretPlace, folder: Path, environ: Mapping[str, str]) -> Path | None:
    """Return the file of a reference if it is of no use because others can read it."""
    if place.problem is None or not place.reference.startswith(FILE_REFERENCE):
        return None
    file = expand_path(place.reference.removeprefix(FILE_REFERENCE), folder, environ)
    return file if is_open(file) else None


def _how_to_give(reference: str) -> str:
    if reference.startswith(ENVIRONMENT_REFERENCE):
        name = reference.removeprefix(ENVIRONMENT_REFERENCE)
        return f"export {name}=..., where the proxy is started"
    return f"ccproxy secret set {shlex.quote(reference)}"
