"""What holds for every command: its help, its JSON, its errors, its colours."""

import ast
import inspect
import io
import re
import shlex
import sys
import threading

import pytest
from typer.core import TyperGroup

from ccproxy.cli.colours import wants_colours
from ccproxy.cli.help_page import HelpContext, help_page, summary
from ccproxy.cli.main import OWN_MISTAKE, command_tree, main
from ccproxy.cli.output import harmless_cell, print_csv, print_table, remark
from ccproxy.cli.tree import PLACES, load
from ccproxy.cli.working import working
from tests.support.command_line import command_line
from tests.support.command_tree import walk
from tests.support.commands_page import PAGE, page
from tests.support.tools import ROOT

COMMANDS = dict(walk(command_tree()))
LEAVES = {
    " ".join(path[1:]): command
    for path, command in COMMANDS.items()
    if not isinstance(command, TyperGroup) or command.invoke_without_command
}
NO_TABLE = {
    *("serve", "run", "demo"),
    *("config schema", "export"),  # JSON anyway, or JSON Lines
    "models report",  # a page, from the JSON of others
    *("routes import-roster", "routes rollback"),  # a diff
    *("secret set", "secret delete", "models pull", "token revoke"),
    *("service install", "service uninstall", "service start", "service stop", "service restart"),
    "service logs",
}
"""Commands without `--json`."""


@pytest.fixture
def ccproxy(tmp_path, monkeypatch, capsys):
    return command_line(tmp_path, monkeypatch, capsys)


# --- help ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.name)
def test_the_list_of_commands_says_what_each_says_itself(place):
    """`ccproxy --help` tells of a command, without importing it, what its own help begins with."""
    assert place.summary == summary(load(place.name))


def test_sections_of_the_list_are_whole():
    """No section of `ccproxy --help` comes twice."""
    order = list(dict.fromkeys(place.section for place in PLACES))

    assert sorted(PLACES, key=lambda place: order.index(place.section)) == list(PLACES)


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help_teaches(path):
    """Every command's help has examples that a parser takes, and names pages that there are."""
    name = " ".join(path[1:])
    examples, _, rest = (COMMANDS[path].help or "").partition("Examples:\n")[2].partition("\n\n")
    read_on = re.search(r"Read on: (.+)", rest)

    called = {checked_example(line) for line in examples.splitlines()}
    assert [each for each in called if each.startswith(name)]
    assert read_on
    missing = [each for each in read_on[1].split(", ") if not (ROOT / each).is_file()]
    assert [] == missing


def checked_example(line):
    """Return the command that a line of examples calls, after a look at its options."""
    words = shlex.split(line.split(" < ")[0].split(" > ")[0], comments=True)
    words = words[words.index("ccproxy") + 1 :]
    path = max((each for each in COMMANDS if each[1:] == tuple(words[: len(each) - 1])), key=len)
    context = HelpContext(COMMANDS[path], info_name=path[-1])
    # The parser alone: files that an example names are not here.
    COMMANDS[path].make_parser(context).parse_args(words[len(path) - 1 :])
    return " ".join(path[1:])


def test_the_page_of_commands_is_their_help():
    """docs/commands.md is what `make docs` writes."""
    assert page() == PAGE.read_text("utf-8")


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help_has_a_short_name(ccproxy, path):
    """`-h` is `--help`, at every level."""
    words = path[1:]

    assert ccproxy(*words, "--help") == ccproxy(*words, "-h")


def test_the_version_has_a_short_name(ccproxy):
    """`-V` is `--version`."""
    assert ccproxy("--version") == ccproxy("-V")


def test_help_fits_the_screen_and_keeps_examples_whole():
    """Prose and lists are filled to the width; a line of an example is never broken."""
    text = help_page(HelpContext(LEAVES["init"], info_name="init"), 60)
    lines = re.sub(r"\x1b\[\d*m", "", text).splitlines()
    long = [line for line in lines if len(line) > 60]

    assert (
        "  ccproxy init --yes --ram 64 --dir /tmp/mini --key-from keychain/ccproxy/anthropic"
        in long
    )
    assert [] == [line for line in long if "ccproxy init" not in line and "|" not in line]


