"""Tool calls written as text: the corpus, every split, and what a filter holds back."""

from __future__ import annotations

import json
import random
import sys

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ccproxy.ports import ToolCall
from ccproxy.wire.leak_cursor import HELD_CHARS
from ccproxy.wire.leak_tools import UNREADABLE, KnownTools
from ccproxy.wire.leaked_calls import LeakFilter
from ccproxy.wire.tool_arguments import check_arguments
from tests.support import leaked_samples
from tests.support.leaked_samples import TOOLS, filtered, written_by_hand
from tests.support.sizes import count
from tests.support.tools import ROOT

POSITIVES = [*leaked_samples.positives(), *written_by_hand("positives")]
NEGATIVES = [*leaked_samples.negatives(), *written_by_hand("negatives")]
SAMPLES = POSITIVES + NEGATIVES

LS = '{"name": "Bash", "arguments": {"command": "ls"}}'
LS_CALL = ToolCall(None, "Bash", {"command": "ls"})
READ_XML = "<function=Read>\n<parameter=file_path>\na\n</parameter>\n</function>"


def _as_expected(sample, pieces):
    return filtered(pieces, cut_off=sample.cut_off) == sample.expected


def test_the_corpus_is_repaired_or_left_alone():
    """Of 300 outputs and more, 99 % of the calls are recovered, and no text is called (conformance 212)."""
    recovered = [one for one in POSITIVES if _as_expected(one, [one.text])]
    untouched = [one for one in NEGATIVES if _as_expected(one, [one.text])]
    print(
        f"{len(recovered)} of {len(POSITIVES)} recovered, {len(untouched)} of {len(NEGATIVES)} left"
    )
    assert len({one.text for one in SAMPLES}) >= 300
    assert len({one.text for one in NEGATIVES}) >= 100
    assert [] == [one.name for one in NEGATIVES if one not in untouched]
    missed = [one for one in POSITIVES if one not in recovered]
    assert len(missed) <= len(POSITIVES) / 100
    assert [] == [one.name for one in missed if not one.name.startswith("missed: ")]


def test_what_is_missed_is_missed_as_text():
    """A call that is not recovered reaches the client as the model wrote it."""
    for one in POSITIVES:
        if one.name.startswith("missed: "):
            assert filtered([one.text]) == (one.text,)


def test_the_page_has_the_counts():
    """docs/tool-calls.md says how many outputs there are, and how many are recovered."""
    page = (ROOT / "docs/tool-calls.md").read_text()
    missed = sum(one.name.startswith("missed: ") for one in POSITIVES)
    page = " ".join(page.split())
    recovered = len(POSITIVES) - missed
    assert f"{len(POSITIVES)} with calls, {recovered} of which are recovered exactly" in page
    assert f"and {len(NEGATIVES)} without, all of which come out unchanged" in page


@pytest.mark.parametrize("way", ["single characters", "two pieces", "several pieces"])
def test_the_corpus_at_every_split(way):
    """It does not matter where a text was cut: the outcome is that of the whole text."""
    chance = random.Random(way)  # noqa: S311 - the same cuts in every run
    for one in SAMPLES:
        text = one.text
        whole = filtered([text], cut_off=one.cut_off)
        for pieces in _splits(way, text, chance):
            assert filtered(pieces, cut_off=one.cut_off) == whole, (one.name, pieces)


def test_windows_line_ends_change_nothing():
    """A text with CRLF has the calls of the same text with LF, and comes out whole without any."""
    for one in SAMPLES[:: count(3, 1, 1)]:
        found = filtered([one.text.replace("\n", "\r\n")], cut_off=one.cut_off)
        plain = [item if isinstance(item, str) else [*item] for item in found]
        as_before = json.loads(json.dumps(plain).replace("\\r\\n", "\\n"))
        expected = filtered([one.text], cut_off=one.cut_off)
        assert as_before == [item if isinstance(item, str) else [*item] for item in expected]


def _splits(way, text, chance):
    if way == "single characters":
        yield list(text)
    elif way == "two pieces":
        places = range(1, len(text))
        for place in sorted(chance.sample(places, min(len(places), count(1, 8, 10**9)))):
            yield [text[:place], text[place:]]
    else:
        for _ in range(count(1, 4, 100)):
            marks = sorted(chance.randrange(len(text) + 1) for _ in range(chance.randrange(2, 12)))
            yield [text[a:b] for a, b in zip([0, *marks], [*marks, len(text)], strict=True)]


