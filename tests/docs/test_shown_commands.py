"""Every `ccproxy` command that a page shows is one that there is."""

import re
import shlex

import pytest
from typer import Context

from ccproxy.cli.tree import PLACES, load
from tests.support.tools import ROOT

PAGES = sorted(
    [
        *set((ROOT / "docs").glob("*.md")) - {ROOT / "docs/commands.md"},  # which is generated
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "launchd/README.md",
    ]
)
FENCED = re.compile(r"```sh\n(.*?)```", re.DOTALL)
INLINE = re.compile(r"(?<!`)`((?:sudo )?(?:\.venv/bin/)?ccproxy(?: [^`]*)?)`(?!`)")
CALL = re.compile(r"(?:^|[|;&(]|sudo )\s*(?:\.venv/bin/)?ccproxy +([^|;&>#)\n]+)", re.MULTILINE)
"""Behind the name all that is not the shell's."""
CHOICE = re.compile(r"(?<=[a-z])\|(?=[a-z])|, |…")
"""Between names of commands that stand together in prose."""


def calls(text):
    """Return the words behind `ccproxy` in a piece of shell."""
    joined = text.replace("\\\n", " ")
    return [shlex.split(call) for call in CALL.findall(joined)]


def named(page):
    """Return what a page names in its sentences, as words; often without arguments."""
    prose = FENCED.sub("", page.read_text())
    return [words for code in INLINE.findall(prose) for words in calls(CHOICE.sub(" ; ", code))]


def shown(page):
    """Return what a page shows as something to run, as words."""
    return [words for block in FENCED.findall(page.read_text()) for words in calls(block)]


def problem(words):
    """Return what is wrong with a command and its options, and which argument is missing."""
    places = {place.name for place in PLACES}
    name, *rest = words
    if name not in places:
        return (None, None) if name in ("--help", "--version") else (name, None)
    command = load(name)
    while rest and rest[0] in getattr(command, "commands", ()):
        command = command.commands[rest.pop(0)]
    if rest and hasattr(command, "commands") and not rest[0].startswith("-"):
        return rest[0], None
    context = Context(command)
    try:
        given, _, _ = command.make_parser(context).parse_args(rest)
    except Exception as refusal:  # noqa: BLE001 - the parser's own, which is not exported
        return str(refusal), None
    for each in command.get_params(context):
        if each.param_type_name == "argument" and each.required and not given.get(each.name):
            return None, each.name
    return None, None


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_a_page_shows_can_be_run(page):
    """Commands and options exist; what stands in a block of shell has its arguments as well."""
    wrong = [words for words in named(page) if problem(words)[0]]
    wrong += [words for words in shown(page) if any(problem(words))]

    assert [] == wrong
