"""The end of a log, and what is added to it."""

import pytest

from ccproxy.service.logs import Follower, last_lines


@pytest.fixture
def log(tmp_path):
    return tmp_path / "x.log"


@pytest.mark.parametrize("count", [0, 1, 3, 5000, 20_000])
def test_the_last_lines(log, count):
    """As many as are asked for, or all there are, also across the blocks that are read."""
    lines = [f"line {number} {'x' * 20}" for number in range(5000)]
    log.write_text("\n".join(lines) + "\n")

    assert lines[max(0, 5000 - count) :] == last_lines(log, count)


def test_only_what_came_after_a_mark(log):
    """Lines from before a start are not shown as that start's last words."""
    log.write_text("old\n")
    mark = log.stat().st_size
    with log.open("a") as file:
        file.write("new\n")

    assert (["new"], []) == (last_lines(log, 9, mark), last_lines(log.with_name("none"), 9))


def test_a_terminal_gets_no_orders(log):
    """Escape sequences and other control characters are replaced; tabs and letters stay."""
    log.write_bytes("a\tä\x1b[2J\x07b\n".encode() + b"\xff\n")

    assert ["a\tä�[2J�b", "�"] == last_lines(log, 2)


def test_following_a_file_that_is_rotated(log):
    """No line is lost or shown twice when the file is moved away, emptied or comes late."""
    follower = Follower(log)
    assert [] == follower.read()
    log.write_text("1\n")
    assert ["1"] == follower.read()
    with log.open("a") as file:
        file.write("2\n3, in two ")
        file.flush()
        assert ["2"] == follower.read()
        file.write("parts\n4\n")
    log.rename(log.with_suffix(".1"))
    log.write_text("5\n")
    assert ["3, in two parts", "4", "5"] == follower.read()
    log.write_text("")
    assert [] == follower.read()
    log.write_text("6\n")
    assert ["6"] == follower.read()
    log.unlink()
    assert [] == follower.read()
    follower.close()


def test_following_begins_at_the_end(log):
    """What was there before is for `last_lines`; an endless line is shown in pieces."""
    log.write_text("old\n")
    follower = Follower(log)
    with log.open("a") as file:
        file.write("x" * (1024 * 1024 + 1))

    assert [1024 * 1024 + 1] == [len(line) for line in follower.read()]
    follower.close()
