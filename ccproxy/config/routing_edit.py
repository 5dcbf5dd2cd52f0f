"""Edits of a routing file that leave everything else of its text as it is, comments included.

PyYAML forgets comments, so lines are put in where its node marks say, and the outcome is read
again: an edit that would change anything else is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import yaml

from ccproxy.config.yaml_marks import parse_marked

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

COMMENT: Final = "# The roster's wishes (ccproxyMapping.ollama)."


class CannotEdit(Exception):
    """A file whose text does not lend itself to an edit; the message says why, as a sentence."""


def entry_line(slug: str, route: Sequence[str]) -> str:
    """Return an agent's entry as it stands in the file, without indentation."""
    return f"{_scalar(slug)}: {{route: [{', '.join(map(_scalar, route))}]}}"


def add_agents(
    text: str, profile: str, routes: Mapping[str, Sequence[str]], file: str = "routing.yaml"
) -> str:
    """Return the text of a routing file with entries for more agents in a profile.

    Args:
        text: A table without errors.
        profile: The profile that gets them.
        routes: Slug -> route; the profile itself has no entry for any of them yet.
        file: What problems call the file.

    Raises:
        CannotEdit: The profile is written in a way that this cannot add to.
        ConfigError: The text is no YAML.
    """
    before = parse_marked(text.encode(), file).value
    edited = _edited(text, profile, routes)
    after = parse_marked(edited.encode(), file).value
    if after != _expected(before, profile, routes):
        raise CannotEdit("the edit would change something else as well.")
    return edited


def own_agents(text: str, profile: str, file: str = "routing.yaml") -> dict[str, int]:
    """Return the agents that a profile of the file has entries for, each with its line."""
    document = parse_marked(text.encode(), file)
    path = ("profiles", profile, "agents")
    return {
        key[-1]: line
        for key, (line, _column) in document.marks.items()
        if len(key) == len(path) + 1 and key[:-1] == path and isinstance(key[-1], str)
    }


def _edited(text: str, profile: str, routes: Mapping[str, Sequence[str]]) -> str:
    root = yaml.compose(text, Loader=yaml.CSafeLoader)
    _key, profiles = _member(root, "profiles")
    _key, body = _member(profiles, profile)
    if not isinstance(body, yaml.MappingNode) or body.flow_style or not body.value:
        raise CannotEdit(f"profile {profile!r} is not written as one key on each line.")
    lines = text.splitlines(keepends=True)
    newline = "\r\n" if lines[0].endswith("\r\n") else "\n"
    found = next(((key, value) for key, value in body.value if key.value == "agents"), None)
    if found is None:
        at = _end_of(lines, body)
        indent = body.value[0][0].start_mark.column
        head = [f"{' ' * indent}agents:"]
        indent += 2
    else:
        at, indent = _end_of_agents(lines, *found)
        head = []
    added = [
        *head,
        f"{' ' * indent}{COMMENT}",
        *(f"{' ' * indent}{entry_line(slug, route)}" for slug, route in routes.items()),
    ]
    if at and not lines[at - 1].endswith("\n"):
        lines[at - 1] += newline
    return "".join([*lines[:at], *(line + newline for line in added), *lines[at:]])


def _end_of_agents(lines: list[str], key: yaml.Node, agents: yaml.Node) -> tuple[int, int]:
    """Return the line before which entries go, and their indentation; empties an empty map."""
    if agents.start_mark.line < key.start_mark.line:
        raise CannotEdit("`agents` is an alias of another map.")
    if isinstance(agents, yaml.MappingNode) and agents.value and not agents.flow_style:
        return _end_of(lines, agents), agents.value[0][0].start_mark.column
    if agents.value not in ("", "~", "null", []) or agents.end_mark.line != key.start_mark.line:
        raise CannotEdit("`agents` is written on one line.")
    row = key.start_mark.line
    start, end = agents.start_mark.column, agents.end_mark.column
    if agents.start_mark.line == row and end > start:
        lines[row] = lines[row][:start].rstrip() + lines[row][end:]
    return row + 1, key.start_mark.column + 2


def _end_of(lines: list[str], mapping: yaml.MappingNode) -> int:
    """Return the line behind the last line of a block map; comments behind it are not its own."""
    key = mapping.value[-1][0].start_mark
    last: int = key.line
    for number in range(key.line + 1, len(lines)):
        content = lines[number].strip()
        if not content or content.startswith("#"):
            continue
        indent = len(lines[number]) - len(lines[number].lstrip(" "))
        if indent <= key.column:
            break
        last = number
    return last + 1


def _member(node: yaml.Node | None, name: str) -> tuple[yaml.Node, yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == name and value.start_mark.line >= key.start_mark.line:
                return key, value
    raise CannotEdit(f"there is no {name!r} that is written out.")


def _expected(before: object, profile: str, routes: Mapping[str, Sequence[str]]) -> object:
    """Return the data with the entries added."""
    assert isinstance(before, dict)  # noqa: S101 - a table without errors
    body = before["profiles"][profile]
    agents = {
        **(body.get("agents") or {}),
        **{slug: {"route": list(route)} for slug, route in routes.items()},
    }
    profiles = {**before["profiles"], profile: {**body, "agents": agents}}
    return {**before, "profiles": profiles}


def _scalar(name: str) -> str:
    """Return a name as it can stand in a map or list on one line."""
    text: str = yaml.safe_dump([name], default_flow_style=True, width=10**6)
    return text.removeprefix("[").removesuffix("]\n")