_FRAGMENTS = [
    *('{"name": "Bash"', '"arguments": {', '"command": "ls"', "}", "}}", ",", " ", "\n", "[", "]"),
    *("<tool_call>", "</tool_call>", "<function=Read>", "</function>", "<parameter=file_path>"),
    *(
        "</parameter>",
        "```json\n",
        "```\n",
        "```",
        "`",
        "> ",
        "    ",
        "text. ",
        "for example:",
        "<",
    ),
    *(
        '"',
        "\\",
        "\\n",
        "</",
        "<invoke name=",
        LS,
        READ_XML,
        '{"tool_calls": [',
        "é😀",
        ": ",
        "true",
    ),
]


@settings(max_examples=count(60, 300, 20_000), deadline=None)
@given(st.lists(st.sampled_from(_FRAGMENTS), max_size=14), st.data())
@example([LS, "\n", "}"], None)
def test_any_text_at_any_split(fragments, data):
    """Text comes out whole, a call means the same at every split, and no notes are missing."""
    text = "".join(fragments)
    whole = filtered([text])
    assert filtered(list(text)) == whole
    if data is not None:
        cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
        pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
        assert filtered(pieces) == whole
    if all(isinstance(item, str) for item in whole):
        assert "".join(whole) == text
    leaks = LeakFilter(TOOLS)
    calls = [one for one in leaks.feed(text) + leaks.finish() if isinstance(one, ToolCall)]
    assert leaks.recovered == len(calls)
    recovered = [one for one in leaks.notes if one.startswith("tool_call_recovered=")]
    assert recovered == [f"tool_call_recovered={call.name}" for call in calls]


@given(st.lists(st.text("ab .,\n{[(:\"'#-*>", min_size=1), min_size=1))
def test_prose_flows(chunks):
    """A chunk in which no call can begin comes out as it is, at once (design: plain text flows)."""
    leaks = LeakFilter(TOOLS)
    for number, chunk in enumerate(chunks):
        safe = f"x{chunk}y" if number else f"Text {chunk}y"
        safe = safe.replace("\n{", "\nx").replace("\n[", "\nx").replace("\n ", "\nx")
        assert leaks.feed(safe) == [safe]
    assert leaks.finish() == []


@pytest.mark.parametrize(
    ("chunks", "emitted"),
    [
        (["a < b", " and"], [["a < b"], [" and"]]),
        (["a <", "b"], [["a "], ["<b"]]),
        (["x <t", "ool", "s for"], [["x "], [], ["<tools for"]]),
        (["{", "\n", ' "n', 'o": 1}'], [[], [], [], ['{\n "no": 1}']]),
        (['{"name": "B', "ob"], [[], ['{"name": "Bob']]),
        (["```js", "on\n{", '"a"'], [[], [], ['```json\n{"a"']]),
        (["```py", "thon\n", '{"name"'], [["```py"], ["thon\n"], ['{"name"']]),
        (["[", "a](b)"], [[], ["[a](b)"]]),
        (
            ["Look.\n\n", LS[:-1], "}", "\n", "\n", "Done"],
            [["Look.\n\n"], [], [], [], [], [LS_CALL, "Done"]],
        ),
        ([READ_XML[:-5], "tion>", "\n</tool_call>", "\n"], [[], [], [], []]),
    ],
)
def test_held_only_while_it_could_become_a_call(chunks, emitted):
    """What could become a call waits; at the first character that rules it out, it is text."""
    leaks = LeakFilter(TOOLS)
    assert [leaks.feed(chunk) for chunk in chunks] == emitted


def test_the_end_releases_what_was_held():
    """A tag that nothing follows is text, unchanged; a second end gives nothing."""
    leaks = LeakFilter(TOOLS)
    assert leaks.feed("Ok.\n<tool_call>\n{") == ["Ok.\n"]
    assert leaks.finish() == ["<tool_call>\n{"]
    assert leaks.finish() == []


FENCED = f"```json\n{LS}\n```"


