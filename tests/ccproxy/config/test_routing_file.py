"""The routing table of a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ccproxy.config.problems import ConfigError
from ccproxy.config.routing_file import load_routing, parse_routing
from tests.support.routing_samples import DEPLOYMENTS, ROSTER

if TYPE_CHECKING:
    from pathlib import Path


def refusal(text: str) -> list[str]:
    """Return the problems of a table that is refused."""
    with pytest.raises(ConfigError) as caught:
        parse_routing(text.encode(), "r.yaml", DEPLOYMENTS, ROSTER)
    return [str(problem) for problem in caught.value.problems]


def test_a_file_is_compiled_and_its_warnings_have_places(tmp_path: Path) -> None:
    """A table comes back ready to use; a warning has file, line and column."""
    path = tmp_path / "routing.yaml"
    path.write_text(
        "version: 1\nactive_profile: a\nprofiles:\n  a:\n    privacy: local_only\n"
        "    default: {route: [qwen]}\n    unknown: {route: [claude]}\n"
    )
    table, warnings = load_routing(path, DEPLOYMENTS, ROSTER)
    assert table.active.name == "a"
    assert [str(each) for each in warnings] == [
        (
            f"{path}:7:5: profiles.a.unknown: is local_only, and every deployment of its route leaves "
            "the host"
        )
    ]


def test_errors_have_places_in_the_order_of_the_file() -> None:
    """Each error of the table is shown at its line and column."""
    assert refusal(
        "version: 1\nactive_profile: a\nprofiles:\n  a:\n    extends: b\n"
        "    default: {route: [qwen, qwne]}\n    tires: {}\n"
    ) == [
        "r.yaml:5:5: profiles.a.extends: there is no profile 'b'.",
        (
            "r.yaml:6:29: profiles.a.default.route[1]: there is no deployment 'qwne' in model_list. "
            "Did you mean 'qwen'?"
        ),
        "r.yaml:7:5: profiles.a.tires: unknown key 'tires'. Did you mean 'tiers'?",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "r.yaml:1:1: is empty; it needs version and profiles"),
        ("- 1", "r.yaml:1:1: must be a map of `key: value`; it needs version and profiles"),
    ],
)
def test_a_file_without_a_table(text: str, expected: str) -> None:
    """An empty file or a list is refused as a whole."""
    assert refusal(text) == [expected]


def test_a_missing_file_is_a_problem(tmp_path: Path) -> None:
    """A file that is not there is reported like any other problem."""
    with pytest.raises(ConfigError, match="cannot be read"):
        load_routing(tmp_path / "routing.yaml", DEPLOYMENTS, ROSTER)