# --- results ------------------------------------------------------------------------------------


def test_everything_that_prints_a_table_prints_json():
    """A command has `--json`, or is one of those that print no table."""
    without = {
        name
        for name, command in LEAVES.items()
        if not any("--json" in each.opts for each in command.params)
    }

    assert NO_TABLE == without
    assert [] == [name for name in without if "print_table" in called_by(LEAVES[name].callback)]


def called_by(function):
    """Names that a function uses, and those that functions of its module use that it uses."""
    module = ast.parse(inspect.getsource(inspect.getmodule(function)))
    functions = {each.name: each for each in module.body if isinstance(each, ast.FunctionDef)}
    seen, found = set(), {function.__name__}
    while fresh := found - seen:
        seen |= fresh
        for name in fresh & functions.keys():
            found |= {each.id for each in ast.walk(functions[name]) if isinstance(each, ast.Name)}
    return found


# --- errors -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "next_step"),
    [
        (("rout",), "No such command 'rout'. Did you mean 'routes'?", "ccproxy --help"),
        (("routes", "chek"), "No such command 'chek'. Did you mean 'check'?", "ccproxy routes --help"),
        (("serve", "--prt", "1"), "No such option: --prt", "ccproxy serve --help"),
        (("token", "create"), "Missing argument 'name'.", "ccproxy token create --help"),
        (
            ("explain", "--health", "ollama"),
            "Invalid value: 'ollama': write --health NAME=down or NAME=up",
            "ccproxy explain --help",
        ),
        (("usage", "--by", "x"), "Invalid value for '--by': 'x' is not one of 'agent', ", "ccproxy usage --help"),
        (
            ("--config", "ccproxy.yaml", "usage"),
            "No such option: --config; options of a command go behind its name: ccproxy COMMAND ",
            "ccproxy --help",
        ),
        (
            ("--versoin",),
            ("No such option: --versoin; options of a command go behind its name: ccproxy COMMAND "
            "--versoin (Possible options: --version)"),
            "ccproxy --help",
        ),
        (
            ("--json", "usage"),
            "No such option: --json; options of a command go behind its name: ccproxy COMMAND ",
            "ccproxy --help",
        ),
    ],
)  # fmt: skip
def test_wrong_usage_is_a_line_and_the_next_step(ccproxy, arguments, error, next_step):
    """Exit code 2, one line `error:` and one line `try:` on stderr, nothing on stdout."""
    done = ccproxy(*arguments)

    assert (2, "") == (done.code, done.out)
    said, then = done.err.splitlines()
    assert said.startswith(f"error: {error}")
    assert f"try: {next_step}" == then


def test_a_long_path_in_an_error_is_not_cut(ccproxy):
    """However narrow the screen that is not there is said to be."""
    path = f"/{'long/' * 40}request.json"

    assert f"--request {path}: No such file" in ccproxy("explain", "--request", path).err