@pytest.mark.parametrize(
    ("before", "behind", "parts"),
    [
        (LS, "\nDone", [LS_CALL, "\nDone"]),
        (f"<tool_call>\n{LS}", "", [LS_CALL]),
        (FENCED, "\nDone", [LS_CALL, "\nDone"]),
        ("Ok.\n<tool_call>\n{", "}", ["Ok.\n", "<tool_call>\n{", "}"]),
        ("a <", "b", ["a ", "<", "b"]),
        (LS[:-1], "}", [LS[:-1], "}"]),
        (READ_XML.removesuffix("</function>"), "", [READ_XML.removesuffix("</function>")]),
        (FENCED[:-4], "\n```", [FENCED[:-4], "\n```"]),
        (FENCED[:-1], f"`\n{LS}", [FENCED[:-1], "`\n", LS_CALL]),
        ("```python\nx = 1\n", LS, ["```python\nx = 1\n", LS]),
        ("```python", LS, ["```python", LS]),
        ("```\nx = 1\n```", LS, ["```\nx = 1\n```", LS_CALL]),
        ("Say `", f"<tool_call>\n{LS}`", ["Say `", f"<tool_call>\n{LS}`"]),
        ("> He said. ", f"<tool_call>{LS}", ["> He said. ", f"<tool_call>{LS}"]),
        ("For example:\n", LS, ["For example:\n", LS]),
        ("For example:", f"\n{LS}", ["For example:", f"\n{LS}"]),
        ('{"calls": [\n', LS, ['{"calls": [\n', LS]),
        ("I sent ", LS, ["I sent ", LS]),
    ],
)
def test_an_interrupt_ends_what_was_held_and_nothing_else(before, behind, parts):
    """A native call or thinking releases what was held; the text around it stays what it was (212)."""
    leaks = LeakFilter(TOOLS)
    items = leaks.feed(before) + leaks.interrupt()
    assert leaks.interrupt() == []
    items += leaks.feed(behind) + leaks.finish()
    assert _joined(items) == _joined(parts)
    by_chars = LeakFilter(TOOLS)
    items = [part for char in before for part in by_chars.feed(char)] + by_chars.interrupt()
    items += [part for char in behind for part in by_chars.feed(char)] + by_chars.finish()
    assert _joined(items) == _joined(parts)


def _joined(parts):
    """Return the parts with the text joined that is not parted by a call."""
    joined = []
    for part in parts:
        if joined and isinstance(part, str) and isinstance(joined[-1], str):
            joined[-1] += part
        else:
            joined.append(part)
    return joined


def test_an_interrupt_does_not_make_a_broken_call_harmless():
    """What follows a call that cannot be read is text, also behind an interrupt."""
    leaks = LeakFilter(TOOLS)
    broken = LS.replace('"ls"', '"a"b"') + "\n"
    assert leaks.feed(broken) + leaks.interrupt() == [broken]
    assert leaks.feed(LS) + leaks.finish() == [LS]


def test_behind_a_call_that_cannot_be_read_nothing_is_called():
    """Its arguments may go on anywhere: the rest stays text, and a note says so."""
    leaks = LeakFilter(TOOLS)
    text = LS.replace('"ls"', '"a"b"') + "\n\nAgain.\n" + LS
    assert leaks.feed(text) + leaks.finish() == [text]
    assert leaks.notes == ["tool_call_unreadable=Bash"]


def test_what_was_held_is_one_piece():
    """Text that was held for many lines is given out as one text."""
    leaks = LeakFilter(TOOLS)
    head, lines = LS[:-2] + ", ", ["\n"] * 1000
    assert [leaks.feed(piece) for piece in [head, *lines]] == [[]] * 1001
    assert leaks.finish() == [head + "\n" * 1000]


@pytest.mark.parametrize("closing", ["\n</tool_call>", "\n"])
def test_a_call_between_tags_that_cannot_be_read_is_told(closing):
    """It is given out where its tags are whole, and a note says so; nothing behind it is called."""
    leaks = LeakFilter(TOOLS)
    broken = LS.replace('"ls"', '"a"b"')
    text = f"<tool_call>\n{broken}{closing}"
    parts = leaks.feed(text) + leaks.interrupt()
    recovered = [ToolCall(None, "Bash", {UNREADABLE: broken})] if closing.strip() else [text]
    assert parts == recovered
    notes = ["tool_call_recovered=Bash"] if closing.strip() else []
    assert leaks.notes == [*notes, "tool_call_unreadable=Bash"]
    assert leaks.feed(f"\n{LS}\n") + leaks.finish() == [f"\n{LS}\n"]


@pytest.mark.parametrize("schema", [{}, {"required": ["Un_readable"]}, {"required": []}])
def test_a_call_that_cannot_be_read_is_text_where_the_check_might_pass_it(schema):
    """What the check of arguments would let through is not made of an unreadable text."""
    text = '<tool_call>\n{"name": "T", "arguments": "now"}\n</tool_call>'
    leaks = LeakFilter({"T": schema})
    assert leaks.feed(text) + leaks.finish() == [text]
    leaks = LeakFilter({"T": {**schema, "required": ["when"]}})
    call = ToolCall(None, "T", {UNREADABLE: '{"name": "T", "arguments": "now"}'})
    assert leaks.feed(text) + leaks.finish() == [call]
    assert check_arguments(call.arguments, {"required": ["when"]}).errors


