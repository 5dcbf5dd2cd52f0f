"""docs/reload.md says what the code does."""

import pytest

from ccproxy.config import live, versions
from ccproxy.observability import decision_log, decisions, line_writer
from tests.support.tools import ROOT

PAGE = " ".join((ROOT / "docs/reload.md").read_text().split())


@pytest.mark.parametrize(
    "claim",
    [
        f"lain still for {live.STILL_S} s",
        f"the last {versions.KEPT_VERSIONS} of them, in `{versions.FOLDER_NAME}/`",
        f"`{versions.REPLACED_NAME}`",
        f"one line in `{decision_log.FILE_NAME}`",
        f"cut at {decisions.TEXT_LIMIT} characters",
        f"grows to {decision_log.FILE_MAX_BYTES // 2**20} MiB",
        f"{decision_log.FILE_MAX_BYTES * (1 + decision_log.OLDER_FILES) // 2**20} MiB in all",
        f"at the latest {line_writer.BATCH_S} s after",
    ],
)
def test_the_numbers_and_names_of_the_page(claim):
    """What the page promises is what the constants are."""
    assert claim in PAGE


def test_an_edit_is_in_force_in_time():
    """The pauses of a good edit leave a second and more of the three for loading."""
    assert live.POLL_S + live.STILL_S <= 2


def test_every_field_of_a_decision_is_on_the_page():
    """A record has no field that the page does not name."""
    assert [] == [
        name for name in decisions.Decision.__dataclass_fields__ if f"`{name}`" not in PAGE
    ]
