"""Good versions of the routing files, kept."""

import stat

import pytest

from ccproxy.config.versions import KEPT_VERSIONS, VersionStore


@pytest.fixture
def store(tmp_path):
    return VersionStore(tmp_path / "state" / "routing-versions")


def save(store, version, at=0.0, table="aa"):
    store.save(version, table, f"routing {version}".encode(), f"roster {version}".encode(), at)


def names(store):
    return [each.version for each in store.versions()]


def test_the_newest_comes_first(store):
    """Versions are listed with their tables' versions, times and bytes."""
    save(store, "a1", 1_700_000_000.25)
    save(store, "b2", 1_700_000_001.0, table="bb")

    newest, oldest = store.versions()

    assert (newest.version, newest.table_version) == ("b2", "bb")
    assert oldest.saved_at.timestamp() == 1_700_000_000.25
    assert oldest.routing_file.read_bytes() == b"routing a1"
    assert oldest.roster_file.read_bytes() == b"roster a1"


def test_twenty_are_kept(store):
    """The oldest are dropped with all their files, so that the folder stays small."""
    for number in range(KEPT_VERSIONS + 7):
        save(store, f"{number:02x}", 1_700_000_000.0 + number)

    assert names(store) == [f"{number:02x}" for number in reversed(range(7, KEPT_VERSIONS + 7))]
    assert len(list(store.folder.iterdir())) == 2 * KEPT_VERSIONS


def test_a_version_that_returns_is_the_newest_and_once_there(store):
    """Going back and forth between two versions does not push the others out."""
    save(store, "a1", 1.0)
    for at in range(2, 100):
        save(store, "c3" if at % 2 else "b2", float(at))

    assert names(store) == ["c3", "b2", "a1"]
    assert len(list(store.folder.iterdir())) == 6


def test_the_newest_is_not_written_again(store):
    """A restart without an edit leaves the time from which the version was in force."""
    save(store, "a1", 1.0)
    save(store, "a1", 2.0)

    assert [each.saved_at.timestamp() for each in store.versions()] == [1.0]


def test_a_clock_that_was_set_back_changes_no_order(store):
    """What is saved last is the newest."""
    save(store, "a1", 1000.0)
    save(store, "b2", 1.0)

    assert names(store) == ["b2", "a1"]


def test_only_the_owner_may_read(store):
    """Folder 0700, files 0600: a roster may hold prompts."""
    save(store, "a1")

    assert stat.S_IMODE(store.folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(each.stat().st_mode) for each in store.folder.iterdir()} == {0o600}


def test_other_files_in_the_folder_are_left_alone(store):
    """What is no version is neither listed nor removed."""
    save(store, "a1")
    other = store.folder / "notes.routing.yaml"
    other.write_text("mine")
    for number in range(KEPT_VERSIONS + 1):
        save(store, f"{number:02x}", float(number))

    assert other.read_text() == "mine"
    assert len(names(store)) == KEPT_VERSIONS


def test_no_folder_is_no_version(store):
    """Before the first start there is nothing to list."""
    assert store.versions() == ()


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("ab12", ["ab12"]),
        ("ab1", ["ab13", "ab12"]),
        ("cd", ["cd34"]),
        ("f0", ["cd34"]),
        ("f1", ["ab13"]),
        ("", []),
        ("99", []),
    ],
)
def test_what_a_word_may_mean(store, wanted, expected):
    """A version, its beginning, or a table's version, which means the newest that has it."""
    for at, (version, table) in enumerate(
        [("ab12", "f1"), ("ab13", "f1"), ("cd33", "f0"), ("cd34", "f0")]
    ):
        if (version, wanted) != ("cd33", "cd"):
            save(store, version, float(at), table)

    assert [each.version for each in store.find(wanted)] == expected
