import time

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from ccproxy.ports import ToolCall
from ccproxy.wire.check_budget import STEPS_LIMIT
from ccproxy.wire.offered_tools import OfferedTools
from ccproxy.wire.plain_pattern import TEXT_LIMIT_CHARS, plain_pattern
from ccproxy.wire.tool_arguments import check_arguments
from tests.support.claude_code_tools import AGENT, BASH, CLAUDE_CODE_TOOLS, READ, TODO_WRITE
from tests.support.sizes import count

INTEGER = {"type": "integer"}
TEXT = {"type": "string"}
TEXTS = {"type": "array", "items": TEXT}
PLACE = {"type": "object", "properties": {"x": INTEGER}, "required": ["x"]}
A_CALL = {"content": "a", "status": "pending", "activeForm": "x"}


def closed(required=(), **properties):
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


COERCIONS = {
    "integer": (INTEGER, "5", 5),
    "integer with blanks": (INTEGER, " -5\n", -5),
    "integer with a point": (INTEGER, "5.0", 5),
    "number": ({"type": "number"}, "1.5", 1.5),
    "number that is whole": ({"type": "number"}, "2", 2),
    "true": ({"type": "boolean"}, "true", True),
    "false as Python has it": ({"type": "boolean"}, "False", False),
    "text of a number": (TEXT, 5, "5"),
    "text of a fraction": (TEXT, 1.5, "1.5"),
    "text of a boolean": (TEXT, True, "true"),
    "object in text": (PLACE, '{"x": 1}', {"x": 1}),
    "object in text, coerced inside": (PLACE, '{"x": "1"}', {"x": 1}),
    "array in text": (TEXTS, '["a"]', ["a"]),
    "one for a list": (TEXTS, "a", ["a"]),
    "one object for a list": ({"type": "array", "items": PLACE}, {"x": "1"}, [{"x": 1}]),
    "enum in other case": ({"enum": ["High", "Low"]}, "high ", "High"),
    "enum of numbers": ({"enum": [1, 2]}, "2", 2),
    "const in other case": ({"const": "Yes"}, "yes", "Yes"),
    "null in words": ({"type": ["integer", "null"]}, "None", None),
    "first type that fits": ({"type": ["integer", "boolean"]}, "true", True),
    "first form that fits": ({"anyOf": [{"maximum": 3, **INTEGER}, TEXTS, INTEGER]}, 5.5, ["5.5"]),
    "a form of objects": ({"oneOf": [{"type": "null"}, PLACE]}, {"x": "7"}, {"x": 7}),
    "all of": ({"allOf": [INTEGER, {"minimum": 3}]}, "5", 5),
    "by reference": ({"$ref": "#/$defs/int"}, "5", 5),
    "in a list": ({"type": "array", "items": INTEGER}, [1, "2", "3"], [1, 2, 3]),
}


@pytest.mark.parametrize(("schema", "given_", "meant"), COERCIONS.values(), ids=COERCIONS.keys())
def test_coercions(schema, given_, meant):
    """A value of the wrong type becomes what it means, and is named."""
    whole = {"type": "object", "properties": {"a": schema}, "$defs": {"int": INTEGER}}

    checked = check_arguments({"z": 1, "a": given_}, whole)

    assert orjson.dumps({"z": 1, "a": meant}) == orjson.dumps(checked.arguments)
    assert () == checked.errors
    assert [path.split("/")[0] for path in checked.coerced] == ["a"] * len(checked.coerced) != []


