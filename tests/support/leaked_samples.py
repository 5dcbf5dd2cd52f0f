"""Model outputs with tool calls written as text, and texts that only look like them.

`positives()` and `negatives()` are generated: every payload in every form, in changing
surroundings. `written_by_hand(name)` reads `tests/data/leaked_calls/NAME.jsonl`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import cycle
from typing import TYPE_CHECKING, Any, TypeAlias

from ccproxy.ports import ToolCall
from ccproxy.wire.leaked_calls import LeakFilter
from tests.support.tools import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

FOLDER = ROOT / "tests/data/leaked_calls"
TOOLS: dict[str, dict[str, Any]] = json.loads((FOLDER / "tools.json").read_text())

Call: TypeAlias = "tuple[str, dict[str, Any]]"
Item: TypeAlias = "str | Call"
"""Text, or a call's name and arguments."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What a model wrote, and what has to come of it."""

    name: str
    text: str
    expected: tuple[Item, ...]
    cut_off: bool = False
    """The token limit ended it."""


def filtered(pieces: Iterable[str], *, cut_off: bool = False) -> tuple[Item, ...]:
    """Return what a filter makes of a text that comes in these pieces, adjacent text joined."""
    leaks = LeakFilter(TOOLS)
    found: list[str | ToolCall] = []
    for piece in pieces:
        found += leaks.feed(piece)
    found += leaks.finish(cut_off=cut_off)
    items: list[Item] = []
    for one in found:
        if isinstance(one, ToolCall):
            items.append((one.name, dict(one.arguments)))
        elif items and isinstance(items[-1], str):
            items[-1] += one
        else:
            items.append(one)
    return tuple(items)


def written_by_hand(name: str) -> list[Sample]:
    """Read a file: `id`, `text`, and for positives `expect`, text and `[name, arguments]`."""
    samples = []
    for line in (FOLDER / f"{name}.jsonl").read_text().splitlines():
        row = json.loads(line)
        expect = row.get("expect", [row["text"]])
        items = tuple(item if isinstance(item, str) else (item[0], item[1]) for item in expect)
        samples.append(Sample(row["id"], row["text"], items, cut_off=row.get("cut_off", False)))
    return samples


# --- payloads: arguments in many languages -----------------------------------------------------

_PYTHON = 'import re\n\n\ndef f(x: str) -> str:\n    """Doc."""\n    return re.sub(r"\\d+\\.", \'\\\\\', f"{x}\\n")\n'
_HEREDOC = (
    "cat <<'EOF' > a.sh\n#!/bin/bash\necho \"$HOME\" | sed 's/\\(a\\)/\\1/g' && exit $?\nEOF\n"
)
_TYPESCRIPT = (
    "const s = `a ${b ? `<${c}>` : '{}'}`;\nexport type T = Record<string, { name: 'x' }[]>;\n"
)
_GO = 'package main\n\nfunc main() {\n\tm := map[string]struct{}{"a": {}}\n\tfmt.Printf("%v\\n", `raw "x"`)\n}\n'
_SQL = "SELECT \"name\", 'it''s' FROM t WHERE a <> 1 AND b LIKE '%\\_%' ESCAPE '\\';"
_HTML = '<!doctype html>\n<div class="tool_call" data-x=\'{"name": "Bash"}\'>\n  <p>&lt;b&gt;</p>\n</div>\n'
_MARKDOWN = (
    '# Title\n\n```json\n{"name": "Read", "arguments": {"file_path": "x"}}\n```\n\n> quoted\n'
)
_FORMAT_DOC = "A call is\n<tool_call>\n<function=Bash>\n<parameter=command>\nls\n</parameter>\n</function>\n</tool_call>\nend"
_RUST = 'fn main() { let s = r#"a "b" c"#; println!("{}", s); } // \'a lifetime\n'
_CLOSER = "print('</tool_call>')  # and </function> and </parameter> in one line"
_UNICODE = 'echo "Grüße, 世界, 👩‍💻, \u2028 \u00a0 \ufeff"'