def test_on_a_terminal_wrong_usage_is_drawn(ccproxy, monkeypatch):
    """A person sees it in a frame, with the command whose help to read."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)

    assert 2 == ccproxy("rout").code
    assert "No such command 'rout'. Did you mean 'routes'?" in terminal.getvalue()
    assert "╭" in terminal.getvalue()


def test_a_mistake_of_ours_asks_for_a_report(monkeypatch):
    """What nobody foresaw keeps its traceback, with what to do about it as its last line."""

    def broken(*_):
        raise ZeroDivisionError

    monkeypatch.setattr("ccproxy.cli.models.config_path", broken)
    with pytest.raises(ZeroDivisionError) as raised:
        main(["models", "list"])

    assert [OWN_MISTAKE] == raised.value.__notes__


def test_ctrl_c_is_130(ccproxy, monkeypatch):
    """As a shell expects of a command that SIGINT ended."""

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("ccproxy.config.settings.load_settings", interrupted)

    assert 130 == ccproxy("models", "list").code


@pytest.mark.parametrize(("pressed", "code"), [(KeyboardInterrupt, 130), (EOFError, 1)])
def test_ctrl_c_at_a_question_is_130(ccproxy, monkeypatch, pressed, code):
    """As elsewhere; the end of the input is an answer that is missing."""

    class Person(Terminal):
        def readline(self, *_):
            raise pressed

    monkeypatch.setattr(sys, "stdin", Person())
    monkeypatch.setattr("getpass.getpass", Person().readline)

    done = ccproxy("secret", "set", "file/key")

    assert (code, "") == (done.code, done.out)
    assert "nothing was changed" in done.err


# --- progress -----------------------------------------------------------------------------------


def test_what_takes_its_time_says_so(monkeypatch):
    """After half a second a terminal shows what goes on, and it is gone at the end."""
    monkeypatch.setenv("TERM", "xterm")
    said = threading.Event()

    class Heard(Terminal):
        def write(self, text):
            if "asking Ollama" in text:
                said.set()
            return super().write(text)

    terminal = Heard()
    monkeypatch.setattr(sys, "stderr", terminal)
    with working("asking Ollama"):
        assert said.wait(30)

    assert terminal.getvalue().endswith("\x1b[2K")  # the line is erased


@pytest.mark.parametrize("stream", [io.StringIO, lambda: Terminal()], ids=["pipe", "terminal"])  # noqa: PLW0108
def test_what_is_quick_or_piped_says_nothing(monkeypatch, stream):
    """No word of progress in a pipe, nor where there was hardly anything to wait for."""
    shown = stream()
    monkeypatch.setattr(sys, "stderr", shown)
    with working("asking Ollama"):
        pass

    assert "" == shown.getvalue()


def test_progress_ends_with_a_failure(monkeypatch):
    """An error inside goes on its way, and no line of progress stays behind."""
    monkeypatch.setattr(sys, "stderr", Terminal())
    with pytest.raises(ZeroDivisionError), working("asking Ollama"):
        raise ZeroDivisionError

    assert "working" not in {each.name for each in threading.enumerate()}


# --- colours ------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("stream", "environ", "wanted"),
    [
        (Terminal(), {}, True),
        (Terminal(), {"TERM": "dumb"}, False),
        (Terminal(), {"NO_COLOR": "1"}, False),
        (Terminal(), {"NO_COLOR": ""}, True),
        (Terminal(), {"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
        (io.StringIO(), {}, False),
        (io.StringIO(), {"FORCE_COLOR": "1"}, True),
        (io.StringIO(), {"FORCE_COLOR": ""}, False),
    ],
)
def test_colours_are_for_terminals_and_who_asks(stream, environ, wanted):
    """A terminal has colours; NO_COLOR takes them away everywhere, FORCE_COLOR gives them."""
    assert wanted is wants_colours(stream, environ)


@pytest.mark.parametrize("forced", [False, True])
def test_no_output_has_colours_unasked(ccproxy, monkeypatch, forced):
    """Help, tables and errors in a pipe are plain, and coloured with FORCE_COLOR."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    if forced:
        monkeypatch.setenv("FORCE_COLOR", "1")

    outputs = [
        ccproxy("--help").out,
        ccproxy("agents", "list").out,
        ccproxy("serve", "--prt").err,
    ]
    assert [forced] * 3 == ["\x1b[" in text for text in outputs]


def test_what_others_wrote_gives_a_terminal_no_orders(capsys):
    """A client may call its model what it likes, and an Ollama answer anything: in no output it acts."""
    name = "qwen\x1b]0;title\x07\x9b31m\r\tü"

    print_table(("model",), [(name,)])
    remark(name)
    print_csv([{"model": harmless_cell(name)}])

    told = capsys.readouterr()
    for said in (told.out, told.err):
        assert not set("\x1b\x07\x9b\r") & set(said)
        assert "qwen\ufffd]0;title\ufffd\ufffd31m\ufffd" in said
        assert "ü" in said


def test_only_the_first_word_of_a_remark_is_coloured(monkeypatch):
    """`error:` and `warning:` stand out on a terminal; the rest can be copied as it is."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", Terminal())
    remark("error: a\nwarning: no error: b", "errors: none")

    assert "\x1b[1;31merror:\x1b[0m a\n\x1b[33mwarning:\x1b[0m no error: b\nerrors: none\n" == (
        sys.stderr.getvalue()
    )