NOT_COERCED = {
    "word": (INTEGER, "five", "a: must be of type integer, not string"),
    "null for a required one": (INTEGER, None, "a: must be of type integer, not null"),
    "fraction": (INTEGER, "5.5", "a: must be of type integer, not string"),
    "leading zero": (INTEGER, "007", "a: must be of type integer, not string"),
    "long number": (INTEGER, "1" * 40, "a: must be of type integer, not string"),
    "number for boolean": ({"type": "boolean"}, 1, "a: must be of type boolean, not integer"),
    "boolean for number": (INTEGER, True, "a: must be of type integer, not boolean"),
    "object for text": (TEXT, {"b": 1}, "a: must be of type string, not object"),
    "coerced out of range": (
        {**INTEGER, "maximum": 3},
        "5",
        "a: must be of type integer, not strin",
    ),
    "out of range": ({**INTEGER, "maximum": 3}, 5, "a: does not keep to: Maximum: 3."),
    "broken JSON": (PLACE, '{"x": 1', "a: must be of type object, not string"),
    "list of another spelling": (TEXTS, "['a']", "a: must be of type array, not string"),
    "enum": ({"enum": ["a", "b"]}, "c", 'a: must be one of "a", "b"'),
    "enum of two alike": ({"enum": ["A", "a"]}, "a ", 'a: must be one of "A", "a"'),
    "const": ({"const": 1}, 2, "a: must be 1"),
    "forms": (
        {"anyOf": [INTEGER, {"type": "null"}]},
        "x",
        'a: must fit one of [{"type":"integer"},{"type":"null"}]',
    ),
    "inside": (PLACE, {"x": "y"}, "a/x: must be of type integer, not string"),
    "missing inside": (PLACE, {}, "a/x: is required"),
    "not allowed": (False, 1, "a: must be left out"),
    "pattern": ({"pattern": "^[a-c]+$"}, "abd", "a: does not keep to: Pattern: `^[a-c]+$`."),
}


@pytest.mark.parametrize(
    ("schema", "given_", "error"), NOT_COERCED.values(), ids=NOT_COERCED.keys()
)
def test_what_is_not_guessed(schema, given_, error):
    """What no rule covers is left as it is, and the model is told what is wanted."""
    arguments = {"a": given_}

    checked = check_arguments(arguments, closed(["a"], a=schema))

    assert arguments is checked.arguments
    assert () == checked.coerced
    assert len(checked.errors) == 1
    assert checked.errors[0].startswith(error)


PROPERTIES = {
    "optional null": (READ, {"file_path": "/a", "limit": None}, {"file_path": "/a"}, ["limit"]),
    "optional empty": (READ, {"offset": "", "file_path": "/a"}, {"file_path": "/a"}, ["offset"]),
    "empty enum": (
        AGENT,
        {"description": "d", "prompt": "p", "model": ""},
        {"description": "d", "prompt": "p"},
        ["model"],
    ),
    "unknown null": (BASH, {"command": "ls", "cwd": None}, {"command": "ls"}, ["cwd"]),
    "other spelling": (
        READ,
        {"limit": 1, "filePath": "/a"},
        {"limit": 1, "file_path": "/a"},
        ["file_path"],
    ),
    "other spelling and type": (BASH, {"Command": 5}, {"command": "5"}, ["command"]),
    "in a list": (
        TODO_WRITE,
        {"todos": [A_CALL, {"content": "a", "status": "PENDING", "active_form": "x"}]},
        {"todos": [A_CALL, A_CALL]},
        ["todos/1/activeForm", "todos/1/status"],
    ),
    "list in text": (
        TODO_WRITE,
        {"todos": orjson.dumps([A_CALL]).decode()},
        {"todos": [A_CALL]},
        ["todos"],
    ),
}


@pytest.mark.parametrize(
    ("tool", "given_", "meant", "changed"), PROPERTIES.values(), ids=PROPERTIES.keys()
)
def test_properties(tool, given_, meant, changed):
    """Empty optional properties are left out and misspelt ones renamed, the order kept."""
    checked = check_arguments(given_, tool["input_schema"])

    assert orjson.dumps(meant, option=orjson.OPT_SORT_KEYS) == orjson.dumps(
        checked.arguments, option=orjson.OPT_SORT_KEYS
    )
    assert list(meant) == list(checked.arguments)
    assert changed == sorted(checked.coerced)
    assert () == checked.errors


def test_an_unknown_property_is_not_dropped():
    """A closed schema's unknown property is an error: without it the call would be another."""
    given_ = {"command": "rm -r x", "dry_run": True}

    checked = check_arguments(given_, BASH["input_schema"])

    assert given_ is checked.arguments
    (error,) = checked.errors
    assert error.startswith("dry_run: there is no such property; there are: command, timeout, ")