PAYLOADS: tuple[Call, ...] = (
    ("Bash", {"command": "ls -la"}),
    ("Bash", {"command": _HEREDOC, "description": "writes a script", "timeout": 5000}),
    ("Bash", {"command": "grep -rn '{\"a\": [1, 2]}' . | awk '{print $1}'"}),
    ("Bash", {"command": _CLOSER}),
    ("Bash", {"command": _UNICODE, "run_in_background": True}),
    ("Write", {"file_path": "/tmp/a.py", "content": _PYTHON}),  # noqa: S108 - a model's words
    ("Write", {"file_path": "src/a.ts", "content": _TYPESCRIPT}),
    ("Write", {"file_path": "main.go", "content": _GO}),
    ("Write", {"file_path": "q.sql", "content": _SQL}),
    ("Write", {"file_path": "index.html", "content": _HTML}),
    ("Write", {"file_path": "README.md", "content": _MARKDOWN}),
    ("Write", {"file_path": "docs/calls.md", "content": _FORMAT_DOC}),
    ("Write", {"file_path": "C:\\src\\main.rs", "content": _RUST}),
    ("Write", {"file_path": "empty.txt", "content": ""}),
    (
        "Edit",
        {
            "file_path": "a",
            "old_string": "\tx = 1\n",
            "new_string": "\n\n  y",
            "replace_all": False,
        },
    ),
    ("Grep", {"pattern": '^\\s*(def|class)\\s+\\w+\\(\\"?[^)]*$', "-n": True, "head_limit": 20}),
    ("Grep", {"pattern": "x", "head_limit": None}),
    ("Read", {"file_path": "/a b/ü.txt", "offset": 10, "limit": -1}),
    (
        "TodoWrite",
        {"todos": [{"content": "a", "status": "pending"}, {"content": "b{", "n": 1.5e3}]},
    ),
    (
        "mcp__jira__create_issue",
        {"title": "T", "fields": {"a": {"b": [None, []]}}, "labels": ["x"]},
    ),
    ("Status", {}),
)

# --- forms -------------------------------------------------------------------------------------


def _compact(call: Call) -> str:
    return json.dumps({"name": call[0], "arguments": call[1]}, separators=(",", ":"))


def _plain(call: Call) -> str:
    return json.dumps({"name": call[0], "arguments": call[1]}, ensure_ascii=False)


def _indented(call: Call) -> str:
    return json.dumps({"name": call[0], "arguments": call[1]}, indent=2, ensure_ascii=False)


def _in_string(call: Call) -> str:
    return json.dumps({"name": call[0], "arguments": json.dumps(call[1])})


def _openai(call: Call) -> str:
    function = {"name": call[0], "arguments": json.dumps(call[1])}
    return json.dumps({"id": "call_1", "type": "function", "function": function})


def _raw_breaks(call: Call) -> str:
    """Line breaks and tabs in strings as they are, not escaped."""
    text = _plain(call).replace("\\\\", "\0").replace("\\n", "\n").replace("\\t", "\t")
    return text.replace("\0", "\\\\")


def _sloppy(call: Call) -> str:
    """Python's words, and a comma too many; only where no string has such words."""
    text = _plain(call).replace(": true", ": True").replace(": false", ": False")
    return text.replace(": null", ": None")[:-2] + ",},}" if call[1] else text[:-1] + ",}"


def _keyed(name_key: str, arguments_key: str) -> Callable[[Call], str]:
    def write(call: Call) -> str:
        return json.dumps({arguments_key: call[1], name_key: call[0]})

    return write