def test_a_spelling_that_means_two_tools_is_text():
    """Between tags a name may be spelt otherwise, if it means one tool only."""
    text = "<function=BASH></function>"
    leaks = LeakFilter({"Bash": {}, "bash": {}})
    assert leaks.feed(text) + leaks.finish() == [text]
    leaks = LeakFilter({"Bash": {}, "Read": {}})
    assert leaks.feed(text) + leaks.finish() == [ToolCall(None, "BASH", {})]


def test_a_call_that_is_too_long_stays_text():
    """Not more than the limit is held; the text comes out whole and nothing after it is called."""
    leaks = LeakFilter(TOOLS)
    text = json.dumps({"name": "Bash", "arguments": {"command": "x" * HELD_CHARS}}) + "\n" + LS
    items = leaks.feed(text[:-9]) + leaks.feed(text[-9:]) + leaks.finish()
    assert "".join(items) == text
    fits = json.dumps({"name": "Bash", "arguments": {"command": "x" * (HELD_CHARS - 99)}})
    assert len(filtered([fits])[0][1]["command"]) == HELD_CHARS - 99


@pytest.mark.parametrize("depth", [20, 60, 70, 5000])
def test_nesting_is_bounded(depth):
    """Deep arguments are read, absurdly deep ones stay text."""
    value = "[" * depth + "]" * depth
    text = f'{{"name": "TodoWrite", "arguments": {{"todos": {value}}}}}'
    assert isinstance(filtered([text])[0], str) is (depth > 64)
    deep_shape = '{"tool_calls": [' * depth
    assert filtered([deep_shape]) == (deep_shape,)


_SLOW = {
    "prose": ("", "The quick brown fox. "),
    "a call": ('{"name": "Bash", "arguments": {"command": "', "\\n<a b=1>{}` "),
    "a value": ("<function=Bash>\n<parameter=command>\n", "</parameter>\n<b> "),
    "brackets": ("", "{\n[\n"),
    "tags": ("", "<tool_call>\n"),
    "fences": ("", "```json\n"),
    "spaces": (LS[:15], " "),
    "less": ("", "<<t<"),
    "backticks": ("", "`"),
}


@pytest.mark.parametrize("kind", _SLOW)
def test_work_is_linear(kind):
    """Fed by single characters, twice the text costs twice the calls, and little is seen again."""
    chars = count(3_000, 8_000, 100_000)
    head, unit = _SLOW[kind]
    small, large = (_calls_made(head + unit * (size // len(unit))) for size in (chars, 2 * chars))
    assert large < 2.3 * small + 2000


def _calls_made(text):
    """Return how many functions are called for a text; stop where too much of it is kept unread."""
    leaks = LeakFilter(TOOLS)
    made = 0

    def note_call(*_):
        nonlocal made
        made += 1

    sys.setprofile(note_call)
    try:
        for char in text:
            leaks.feed(char)
            if len(leaks._cursor._text) > 200:
                break
    finally:
        sys.setprofile(None)
    assert len(leaks._cursor._text) <= 200
    return made


@pytest.mark.parametrize(
    ("schema", "text", "value"),
    [
        ({}, "5", "5"),
        ({"type": "string"}, "5", "5"),
        ({"type": ["string", "integer"]}, "5", "5"),
        ({"type": ["string", "null"]}, "null", "null"),
        ({"type": "integer"}, " 5\n", 5),
        ({"type": "integer"}, "5.0", 5),
        ({"type": "integer"}, "5.5", "5.5"),
        ({"type": "integer"}, "true", "true"),
        ({"type": "number"}, "1e3", 1000.0),
        ({"type": "boolean"}, "False", False),
        ({"type": "boolean"}, "yes", "yes"),
        ({"type": "array"}, "[1, {}]", [1, {}]),
        ({"type": "array"}, "[" * 99_999, "[" * 99_999),
        ({"type": "object"}, '"x"', '"x"'),
        ({"anyOf": [{"type": "object"}, {"type": "null"}]}, "null", None),
        ({"type": 3, "anyOf": "x"}, "5", "5"),
        ("no schema", "5", "5"),
    ],
)
def test_a_parameter_has_the_type_of_the_schema(schema, text, value):
    """Text becomes what the schema names; whatever is not of that type stays the exact text."""
    converted = KnownTools({"T": {"properties": {"key": schema}}}).converted("T", "key", text)
    assert (converted, type(converted)) == (value, type(value))


def test_a_big_answer_in_one_piece():
    """A long argument comes whole, at once, however its server sends it."""
    command = "x = '<a>' + \"b\"\\n" * 10_000
    text = "Go.\n<tool_call>\n" + json.dumps({"name": "Bash", "arguments": {"command": command}})
    assert filtered([text]) == ("Go.\n", ("Bash", {"command": command}))
