"""Which config file a command takes, and when it says so."""

import pytest

from tests.support.command_line import command_line

COMMANDS = (
    ["agents", "list"],
    ["agents", "list", "--prompts"],
    ["agents", "tag", "."],
    ["config", "check"],
    ["routes", "show"],
    ["secret", "list"],
    ["token", "list"],
    ["usage"],
)


@pytest.fixture
def checkout(tmp_path, monkeypatch, capsys):
    """A folder with a config of its own, and the command, which is run there."""
    folder = tmp_path / "checkout" / "config"
    folder.mkdir(parents=True)
    run = command_line(folder, monkeypatch, capsys)
    monkeypatch.delenv("CCPROXY_CONFIG")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(folder.parent)
    return run


@pytest.fixture
def installation(tmp_path):
    """The config of an installation, broken: only a command that took it would notice."""
    path = tmp_path / ".ccproxy" / "ccproxy.yaml"
    path.parent.mkdir()
    path.write_text("sever: {}")
    return path


def notes(result):
    return [line for line in result.err.splitlines() if line.startswith("note: this folder's ")]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_folders_own_config_that_hides_the_installations_is_told(checkout, installation, command):
    """Once, with both files and the ways to the other one."""
    (note,) = notes(checkout(*command))

    assert f"{checkout.folder / 'ccproxy.yaml'} is used, not {installation};" in note
    assert f"`cd ~` first, or `export CCPROXY_CONFIG={installation}`" in note


@pytest.mark.usefixtures("installation")
def test_a_config_that_was_named_needs_no_remark(checkout, monkeypatch):
    """Whether by the option or by the variable."""
    used = str(checkout.folder / "ccproxy.yaml")

    assert [] == notes(checkout("token", "list", "--config", used))
    monkeypatch.setenv("CCPROXY_CONFIG", used)
    assert [] == notes(checkout("token", "list"))


def test_what_hides_nothing_needs_no_remark(checkout, tmp_path):
    """There is no other file, or it is the same one."""
    assert [] == notes(checkout("token", "list"))
    (tmp_path / ".ccproxy").symlink_to(checkout.folder)
    assert [] == notes(checkout("token", "list"))


@pytest.mark.usefixtures("installation")
def test_the_tab_key_is_not_answered_with_remarks(checkout, monkeypatch):
    """A remark would stand in the middle of the line that somebody types."""
    monkeypatch.setenv("_CCPROXY_COMPLETE", "complete_fish")
    monkeypatch.setenv("_TYPER_COMPLETE_FISH_ACTION", "get-args")
    monkeypatch.setenv("_TYPER_COMPLETE_ARGS", "ccproxy agents show s")

    done = checkout()

    assert ("", "security-auditor\tSecurity Auditor, sonnet\n") == (done.err, done.out)
