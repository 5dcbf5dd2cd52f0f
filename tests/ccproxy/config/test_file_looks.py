"""Whether files have changed."""

import os

import pytest

from ccproxy.config.file_looks import look_at


@pytest.mark.parametrize(
    "change",
    [
        lambda path: path.write_text("longer"),
        lambda path: path.unlink(),
        lambda path: os.utime(path, ns=(1, 1)),
        lambda path: path.chmod(0o600),
        lambda path: path.rename(path.with_name("b")).with_name("c").write_text("x"),
    ],
    ids=["size", "gone", "time", "mode", "renamed"],
)
def test_a_change_shows(tmp_path, change):
    """Each kind of change makes a file look different."""
    path = tmp_path / "a"
    path.write_text("text")
    before = look_at([path])

    change(path)

    assert look_at([path]) != before


def test_reading_is_no_change(tmp_path):
    """A file that is only read, or not there, looks the same twice."""
    path = tmp_path / "a"
    path.write_text("text")
    before = look_at([path, tmp_path / "missing"])
    path.read_text()

    assert look_at([path, tmp_path / "missing"]) == before
    assert before[tmp_path / "missing"] is None
