"""Table and roster, read as one whole."""

import pytest

from ccproxy.config.loading import load_files, routing_files, version_of
from ccproxy.config.problems import ConfigError
from ccproxy.config.settings import load_settings
from tests.support.proxy import REPOSITORY
from tests.support.routing_folder import routing_folder, routing_text


def test_what_was_read_is_what_is_kept(tmp_path):
    """The bytes belong to the table, and looks are taken of both files."""
    files = routing_folder(tmp_path).files

    loaded = load_files(files)

    assert loaded.routing_bytes == files.routing_file.read_bytes()
    assert loaded.roster_bytes == files.roster_file.read_bytes()
    assert set(loaded.looks) == {files.routing_file, files.roster_file}
    assert loaded.version == version_of(loaded.routing_bytes, loaded.roster_bytes)


def test_every_byte_of_either_file_is_another_version(tmp_path):
    """A comment makes another version of the same table; a space in the roster does, too."""
    folder = routing_folder(tmp_path)
    first = load_files(folder.files)
    folder.write("qwen", comment="why")
    second = load_files(folder.files)
    folder.files.roster_file.write_bytes(first.roster_bytes + b"\n")
    third = load_files(folder.files)

    assert len({first.version, second.version, third.version}) == 3
    assert first.table.version == second.table.version == third.table.version


def test_where_one_file_ends_counts():
    """Moving bytes from one file to the other is another version."""
    assert version_of(b"ab", b"c") != version_of(b"a", b"bc")


def test_a_file_that_is_not_utf8_is_a_problem(tmp_path):
    """Bytes that are no text are refused like any other mistake, with the file's name."""
    files = routing_folder(tmp_path).files
    files.routing_file.write_bytes(routing_text("qwen").encode() + b"# \xff")

    with pytest.raises(ConfigError) as caught:
        load_files(files)

    assert caught.value.problems[0].file == str(files.routing_file)


def test_the_shipped_files_load():
    """What the settings name is what is read."""
    settings = load_settings(REPOSITORY / "config/ccproxy.yaml", {})

    loaded = load_files(routing_files(settings))

    assert len(loaded.roster.agents) == 115
