"""YAML with line and column of every key, so that a problem can be shown where it is.

JSON is YAML, so JSON files go through here too. Beyond PyYAML's safe loader: a key that appears
twice in one map is an error (PyYAML silently keeps the last), and a document that aliases blow up
or that refers to itself is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import yaml

from ccproxy.config.problems import ConfigError, ConfigProblem, KeyPath, render_key

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MAX_DEPTH: Final = 40
"""Levels of nesting; our files need seven."""
MAX_NODES: Final = 200_000
"""Places in a document, each alias counted as often as it is used. Several hundred deployments
or agents come to a few tens of thousands."""

Position = tuple[int, int]
"""Line and column, both from 1."""


@dataclass(frozen=True, slots=True)
class MarkedDocument:
    """Plain data, and where each part of it stands."""

    file: str
    value: object
    """Dicts, lists and scalars; None for an empty file."""
    marks: Mapping[KeyPath, Position]

    def locate(self, path: KeyPath) -> Position:
        """Return the position of a key path, or of its nearest ancestor that exists."""
        for length in range(len(path), 0, -1):
            position = self.marks.get(path[:length])
            if position is not None:
                return position
        return self.marks.get((), (1, 1))

    def problem(self, path: KeyPath, message: str) -> ConfigProblem:
        """Return a problem at a key path."""
        line, column = self.locate(path)
        return ConfigProblem(self.file, line, column, render_key(path), message)


def read_marked(path: Path) -> MarkedDocument:
    """Return the document in a file.

    Raises:
        ConfigError: The file cannot be read, or as `parse_marked`.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        message = f"cannot be read: {error.strerror or error}"
        raise ConfigError([ConfigProblem.of_file(str(path), message)]) from error
    return parse_marked(data, str(path))


def parse_marked(data: bytes, file: str) -> MarkedDocument:
    """Return the document in `data`; `file` is the name that problems carry.

    Raises:
        ConfigError: Syntax (one problem), duplicate keys (each of them), nesting.
    """
    try:
        _check_depth(data, file)
        loader = yaml.CSafeLoader(data)
        node = loader.get_single_node()
        if node is None:
            return MarkedDocument(file, None, {})
        duplicates = _find_duplicates(node, file)
        if duplicates:
            raise ConfigError(duplicates)
        value: object = loader.construct_document(node)
        marks = _Marker(loader, file).walk(node)
    except yaml.YAMLError as error:
        raise ConfigError([_from_yaml(error, file)]) from error
    except ValueError as error:
        message = f"has a value that cannot be read: {error}"
        raise ConfigError([ConfigProblem(file, 1, 1, "", message)]) from error
    return MarkedDocument(file, value, marks)


def _from_yaml(error: yaml.YAMLError, file: str) -> ConfigProblem:
    """Return PyYAML's complaint as a problem."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        line, column = error.problem_mark.line + 1, error.problem_mark.column + 1
        context = f" ({error.context})" if error.context else ""
        return ConfigProblem(file, line, column, "", f"not valid YAML: {error.problem}{context}")
    first_line = str(error).partition("\n")[0]
    return ConfigProblem(file, 1, 1, "", f"not valid YAML: {first_line}")


def _check_depth(data: bytes, file: str) -> None:
    """Refuse deep nesting before the document is composed.

    PyYAML's C loader recurses while it composes: 50,000 open brackets end the process with a
    segmentation fault (measured with PyYAML 6.0.3), which no `except` could catch.
    """
    depth = 0
    for event in yaml.parse(data, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            mark = event.start_mark
            position = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
            raise ConfigError([_too_much(file, position)])


def _too_much(file: str, position: Position) -> ConfigProblem:
    """Return the problem of a document that is out of proportion."""
    line, column = position
    message = "the file nests too deeply, refers to itself, or repeats an alias too often"
    return ConfigProblem(file, line, column, "", message)


def _position(node: yaml.Node) -> Position:
    """Return where a node begins."""
    return node.start_mark.line + 1, node.start_mark.column + 1


def _find_duplicates(root: yaml.Node, file: str) -> list[ConfigProblem]:
    """Return a problem for each key that repeats an earlier key of its map."""
    problems = []
    seen: set[int] = set()
    waiting: list[tuple[yaml.Node, KeyPath]] = [(root, ())]
    while waiting:
        node, path = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting.extend((item, (*path, index)) for index, item in enumerate(node.value))
        if not isinstance(node, yaml.MappingNode):
            continue
        first: dict[tuple[str, str], Position] = {}
        for key, value in node.value:
            here = (*path, str(key.value))
            waiting.append((value, here))
            if not isinstance(key, yaml.ScalarNode):
                continue
            line, column = _position(key)
            earlier = first.setdefault((key.tag, key.value), (line, column))
            if earlier != (line, column):
                message = f"appears twice in this map, first in line {earlier[0]}; remove one"
                problems.append(ConfigProblem(file, line, column, render_key(here), message))
    return sorted(problems, key=lambda problem: (problem.line, problem.column))


class _Marker:
    """Walks a composed document and notes where each key path stands."""

    def __init__(self, loader: yaml.CSafeLoader, file: str) -> None:
        """`loader` has composed the document and resolves its keys."""
        self._loader = loader
        self._file = file
        self._marks: dict[KeyPath, Position] = {}

    def walk(self, root: yaml.Node) -> dict[KeyPath, Position]:
        """Return the position of each key (for list items, of the value)."""
        self._visit(root, (), _position(root))
        return self._marks

    def _visit(self, node: yaml.Node, path: KeyPath, position: Position) -> None:
        """Note one node and what is under it."""
        self._marks[path] = position
        if len(path) > MAX_DEPTH or len(self._marks) > MAX_NODES:
            raise ConfigError([_too_much(self._file, position)])
        if isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                self._visit(item, (*path, index), _position(item))
        elif isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                self._visit(value, (*path, self._key(key)), _position(key))

    def _key(self, node: yaml.Node) -> str:
        """Return the key as text, the way problems name it."""
        value: object = self._loader.construct_object(node, deep=True)
        return str(value)