def _value(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _xml(call: Call, *, breaks: str = "\n", close: bool = True) -> str:
    parameters = "".join(
        f"<parameter={key}>{breaks}{_value(value)}{breaks}</parameter>{breaks}"
        for key, value in call[1].items()
    )
    return f"<function={call[0]}>{breaks}{parameters}" + ("</function>" if close else "")


def _invoke(call: Call) -> str:
    parameters = "".join(
        f'<parameter name="{key}">{_value(value)}</parameter>\n' for key, value in call[1].items()
    )
    return f'<invoke name="{call[0]}">\n{parameters}</invoke>'


def _tagged(body: str) -> str:
    return f"<tool_call>\n{body}\n</tool_call>"


FORMS: Mapping[str, Callable[[Call], str]] = {
    "bare": _plain,
    "bare compact": _compact,
    "bare indented": _indented,
    "bare, arguments in a string": _in_string,
    "bare, as OpenAI's API": _openai,
    "bare, raw line breaks": _raw_breaks,
    "bare, sloppy": _sloppy,
    "bare, parameters": _keyed("name", "parameters"),
    "bare, tool and input": _keyed("tool", "input"),
    "bare, tool_name and args": _keyed("tool_name", "args"),
    "bare list": lambda call: f"[{_plain(call)}]",
    "bare tool_calls": lambda call: f'{{"tool_calls": [{_openai(call)}]}}',
    "bare, one brace too many": lambda call: _plain(call) + "}",
    "bare, closing tag only": lambda call: _plain(call) + "\n</tool_call>",
    "fence json": lambda call: f"```json\n{_indented(call)}\n```",
    "fence without language": lambda call: f"```\n{_plain(call)}\n```",
    "fence tool_call": lambda call: f"```tool_call\n{_plain(call)}\n```",
    "fence list": lambda call: f"```json\n[\n{_plain(call)}\n]\n```",
    "fence with tags": lambda call: f"```xml\n{_tagged(_plain(call))}\n```",
    "tags around a fence": lambda call: _tagged(f"```json\n{_plain(call)}\n```"),
    "tilde fence": lambda call: f"~~~json\n{_plain(call)}\n~~~",
    "tags": lambda call: _tagged(_plain(call)),
    "tags on one line": lambda call: f"<tool_call>{_compact(call)}</tool_call>",
    "tags, raw line breaks": lambda call: _tagged(_raw_breaks(call)),
    "tags twice": lambda call: f"<tool_call>\n{_tagged(_plain(call))}\n</tool_call>",
    "tags, list": lambda call: _tagged(f"[{_plain(call)}]"),
    "tools tags": lambda call: f"<tools>\n{_plain(call)}\n</tools>",
    "function_call tags": lambda call: f"<function_call>{_plain(call)}</function_call>",
    "xml in tags": lambda call: _tagged(_xml(call)),
    "xml": _xml,
    "xml on one line": lambda call: _xml(call, breaks=""),
    "xml, closing tag only": lambda call: _xml(call) + "\n</tool_call>",
    "xml, function not closed": lambda call: _tagged(_xml(call, close=False)),
    "xml with JSON": lambda call: f"<function={call[0]}>{json.dumps(call[1])}</function>",
    "invoke": _invoke,
    "invoke in tags": lambda call: f"<function_calls>\n{_invoke(call)}\n</function_calls>",
}

IN_TAGS = frozenset(
    {
        *("tags around a fence", "tags", "tags on one line", "tags, raw line breaks", "tags twice"),
        *("tags, list", "function_call tags", "xml in tags", "xml", "xml on one line"),
        *("xml, closing tag only", "xml, function not closed", "xml with JSON"),
        *("invoke", "invoke in tags"),
    }
)
"""Forms of unmistakable tags, in which a call is one whatever its arguments are."""

HALF_OPEN: Mapping[str, Callable[[Call], str]] = {
    "no closing tag": lambda call: f"<tool_call>\n{_plain(call)}",
    "half a closing tag": lambda call: f"<tool_call>\n{_plain(call)}\n</tool_c",
    "one brace missing": lambda call: _plain(call)[:-1],
    "tags and braces missing": lambda call: "<tool_call>\n" + _indented(call).rstrip("}\n "),
    "fence not closed": lambda call: f"```json\n{_indented(call)}\n",
    "half a fence's end": lambda call: f"```json\n{_plain(call)}\n``",
    "xml, no closing tags": lambda call: f"<tool_call>\n{_xml(call, close=False)}",
    "xml, half a closing tag": lambda call: _xml(call, close=False) + "</funct",
}
"""Only at the end of an answer."""


def _expressible(form: str, call: Call) -> bool:
    """Return False for the few payloads that a form cannot carry, whoever reads it."""
    _, arguments = call
    whole = json.dumps(arguments)
    if form == "bare, sloppy":
        return not any(word in whole for word in (": 'x'", '\\": '))
    if form == "tags and braces missing":
        return _indented(call).rstrip("}\n ").endswith(('"', "]", "e"))  # not within a number
    if form in ("xml on one line", "invoke", "invoke in tags"):
        # Line breaks at a value's ends are the template's.
        return not any(
            isinstance(one, str) and one != one.strip("\n") for one in arguments.values()
        )
    if form in ("xml, no closing tags", "xml, half a closing tag"):
        return bool(arguments)
    return True


UNFIT: Mapping[str, Call] = {
    "required missing": ("Write", {"content": "x"}),
    "unknown keys": ("Glob", {"glob": "*", "where": "."}),
    "no arguments": ("Bash", {}),
    "other spelling": ("bash", {"command": "ls"}),
    "other punctuation": ("mcp-jira-createIssue", {"title": "T"}),
}
"""Calls that do not fit what is offered, or not as they are."""

# --- positives ---------------------------------------------------------------------------------

_BEFORE = (
    "",
    "I'll do that now.\n\n",
    "Let me look at the files:\n",
    "\n\n",
    "Erst sehe ich nach.\n",
    "好的，我来查看文件。\n\n",  # noqa: RUF001 - Chinese punctuation
    "Here is the plan:\n\n1. look\n2. change\n\n```python\nprint({'name': 'Bash'})\n```\n\nFirst step.\n",
)
_BEHIND = ("", "", "\n", "\n\nThen I will go on.", "\nDone? Let me see.\n", "\n\n  ")


def positives() -> Iterator[Sample]:
    """Yield every payload in every form that can carry it, and rows of calls."""
    before, behind = cycle(_BEFORE), cycle(_BEHIND)
    for number, payload in enumerate(PAYLOADS):
        for form, write in FORMS.items():
            if _expressible(form, payload):
                yield _framed(
                    f"{form} #{number}", next(before), [write(payload)], [payload], next(behind)
                )
        for form, write in HALF_OPEN.items():
            if _expressible(form, payload):
                yield _framed(f"{form} #{number}", next(before), [write(payload)], [payload], "")
    for what, call in UNFIT.items():
        for form in sorted(IN_TAGS):
            yield _framed(f"{what}: {form}", "Ok.\n", [FORMS[form](call)], [call], "\nDone.")
    yield from _rows()


def _rows() -> Iterator[Sample]:
    calls = [PAYLOADS[0], PAYLOADS[5], PAYLOADS[17]]
    rows: Mapping[str, tuple[Callable[[Call], str], str]] = {
        "lines": (_plain, "\n"),
        "commas": (_plain, ",\n"),
        "blank lines": (_indented, "\n\n"),
        "one line": (_compact, " "),
        "tags": (lambda call: _tagged(_plain(call)), "\n"),
        "tags without space": (lambda call: _tagged(_compact(call)), ""),
        "opening tags only": (lambda call: f"<tool_call>\n{_plain(call)}", "\n"),
        "xml": (_xml, "\n"),
        "xml in tags": (lambda call: _tagged(_xml(call)), "\n"),
        "fences": (lambda call: f"```json\n{_plain(call)}\n```", "\n\n"),
    }
    for name, (write, between) in rows.items():
        for before, behind in zip(_BEFORE, cycle(_BEHIND), strict=False):
            texts = [between.join(map(write, calls))]
            yield _framed(f"row: {name}", before, texts, calls, behind)
    body = "\n".join(map(_plain, calls))
    yield _framed("row: one fence", "Go.\n", [f"```json\n{body}\n```"], calls, "")
    yield _framed("row: one tag", "Go.\n", [_tagged(body)], calls, "")
    text = "A.\n" + _tagged(_plain(calls[0])) + "\nB.\n" + _xml(calls[1]) + "\nC."
    yield Sample("row: text between", text, ("A.\n", calls[0], "B.\n", calls[1], "C."))


def _framed(
    name: str, before: str, texts: Sequence[str], calls: Sequence[Call], behind: str
) -> Sample:
    """Expect the text before as it is, and the text behind without its leading line breaks."""
    kept = behind.lstrip() if behind.strip() else ""
    expected: list[Item] = [before, *calls, kept]
    return Sample(name, before + "".join(texts) + behind, tuple(one for one in expected if one))


# --- negatives ---------------------------------------------------------------------------------


def _quoted_block(text: str) -> str:
    return "".join(f"> {line}\n" for line in text.split("\n"))


FRAMES: Mapping[str, Callable[[str], str]] = {
    "example": lambda leak: f"For example, a call is written so:\n\n{leak}\n",
    "what models write": lambda leak: (
        f"The model then writes this:\n{leak}\n\nand the proxy reads it."
    ),
    "possibility": lambda leak: f"You could run the tests with:\n{leak}\n",
    "advice against": lambda leak: f"Never run this on production:\n\n{leak}\n",
    "looks like": lambda leak: f"A tool call in this session looks like this:\n\n{leak}\n",
    "quoted": lambda leak: "He wrote:\n" + _quoted_block(leak) + "which is wrong.",
    "markdown file": lambda leak: f"Here is the file.\n\n````markdown\n# Calls\n\n{leak}\n````\n",
    "nested fences": lambda leak: (
        f"The page:\n\n```markdown\n# A\n{leak}\n\nMore.\n{leak}\n```\nThat is it."
    ),
    "python": lambda leak: f"```python\nCALL = '''\n{leak}\n'''\n```\n",
    "part of JSON": lambda leak: '{"calls":\n' + leak + '\n, "count": 1}',
    "part of a list": lambda leak: f'[\n{{"kind": "call"}},\n{leak}\n]',
    "assignment": lambda leak: f"const call =\n{leak};\n",
    "sentence": lambda leak: f"I sent {leak} and nothing came back.",
    "text on the same line": lambda leak: f"{leak} is how it is called.",
    "indented code": lambda leak: "Code:\n\n" + "".join(f"    {x}\n" for x in leak.split("\n")),
}


def negatives() -> Iterator[Sample]:
    """Yield calls in surroundings that talk about them, and calls that are none."""
    shapes: Mapping[str, Callable[[Call], str]] = {
        "json": _plain,
        "indented": _indented,
        "fence": FORMS["fence json"],
        "tags": FORMS["tags"],
        "xml": FORMS["xml in tags"],
    }
    for frame, put in FRAMES.items():
        for shape, write in shapes.items():
            marked = shape in ("fence", "tags", "xml")
            if marked and frame in ("part of JSON", "part of a list", "assignment", "sentence"):
                continue  # markup says "call" in any company that is not prose about calls
            if shape == "fence" and frame == "text on the same line":
                continue
            for call in (PAYLOADS[0], PAYLOADS[17]):
                yield _untouched(f"{frame}: {shape}", put(write(call)))
    for form, write in {**FORMS, **HALF_OPEN}.items():
        yield _untouched(f"not offered: {form}", "Ok.\n" + write(("Deploy", {"command": "now"})))
    yield from _unfit_outside_of_tags()
    long = _plain(PAYLOADS[1])
    for end in range(12, len(long) - 8, 23):
        yield _untouched(f"cut off at {end}", "<tool_call>\n" + long[:end], cut_off=True)


def _unfit_outside_of_tags() -> Iterator[Sample]:
    for what, call in UNFIT.items():
        for form, write in {**FORMS, **HALF_OPEN}.items():
            if form not in IN_TAGS:
                yield _untouched(f"{what}: {form}", "Ok.\n" + write(call))
        for frame in ("example", "what models write", "quoted", "nested fences", "indented code"):
            yield _untouched(f"{frame}: {what}", FRAMES[frame](FORMS["xml in tags"](call)))


def _untouched(name: str, text: str, *, cut_off: bool = False) -> Sample:
    return Sample(name, text, (text,), cut_off=cut_off)
