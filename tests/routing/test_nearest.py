"""The nearest known name."""

from __future__ import annotations

import pytest

from routing.nearest import LONGEST_NAME, did_you_mean, nearest


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("security-auditer", "security-auditor"),
        ("SECURITY-AUDITOR", "security-auditor"),
        ("qwen-codre", "Qwen-Coder"),
        ("zzz", None),
        ("", None),
        ("security-auditor" * 20, None),
    ],
)
def test_nearest(name: str, expected: str | None) -> None:
    """A slip of the pen or of case finds its name, and nonsense finds none."""
    assert nearest(name, ["security-auditor", "Qwen-Coder"]) == expected


def test_a_long_name_gets_no_hint() -> None:
    """A name over the limit is not compared at all, even where it would be close."""
    name = "a" * (LONGEST_NAME + 1)
    assert nearest(name, [name]) is None
    assert nearest(name[1:], [name]) == name


def test_hint_is_a_sentence_or_nothing() -> None:
    """The hint can be appended to a message as it is."""
    assert did_you_mean("haikou", ["haiku"]) == " Did you mean 'haiku'?"
    assert did_you_mean("x", ["haiku"]) == ""
