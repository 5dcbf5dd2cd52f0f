"""docs/commands.md: what it says of how a command is called."""

import re

import pytest

from ccproxy.cli.main import command_tree
from tests.support.command_tree import walk
from tests.support.commands_page import help_of

COMMANDS = dict(walk(command_tree()))


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_a_usage_line_is_the_words_that_call_the_command(path):
    """Its own words, then what stands behind them: nothing is between a group and its command."""
    first = help_of(path, COMMANDS).splitlines()[0]
    words = first.removeprefix("Usage: ").split()

    assert list(path) == words[: len(path)]
    assert [] == [word for word in words[len(path) :] if not re.match(r"[\[{]|COMMAND$", word)]