def test_an_unknown_property_of_an_open_schema_is_kept():
    """A schema that is not closed takes whatever the model adds."""
    given_ = {"extra": None, "more": "5"}

    assert (
        given_ is check_arguments(given_, {"type": "object", "properties": {"a": TEXT}}).arguments
    )


@pytest.mark.parametrize(
    ("given_", "names"),
    [({"a_b": "1", "aB": "2"}, ["ab"]), ({"A": "1"}, ["a", "a_"]), ({"__": "1"}, ["_"])],
)
def test_a_name_is_not_guessed_where_it_is_not_plain(given_, names):
    """Two that could be meant, or two that could mean it, are errors."""
    checked = check_arguments(given_, closed(names[:1], **dict.fromkeys(names, TEXT)))

    assert f"{names[0]}: is required" in checked.errors


def test_defaults_are_not_filled_in():
    """A missing optional property stays missing, whatever its default."""
    assert {} == check_arguments({}, closed(a={**INTEGER, "default": 5})).arguments


def test_what_a_model_is_told_is_bounded():
    """At most 8 errors of at most 200 characters, each once."""
    schema = closed([f"{'n' * 150}{n}" for n in range(20)], x={"enum": ["v" * 90] * 30})

    checked = check_arguments({"x": "y" * 10_000}, schema)

    assert len(checked.errors) == 8
    assert all(len(error) <= 200 for error in checked.errors)


# --- schemas that are odd, or meant to hurt ----------------------------------------------------

DRAFTS = {
    "a type in a list": ({"type": "array", "items": [INTEGER, TEXT]}, [1, "a"], [1, "a"]),
    "items by position": ({"type": "array", "items": [INTEGER]}, ["1"], [1]),
    "exclusive bound of draft 4": ({"minimum": 1, "exclusiveMinimum": True}, 0.5 + 1, 1.5),
    "required of draft 3": ({**INTEGER, "required": True}, "1", 1),
    "schema of another draft": (
        {"$schema": "http://json-schema.org/draft-04/schema#", **INTEGER},
        "1",
        1,
    ),
    "format": ({"format": "uri"}, "no uri", "no uri"),
    "reference to elsewhere": ({"$ref": "https://example.com/x.json"}, "1", "1"),
    "reference to nowhere": ({"$ref": "#/$defs/none"}, "1", "1"),
    "reference and more": ({"$ref": "other.json", **INTEGER}, "1", 1),
    "evil pattern": ({"pattern": "^(a+)+$"}, "a" * 40 + "b", "a" * 40 + "b"),
    "pattern that is none": ({"pattern": "("}, "a", "a"),
    "long text": ({"pattern": "^a+$"}, "b" * (TEXT_LIMIT_CHARS + 1), "b" * (TEXT_LIMIT_CHARS + 1)),
    "evil names": (
        {"patternProperties": {"^(a+)+$": INTEGER}, "additionalProperties": False},
        {"a" * 40 + "b": 1},
        {"a" * 40 + "b": 1},
    ),
    "plain names": (
        {"patternProperties": {"^n_": INTEGER}, "additionalProperties": TEXT},
        {"n_a": "1", "b": 2},
        {"n_a": 1, "b": "2"},
    ),
}


@pytest.mark.parametrize(("schema", "given_", "used"), DRAFTS.values(), ids=DRAFTS.keys())
def test_what_is_not_held_against_a_call(schema, given_, used):
    """Other drafts' spellings, slow patterns and foreign references do not fail a call."""
    whole = {**closed(a=schema), "$schema": "http://json-schema.org/draft-07/schema#"}

    checked = check_arguments({"a": given_}, whole)

    assert {"a": used} == checked.arguments
    assert ((), "") == (checked.errors, checked.unchecked)


def _doubling(size):
    step = {f"D{n}": {"anyOf": [{"$ref": f"#/$defs/D{n + 1}"}] * 2} for n in range(size)}
    return {"properties": {"a": {"$ref": "#/$defs/D0"}}, "$defs": {**step, f"D{size}": INTEGER}}


def _nested(levels):
    schema = INTEGER
    for _ in range(levels):
        schema = {"allOf": [schema]}
    return {"properties": {"a": schema}}


