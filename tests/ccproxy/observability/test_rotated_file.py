"""Lines in files of bounded size."""

import os
import resource
import stat
from contextlib import contextmanager, nullcontext

import pytest

from ccproxy.observability.rotated_file import RotatedFile, read_lines


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state" / "lines.jsonl"


@contextmanager
def opened(path, max_bytes=1000, older=2):
    file = RotatedFile(path, max_bytes=max_bytes, older=older)
    try:
        yield file
    finally:
        file.close()


@contextmanager
def disk_full_at(limit_bytes):
    """No file may grow beyond the limit, as on a disk that is nearly full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def line(number):
    return b"%06d\n" % number


def test_lines_come_back_in_order(path):
    """What was appended is read, oldest first, across several files."""
    with opened(path, max_bytes=30, older=9) as file:
        for number in range(20):
            file.append(line(number))

    assert list(read_lines(path)) == [b"%06d" % number for number in range(20)]


def test_the_files_are_bounded_in_size_and_number(path):
    """Old lines go; no file is longer than allowed."""
    with opened(path, max_bytes=70, older=2) as file:
        for number in range(100):
            file.append(line(number))

    files = sorted(path.parent.iterdir())
    assert [each.name for each in files] == ["lines.jsonl", "lines.jsonl.1", "lines.jsonl.2"]
    assert max(each.stat().st_size for each in files) <= 70
    assert list(read_lines(path))[-1] == b"000099"


def test_only_the_owner_may_read(path):
    """Folder 0700, files 0600."""
    with opened(path, max_bytes=10) as file:
        file.append(line(1))
        file.append(line(2))

    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert {stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()} == {0o600}


@pytest.mark.parametrize("user", [0, 501])
def test_what_root_appends_to(path, tmp_path, user, monkeypatch):
    """No link that somebody else has put there; and what it begins is the folder's owner's."""
    elsewhere, linked, given = tmp_path / "elsewhere", tmp_path / "linked", []
    elsewhere.write_bytes(b"")
    linked.symlink_to(elsewhere)
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setattr(os, "fchown", lambda _file, *whose: given.append(whose))

    for number in (1, 2):
        with opened(path) as file:
            file.append(line(number))
    refused = pytest.raises(OSError, match="symbolic") if user == 0 else nullcontext()
    with opened(linked) as file, refused:
        file.append(line(3))

    owner = path.parent.stat()
    assert given == ([(owner.st_uid, owner.st_gid)] if user == 0 else [])
    assert elsewhere.read_bytes() == (b"" if user == 0 else line(3))


@pytest.mark.parametrize("take_away", [os.unlink, lambda path: path.rename(f"{path}.moved")])
def test_a_file_that_is_taken_away_is_begun_anew(path, take_away):
    """Removing or moving the file from outside loses nothing that comes later."""
    with opened(path) as file:
        file.append(line(1))
        take_away(path)
        file.append(line(2))

    assert list(read_lines(path)) == [b"000002"]


def test_two_writers_share_a_file(path):
    """Two processes with one state folder do not overwrite each other, rotation included."""
    with opened(path, max_bytes=50, older=9) as one, opened(path, max_bytes=50, older=9) as other:
        for number in range(20):
            (one, other)[number % 2].append(line(number))

    assert list(read_lines(path)) == [b"%06d" % number for number in range(20)]


def test_a_full_disk_is_an_error_and_tears_one_line_at_most(path):
    """What did not fit is told, and the line after it stands for itself."""
    with opened(path) as file:
        file.append(line(1))
        with disk_full_at(10), pytest.raises(OSError, match="too large"):
            file.append(line(2))
        file.append(line(3))

    assert list(read_lines(path)) == [b"000001", b"000", b"000003"]


def test_a_line_that_a_crash_tore_stands_for_itself(path):
    """A file that ends in the middle of a line is continued on a new one."""
    path.parent.mkdir()
    path.write_bytes(line(1) + b"torn")
    with opened(path) as file:
        file.append(line(2))

    assert list(read_lines(path)) == [b"000001", b"torn", b"000002"]


def test_a_folder_that_cannot_be_made_is_an_error(path):
    """A file where the folder should be is told like a full disk; later it may work."""
    path.parent.write_text("in the way")
    with opened(path) as file:
        with pytest.raises(OSError, match=r"exists|directory"):
            file.append(line(1))
        path.parent.unlink()
        file.append(line(2))

    assert list(read_lines(path)) == [b"000002"]


def test_a_rotation_while_reading_neither_loses_nor_repeats(path):
    """A reader goes on with the files it began with."""
    with opened(path, max_bytes=30, older=9) as file:
        for number in range(10):
            file.append(line(number))
        reading = read_lines(path)
        seen = [next(reading)]
        for number in range(10, 20):
            file.append(line(number))
        seen += reading

    assert seen[:10] == [b"%06d" % number for number in range(10)]
    assert len(set(seen)) == len(seen)


def test_old_files_are_left_out(path):
    """Files that were last written before the time in question are not opened."""
    with opened(path, max_bytes=10, older=3) as file:
        for number in range(3):
            file.append(line(number))
    os.utime(f"{path}.2", (100, 100))
    os.utime(f"{path}.1", (200, 200))

    assert list(read_lines(path, modified_since=150)) == [b"000001", b"000002"]


def test_no_file_has_no_lines(path):
    """Nothing was written yet."""
    assert list(read_lines(path)) == []
