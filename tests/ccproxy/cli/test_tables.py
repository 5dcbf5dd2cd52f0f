"""Tables on a terminal: what a person sees of one that is too wide."""

import io
import re
import sys

import pytest

from ccproxy.cli.output import print_table

HEADINGS = ("agent", "principal", "requests", "cache write", "cost", "at Claude", "tokens/s")
ROW = ("chief-architect", "laptop", "12,345", "1.23M", "$0.1230 + ?", "$1.2300", "50.1")


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    """A screen of so many columns."""

    def opened(columns):
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setattr(sys, "stdout", Terminal())
        return sys.stdout

    return opened


def drawn(screen):
    """Return its lines without what makes headings bold."""
    return re.sub(r"\x1b\[[\d;]*m", "", screen.getvalue()).splitlines()


@pytest.mark.parametrize("columns", [100, 80, 60])
def test_no_word_and_no_number_is_broken(terminal, capsys, columns):
    """What is shown is whole and on one line each; what is not is named, with where it is."""
    screen = terminal(columns)
    print_table(HEADINGS, [ROW])
    *_, line = lines = drawn(screen)
    left_out = capsys.readouterr().err

    assert max(map(len, lines)) <= columns
    told = [name for name in HEADINGS if name in left_out]
    assert [cell for name, cell in zip(HEADINGS, ROW, strict=True) if name not in told] == [
        cell.strip() for cell in line.split("  ") if cell.strip()
    ]
    assert (columns < 80) is (left_out != "")
    assert not told or left_out.endswith(": --json has everything\n")


def test_the_command_says_what_it_can_spare(terminal, capsys):
    """Its own order counts."""
    screen = terminal(60)
    print_table(HEADINGS, [ROW], ("principal", "cache write", "tokens/s"))

    assert "$0.1230 + ?" in screen.getvalue()
    assert "note: no room for principal; cache write" in capsys.readouterr().err


def test_a_long_text_is_folded_between_words(terminal):
    """Beside columns that are whole."""
    screen = terminal(40)
    why = "at most 204 input tokens, fewer than 30000"
    print_table(("step", "", "why"), [("rules.long", "skipped", why)])
    lines = drawn(screen)

    assert "rules.long  skipped  at most 204 input" == lines[1].rstrip()
    assert why == " ".join(" ".join(line[21:].split()) for line in lines[1:])


def test_a_pipe_gets_whole_lines(capsys):
    """However long they are: `grep` shall find what belongs together."""
    cells = ("a" * 150, "word " * 50, "end")
    print_table(("one", "two", "three"), [cells])
    told = capsys.readouterr()

    assert "".join(cells).split() == "".join(told.out.splitlines()[1].split("  ")).split()
    assert (2, "") == (len(told.out.splitlines()), told.err)
