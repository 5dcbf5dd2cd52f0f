"""How problems are shown."""

from __future__ import annotations

import pytest

from ccproxy.config.problems import ConfigError, ConfigProblem, render_key


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ((), ""),
        (("a",), "a"),
        (("model_list", 2, "litellm_params", "api_base"), "model_list[2].litellm_params.api_base"),
        ((0, "a"), "[0].a"),
    ],
)
def test_key_paths(path: tuple[str | int, ...], text: str) -> None:
    """A key path reads as people write it."""
    assert render_key(path) == text


def test_a_problem_is_one_line_an_editor_can_jump_to() -> None:
    """`file:line:column: key: message`, and without a key where there is none."""
    assert str(ConfigProblem("f", 3, 4, "a.b", "is bad")) == "f:3:4: a.b: is bad"
    assert str(ConfigProblem("f", 1, 1, "", "is bad")) == "f:1:1: is bad"


def test_a_file_as_a_whole_has_no_place() -> None:
    """Where nothing in the file is meant, e.g. because there is none, no position is made up."""
    assert str(ConfigProblem.of_file("f", "no such file")) == "f: no such file"


def test_an_error_shows_every_problem() -> None:
    """The message has a line for each problem."""
    error = ConfigError([ConfigProblem("f", 1, 1, "a", "x"), ConfigProblem("f", 2, 1, "b", "y")])
    assert str(error) == "f:1:1: a: x\nf:2:1: b: y"
    assert len(error.problems) == 2
