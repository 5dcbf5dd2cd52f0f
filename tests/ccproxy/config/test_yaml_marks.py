"""YAML with positions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ccproxy.config.problems import ConfigError
from ccproxy.config.yaml_marks import parse_marked, read_marked

if TYPE_CHECKING:
    from pathlib import Path

SAMPLE = b"""\
server: {host: 127.0.0.1, port: 8081}
list:
  - name: a
    n: 1
  - b
defaults: &d {x: 1, y: 2}
merged: {<<: *d, y: 3}
1: one
"""


def refusal(data: bytes) -> list[str]:
    """Return the problems of a document that is refused."""
    with pytest.raises(ConfigError) as caught:
        parse_marked(data, "f.yaml")
    return [str(problem) for problem in caught.value.problems]


def test_values_are_plain_data() -> None:
    """The value is what PyYAML's safe loader gives, aliases and merge keys included."""
    assert parse_marked(SAMPLE, "f.yaml").value == {
        "server": {"host": "127.0.0.1", "port": 8081},
        "list": [{"name": "a", "n": 1}, "b"],
        "defaults": {"x": 1, "y": 2},
        "merged": {"x": 1, "y": 3},
        1: "one",
    }


@pytest.mark.parametrize(
    ("path", "position"),
    [
        ((), (1, 1)),
        (("server",), (1, 1)),
        (("server", "port"), (1, 27)),
        (("list", 0), (3, 5)),
        (("list", 0, "n"), (4, 5)),
        (("list", 1), (5, 5)),
        (("merged", "y"), (7, 18)),
        (("merged", "x"), (6, 15)),
        (("1",), (8, 1)),
        (("server", "missing", "deep"), (1, 1)),
        (("nowhere",), (1, 1)),
    ],
)
def test_positions(path: tuple[str | int, ...], position: tuple[int, int]) -> None:
    """A key path is found where its key (or list item) stands, or at its nearest ancestor."""
    assert parse_marked(SAMPLE, "f.yaml").locate(path) == position


def test_json_is_yaml() -> None:
    """A JSON file is read with positions too."""
    document = parse_marked(b'{\n  "a": [1, 2],\n  "b": null\n}', "f.json")
    assert document.value == {"a": [1, 2], "b": None}
    assert document.locate(("a", 1)) == (2, 12)


@pytest.mark.parametrize("data", [b"", b"# only a comment\n"])
def test_an_empty_file_is_none(data: bytes) -> None:
    """Emptiness is for the caller to judge."""
    document = parse_marked(data, "f.yaml")
    assert document.value is None
    assert document.locate(("a",)) == (1, 1)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"a: [1\nb: 2", "f.yaml:2:2: not valid YAML: "),
        (b"a: 1\n\tb: 2", "f.yaml:2:1: not valid YAML: found a tab character"),
        (b"--- 1\n--- 2", "f.yaml:2:1: not valid YAML: but found another document"),
        (b"a: \xff", "f.yaml:1:1: not valid YAML: unacceptable character"),
        (b"a: \x00", "f.yaml:1:1: not valid YAML: unacceptable character"),
        (b"a: !!python/object:x 1", "f.yaml:1:4: not valid YAML: could not determine"),
        (b"? {a: 1}\n: 2", "f.yaml:1:3: not valid YAML: found unhashable key"),
        (b"a: 2024-99-99", "f.yaml:1:1: has a value that cannot be read: month"),
        (b"a: &x [*x]", "f.yaml:1:4: the file nests too deeply, refers to itself"),
        (b"[" * 50_000, "f.yaml:1:41: the file nests too deeply"),
    ],
)
def test_a_broken_document_is_one_problem(data: bytes, expected: str) -> None:
    """Syntax, types we don't load and bombs are one problem with a position; nothing crashes."""
    problems = refusal(data)
    assert len(problems) == 1
    assert problems[0].startswith(expected)


def test_aliases_cannot_blow_up() -> None:
    """Nine levels of ten aliases, a billion places in 300 bytes, are refused."""
    lines = ["a0: &a0 [1]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    (problem,) = refusal("\n".join(lines).encode())
    assert "repeats an alias too often" in problem


def test_every_duplicate_key_is_reported() -> None:
    """A key that repeats is an error at the second place, which names the first."""
    data = b'a: 1\nb: {c: 1,\n    "c": 2}\nl:\n- {x: 1, x: 1}\na: 3\n1: x\n"1": y\n'
    assert refusal(data) == [
        "f.yaml:3:5: b.c: appears twice in this map, first in line 2; remove one",
        "f.yaml:5:10: l[0].x: appears twice in this map, first in line 5; remove one",
        "f.yaml:6:1: a: appears twice in this map, first in line 1; remove one",
    ]


def test_a_file_that_cannot_be_read_is_a_problem(tmp_path: Path) -> None:
    """A missing file or a folder is reported with its path."""
    for path in (tmp_path / "missing.yaml", tmp_path):
        with pytest.raises(ConfigError, match="cannot be read") as caught:
            read_marked(path)
        assert caught.value.problems[0].file == str(path)
        assert str(caught.value).startswith(f"{path}: cannot")