DEEP, LONG, ODD = "leads too deep", "takes too many steps", "cannot be applied"
HOSTILE = {
    "into itself": ({"$ref": "#"}, DEEP),
    "round and round": (
        {
            "properties": {"a": {"$ref": "#/$defs/A"}},
            "$defs": {"A": {"$ref": "#/$defs/B"}, "B": {"$ref": "#/$defs/A"}},
        },
        DEEP,
    ),
    "doubling": (_doubling(30), LONG),
    "deep": (_nested(120), DEEP),
    "many forms": ({"properties": {"a": {"anyOf": [INTEGER] * 8000}}}, LONG),
    "no type": ({"properties": {"a": {"type": "word"}}}, ODD),
    "not a length": ({"properties": {"a": {"minLength": "x"}}}, ODD),
    "multiple of nothing": ({"properties": {"n": {"multipleOf": 0}}}, ODD),
    "no schema": ({"properties": {"a": 5}}, ODD),
    "no properties": ({"properties": []}, ODD),
    "an id that is none": ({"$id": 5, "properties": {"a": {"$ref": "#/$defs/x"}}}, ODD),
}


@pytest.mark.parametrize(("schema", "reason"), HOSTILE.values(), ids=HOSTILE.keys())
def test_a_schema_that_cannot_be_applied(schema, reason):
    """Such a schema neither raises nor hangs; the arguments pass as they are, and it is said."""
    given_ = {"a": "x" * 400_000, "n": 5}
    started = time.process_time()

    checked = check_arguments(given_, schema)

    assert time.process_time() - started < 5
    assert given_ is checked.arguments
    assert ((), ()) == (checked.coerced, checked.errors)
    assert checked.unchecked.startswith(f"the tool's schema {reason}")


def test_a_schema_that_nothing_fits():
    """What is turned into one type and back again is tried once, and the model is told."""
    nothing = {"const": 0, "$ref": "#/$defs/A", "enum": [None], "type": ["string", "string"]}
    properties = {"a": False, "b": False, "c": {"anyOf": [nothing]}}
    schema = {"properties": properties, "$defs": {"A": INTEGER}}

    checked = check_arguments({"a": None, "b": None, "c": 0}, schema)

    assert "" == checked.unchecked
    assert checked.errors


def test_a_long_list_is_within_the_steps():
    """A to-do list of 100 entries is checked in full."""
    entries = [*[A_CALL] * 100, {**A_CALL, "status": "Completed"}]

    checked = check_arguments({"todos": entries}, TODO_WRITE["input_schema"])

    assert ("todos/100/status",) == checked.coerced
    assert STEPS_LIMIT >= 10_000


PATTERNS = {
    "^a+$": True,
    r"^\d{4}-\d{2}-\d{2}$": True,
    r"^[a-z0-9-]+\.[a-z]{2,3}$": True,
    "^https?://": True,
    "^[^/]+/.*$": True,
    "a": False,
    "^(a|b)$": False,
    "^a*b*c*$": False,
    "^a?a?a?$": False,
    r"^\p{L}$": False,
    r"^(?=a)": False,
    "^[[:alpha:]]$": False,
    "^[z-a]$": False,
    "^a{2}{3}$": False,
    "^" + "a" * 300: False,
    5: False,
}


@pytest.mark.parametrize(("pattern", "runs"), PATTERNS.items())
def test_which_patterns_are_run(pattern, runs):
    """A pattern is run only where it is plain that it is quick."""
    assert runs == (plain_pattern(pattern) is not None)


@given(
    st.lists(
        st.sampled_from(["a", ".", "[ab]", "[^b]", r"\w"]).flatmap(
            lambda atom: st.sampled_from(["", "*", "+", "?", "{2}", "{1,999}"]).map(atom.__add__)
        ),
        max_size=8,
    )
)
@settings(max_examples=count(60, 200, 5000), deadline=None)
def test_patterns_that_are_run_are_quick(atoms):
    """No pattern that is run takes long on the longest text it is run on."""
    plain = plain_pattern(f"^{''.join(atoms)}$")
    started = time.process_time()

    if plain is not None:
        plain.search("a" * (TEXT_LIMIT_CHARS - 1) + "!")

    assert time.process_time() - started < 5


