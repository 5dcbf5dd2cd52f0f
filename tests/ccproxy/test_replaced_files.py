"""Files that are replaced whole."""

import os
import stat

import pytest

from ccproxy.replaced_files import make_folder, replace_file


def test_the_mode_of_the_old_file_is_kept(tmp_path):
    """Who could read the file before can read it after."""
    path = tmp_path / "a"
    path.write_bytes(b"old")
    path.chmod(0o640)

    replace_file(path, b"new")

    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"new", 0o640)


@pytest.mark.parametrize(("mode", "expected"), [(None, 0o644), (0o600, 0o600)])
def test_a_new_file_gets_a_mode(tmp_path, mode, expected):
    """Without an old file it is 0644, whatever the process' umask, unless said."""
    path = tmp_path / "a"

    replace_file(path, b"new", mode=mode)

    assert stat.S_IMODE(path.stat().st_mode) == expected


def test_a_link_stays_a_link(tmp_path):
    """What a link points to is replaced, not the link."""
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_bytes(b"old")
    link.symlink_to(target)

    replace_file(link, b"new")

    assert link.is_symlink()
    assert target.read_bytes() == b"new"


def test_a_reader_has_the_old_file_to_its_end(tmp_path):
    """Who has the old file open reads all of it."""
    path = tmp_path / "a"
    path.write_bytes(b"old" * 1000)
    with path.open("rb") as reading:
        replace_file(path, b"new")

        assert reading.read() == b"old" * 1000


def test_a_failure_leaves_nothing_behind(tmp_path):
    """Where the new file cannot take its place, the folder is as before."""
    path = tmp_path / "a"
    path.mkdir()

    with pytest.raises(OSError, match="no regular file"):
        replace_file(path, b"new", mode=0o600)

    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("by_link", [False, True])
def test_only_a_regular_file_is_replaced(tmp_path, by_link):
    """What is read and written otherwise, such as a pipe or a device, stays, also behind a link."""
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to(pipe)

    with pytest.raises(OSError, match=r"no regular file.*'.*pipe'"):
        replace_file(link if by_link else pipe, b"new")

    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert sorted(tmp_path.iterdir()) == [link, pipe]


@pytest.mark.parametrize("user", [0, 501])
def test_a_file_that_root_replaces_stays_its_owners(tmp_path, user, monkeypatch):
    """Else a service of another user could not read its routing table after `sudo ccproxy`.

    A new one is its folder's owner's.
    """
    path, given = tmp_path / "a", []
    path.write_bytes(b"old")
    owners = [(each.st_uid, each.st_gid) for each in (path.stat(), tmp_path.stat())]
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setattr(os, "fchown", lambda _file, *whose: given.append(whose))

    replace_file(path, b"new")
    replace_file(tmp_path / "b", b"new")

    assert given == (owners if user == 0 else [])


@pytest.mark.parametrize("user", [0, 501])
def test_a_folder_that_root_makes_is_its_parents_owners(tmp_path, user, monkeypatch):
    """Each of those that were missing, and for that owner only; what was there stays as it is."""
    given = []
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setattr(os, "chown", lambda *whose, **how: given.append((*whose, how)))

    for _ in range(2):
        make_folder(tmp_path / "a" / "b")

    made, owner = [tmp_path / "a", tmp_path / "a" / "b"], tmp_path.stat()
    assert [stat.S_IMODE(each.stat().st_mode) for each in made] == [0o700, 0o700]
    whose = (owner.st_uid, owner.st_gid, {"follow_symlinks": False})
    assert given == ([(each, *whose) for each in made] if user == 0 else [])