# --- properties --------------------------------------------------------------------------------

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.sampled_from([0.5, 2.0, "", "5", "true", "null", "a", "A", '{"a":"1"}', '["1"]'])
)
NAMES = st.sampled_from(["a", "b", "file_path", "filePath"])
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=5,
)
TYPES = st.sampled_from(["string", "number", "integer", "boolean", "array", "object", "null"])
SCHEMAS = st.recursive(
    st.booleans()
    | st.fixed_dictionaries(
        {},
        optional={
            "type": TYPES | st.lists(TYPES, min_size=1, max_size=3),
            "enum": st.lists(SCALARS, min_size=1, max_size=3),
            "const": SCALARS,
            "minimum": st.integers(-5, 5),
            "minLength": st.integers(0, 3),
            "maxItems": st.integers(0, 2),
            "uniqueItems": st.booleans(),
            "multipleOf": st.sampled_from([2, 0.5]),
            "pattern": st.sampled_from(["^a", "^(a|b)"]),
            "$ref": st.just("#/$defs/A"),
        },
    ),
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            "type": TYPES,
            "properties": st.dictionaries(NAMES, inner, max_size=3),
            "required": st.lists(NAMES, max_size=2, unique=True),
            "additionalProperties": inner,
            "items": inner,
            "anyOf": st.lists(inner, min_size=1, max_size=3),
            "oneOf": st.lists(inner, min_size=1, max_size=3),
            "allOf": st.lists(inner, min_size=1, max_size=2),
            "not": inner,
        },
    ),
    max_leaves=6,
)
ROOTS = st.fixed_dictionaries(
    {"type": st.just("object"), "properties": st.dictionaries(NAMES, SCHEMAS, max_size=3)},
    optional={
        "required": st.lists(NAMES, max_size=2, unique=True),
        "additionalProperties": st.booleans(),
        "$defs": st.fixed_dictionaries({"A": st.just(INTEGER)}),
    },
)


def _without_slow_patterns(schema):
    if isinstance(schema, list):
        return [_without_slow_patterns(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: _without_slow_patterns(value)
        for key, value in schema.items()
        if (key, value) != ("pattern", "^(a|b)")
    }


@given(st.dictionaries(NAMES, VALUES, max_size=3), ROOTS)
@settings(max_examples=count(100, 300, 20_000), deadline=None)
def test_the_result_is_valid_or_says_why_not(arguments, schema):
    """Valid arguments stay the same object; others become valid, or come back with errors."""
    known = {**_without_slow_patterns(schema)}
    known.setdefault("$defs", {"A": True})
    validator = Draft202012Validator(known)
    before = orjson.dumps(arguments)

    checked = check_arguments(arguments, schema)

    assert before == orjson.dumps(arguments)
    assert "" == checked.unchecked
    if validator.is_valid(arguments):
        assert arguments is checked.arguments
        assert ((), ()) == (checked.coerced, checked.errors)
    elif checked.errors:
        assert arguments is checked.arguments
        assert () == checked.coerced
    else:
        assert validator.is_valid(checked.arguments)
        assert checked.coerced


# --- the tools of a request --------------------------------------------------------------------


def test_the_tools_of_a_request():
    """Calls are checked each against its own tool's schema; an unknown name is a KeyError."""
    tools = OfferedTools([*CLAUDE_CODE_TOOLS, {"name": "bare"}])

    assert (*(tool["name"] for tool in CLAUDE_CODE_TOOLS), "bare") == tools.names
    assert BASH["input_schema"] is tools.schemas["Bash"]
    for _ in range(2):
        bash = tools.check(ToolCall(id=None, name="Bash", arguments={"command": 5}))
        read = tools.check(ToolCall(id="1", name="Read", arguments={"file_path": 5, "limit": "1"}))
        assert {"command": "5"} == bash.arguments
        assert ("file_path", "limit") == read.coerced
    assert {"x": 1} == tools.check(ToolCall(id=None, name="bare", arguments={"x": 1})).arguments
    with pytest.raises(KeyError):
        tools.check(ToolCall(id=None, name="bash", arguments={}))
