"""What becomes of tool calls that are too large, too deep or too many to be checked in full."""

import time

import pytest

from ccproxy.ports import ToolCall
from ccproxy.wire.check_budget import extent
from ccproxy.wire.offered_tools import OfferedTools
from ccproxy.wire.schema_ready import KEYWORDS_LIMIT, SCHEMA_LIMIT_BYTES
from ccproxy.wire.tool_arguments import LEVELS_LIMIT, check_arguments
from tests.support.claude_code_tools import READ

INTEGER = {"type": "integer"}
NUMBERS = {"type": "array", "items": INTEGER}
VALUE_IS_TOO_MUCH = "what the model wrote takes too many steps to check"


def nested(levels):
    value = {"n": 1}
    for _ in range(levels - 1):
        value = {"a": value, "n": 1}
    return value


def heavy(required=()):
    """Return a schema that takes 2^30 steps for anything."""
    steps = {f"D{n}": {"anyOf": [{"$ref": f"#/$defs/D{n + 1}"}] * 2} for n in range(30)}
    properties = {"a": {"$ref": "#/$defs/D0"}}
    return {"properties": properties, "required": [*required], "$defs": {**steps, "D30": INTEGER}}


def call(tool, arguments):
    return ToolCall(id=None, name=tool, arguments=arguments)


def seconds_of(action):
    started = time.process_time()
    action()
    return time.process_time() - started


# --- what a model may write --------------------------------------------------------------------


@pytest.mark.parametrize("levels", [LEVELS_LIMIT + 1, 300, 20_000])
def test_arguments_nested_too_deeply_are_an_error(levels):
    """The model is told; nothing walks into them by recursion."""
    given = nested(levels)

    checked = check_arguments(given, {})

    assert given is checked.arguments
    assert ("input: is nested more than 100 levels deep",) == checked.errors
    assert "" == checked.unchecked


def test_arguments_of_100_levels_are_checked():
    """The deepest that are allowed pass, and what is wrong with them is told."""
    given = nested(LEVELS_LIMIT)

    right = check_arguments(given, {})
    wrong = check_arguments(given, {"properties": {"n": {"type": "boolean"}}})

    assert ((), "") == (right.errors, right.unchecked)
    assert ("n: must be of type boolean, not integer",) == wrong.errors


def test_text_that_is_too_deep_a_list():
    """A list in a text counts with its levels."""
    checked = check_arguments(
        {"a": "[" * 200 + "]" * 200}, {"properties": {"a": {"type": "array"}}}
    )

    assert ("input: is nested more than 100 levels deep",) == checked.errors


def test_extent():
    """Members, characters with those of names, and containers inside containers."""
    assert (1, 3, 0) == extent("abc")
    assert (6, 5, 3) == extent({"ab": [1, {"c": "de"}], "": 5.0})
    assert (1, 0, 1) == extent([])


UNTIDY = {
    "a lone surrogate": "\ud800",
    "an integer beyond 64 bits": 2**70,
    "an integer beyond floats": 10**400,
}


@pytest.mark.parametrize("untidy", UNTIDY.values(), ids=UNTIDY.keys())
def test_what_orjson_cannot_write_is_checked(untidy):
    """Beside such a value everything is checked and put right as ever."""
    schema = {"properties": {"n": INTEGER, "b": {"type": "boolean"}}}

    assert {"z": untidy, "n": 5} == check_arguments({"z": untidy, "n": "5"}, schema).arguments
    assert ("b: must be of type boolean, not string",) == check_arguments(
        {"z": untidy, "b": "x"}, schema
    ).errors


def test_large_integers():
    """They are integers, become text where text is wanted, and are divided exactly."""
    given = {"a": 10**400}

    assert given is check_arguments(given, {"properties": {"a": INTEGER}}).arguments
    assert {"a": str(10**400)} == check_arguments(
        given, {"properties": {"a": {"type": "string"}}}
    ).arguments
    for step, errors in ((0.5, 0), (0.3, 1)):
        checked = check_arguments(given, {"properties": {"a": {"multipleOf": step}}})
        assert (errors, "") == (len(checked.errors), checked.unchecked)


def test_numbers_that_json_does_not_have():
    """Infinity is neither put into words nor a multiple of anything."""
    given = {"a": float("inf"), "b": float("nan")}

    for wanted in ({"type": "string"}, {"multipleOf": 0.5}):
        assert 2 == len(check_arguments(given, {"properties": {"a": wanted, "b": wanted}}).errors)


def test_surrogates_in_what_a_model_is_told():
    """An error that quotes what the model wrote can be sent."""
    (error,) = check_arguments({"\ud800": 1}, {"additionalProperties": False}).errors

    assert error.startswith("\ufffd: there is no such property")


def test_text_with_surrogates_that_is_an_object():
    """JSON in a text is read though orjson would not."""
    checked = check_arguments(
        {"a": '{"b": "\ud800", "c": 1}'}, {"properties": {"a": {"type": "object"}}}
    )

    assert {"a": {"b": "\ud800", "c": 1}} == checked.arguments


# --- too much ----------------------------------------------------------------------------------

LARGE = {
    "many members": ({"list": list(range(20_000))}, {"list": NUMBERS}),
    "long text": ({"list": "x" * 700_000}, {"list": {"anyOf": [INTEGER] * 20}}),
    "deep": ({"list": nested(60)}, {"list": {"$ref": "#/$defs/tree"}}),
}


@pytest.mark.parametrize(("given", "properties"), LARGE.values(), ids=LARGE.keys())
def test_the_outermost_level_of_large_arguments_is_checked(given, properties):
    """A model cannot write itself past its required properties and their types."""
    tree = {"properties": {"a": {"$ref": "#/$defs/tree"}}, "allOf": [{"required": ["n"]}] * 2}
    schema = {
        "properties": {**properties, "n": INTEGER, "f": {"type": ["number", "null"]}},
        "required": ["n"],
        "$defs": {"tree": tree},
    }

    assert ("n: is required",) == check_arguments(given, schema).errors
    wrong = {**given, "n": "x", "f": True}
    assert (
        "n: must be of type integer, not string",
        "f: must be of type number or null, not boolean",
    ) == check_arguments(wrong, schema).errors
    right = check_arguments({**given, "n": 5.0, "f": 1}, schema)
    assert () == right.errors
    assert right.unchecked.startswith("what the model wrote ")


def test_a_heavy_schema_is_not_held_against_the_model():
    """Where it is the client's schema that takes too long, the call passes and it is said."""
    checked = check_arguments({"a": "x"}, heavy(required=["b"]))

    assert () == checked.errors
    assert "the tool's schema takes too many steps to check" == checked.unchecked


def test_what_is_known_to_be_wrong_is_told_though_it_cannot_be_put_right_in_time():
    """A check that came to its end counts, however long the repair would take."""
    schema = {"properties": {"a": {"items": {"properties": {"b": INTEGER, "c": INTEGER}}}}}

    checked = check_arguments({"a": [{"b": None, "c": 1}] * 300}, schema)

    assert "" == checked.unchecked
    assert "a/0/b: must be of type integer, not null" == checked.errors[0]


def test_the_calls_of_a_request_share_their_steps():
    """However many calls a model makes, the time is bounded; the last ones are checked outermost."""
    schema = {"properties": {"a": NUMBERS, "n": INTEGER}}
    tools = OfferedTools([{"name": "many", "input_schema": schema}])
    large = call("many", {"a": ["1"] * 1500})

    took_s = seconds_of(lambda: [tools.check(large) for _ in range(100)])

    assert took_s < 3
    assert VALUE_IS_TOO_MUCH == tools.check(call("many", {"a": ["x"]})).unchecked
    assert tools.check(call("many", {"n": "x"})).errors
    again = OfferedTools([{"name": "many", "input_schema": schema}])
    assert again.check(call("many", {"a": ["x"]})).errors


def test_a_heavy_schema_takes_nothing_from_other_tools():
    """A schema that was too heavy once is not tried again in the same request."""
    tools = OfferedTools([READ, {"name": "heavy", "input_schema": heavy()}])

    assert all(tools.check(call("heavy", {"a": "x"})).unchecked for _ in range(20))
    assert ("limit",) == tools.check(call("Read", {"file_path": "/a", "limit": "5"})).coerced


def test_making_schemas_ready_counts():
    """A hundred large schemas do not each cost what one does."""
    large = {"description": "x" * (SCHEMA_LIMIT_BYTES - 1000), "properties": {"n": INTEGER}}
    tools = OfferedTools([{"name": f"t{n}", "input_schema": large} for n in range(100)])

    found = [tools.check(call(f"t{n}", {"n": "5"})) for n in range(100)]

    assert ("n",) == found[0].coerced
    assert VALUE_IS_TOO_MUCH == found[-1].unchecked or found[-1].errors


# --- schemas -----------------------------------------------------------------------------------

UNUSABLE = {
    "large": ({"description": "x" * SCHEMA_LIMIT_BYTES}, "is too large to check: 262"),
    "wide": ({"not": {f"x{n}": 1 for n in range(KEYWORDS_LIMIT + 1)}}, "has 257 keywords in one"),
}


@pytest.mark.parametrize(("schema", "reason"), UNUSABLE.values(), ids=UNUSABLE.keys())
def test_schemas_that_are_too_large(schema, reason):
    """They are not applied, and it is said."""
    checked = check_arguments({}, {**schema, "required": ["a"]})

    assert checked.unchecked.startswith(f"the tool's schema {reason}")
    assert () == checked.errors


def test_many_properties_are_not_many_keywords():
    """A tool may have as many properties as it likes."""
    schema = {"properties": {f"p{n}": INTEGER for n in range(KEYWORDS_LIMIT + 1)}}

    assert {"p256": 1} == check_arguments({"p256": "1"}, schema).arguments


def test_a_schema_too_deep_to_be_written():
    """What is deeper than orjson writes leads too deep to check."""
    schema = INTEGER
    for _ in range(300):
        schema = {"allOf": [schema]}

    checked = check_arguments({"a": 1}, {"properties": {"a": {"not": schema}}})

    assert "the tool's schema leads too deep to check" == checked.unchecked


ANCHORED = {
    "anchor": ({"$ref": "#x"}, {"$anchor": "x", **INTEGER}),
    "dynamic": ({"$dynamicRef": "#x"}, {"$dynamicAnchor": "x", **INTEGER}),
    "dynamic as any": ({"$ref": "#x"}, {"$dynamicAnchor": "x", **INTEGER}),
    "pointer": ({"$ref": "#/$defs/y"}, INTEGER),
}


@pytest.mark.parametrize(("ref", "target"), ANCHORED.values(), ids=ANCHORED.keys())
def test_references_are_followed_quickly(ref, target):
    """Anchors and pointers are found at once, however large the schema."""
    others = {f"k{n}": INTEGER for n in range(4000)}
    properties = {"a": {"type": "array", "items": ref}}
    schema = {"$defs": {**others, "y": target}, "properties": properties}
    given = {"a": [*range(100), "5"]}

    assert seconds_of(lambda: check_arguments(given, schema)) < 5
    assert ("a/100",) == check_arguments(given, schema).coerced


def test_allowed_values_are_no_schemas():
    """An allowed value is compared as it is, whatever keywords it looks like."""
    value = {"$id": "x", "properties": {"a": False}}

    assert () == check_arguments({"a": value}, {"properties": {"a": {"const": value}}}).errors
    assert check_arguments({"a": {}}, {"properties": {"a": {"enum": [value]}}}).errors


UNIQUE = {
    "numbers": ([1, 2, 0.5], True),
    "one number in two spellings": ([1, 1.0], False),
    "number and boolean": ([1, True, 0, False], True),
    "number and text": ([1, "1"], True),
    "objects": ([{"a": 1, "b": 2}, {"b": 2, "a": 1}], False),
    "booleans inside": ([{"a": 1}, {"a": True}], True),
    "lists": ([[1, 2], [2, 1]], True),
}


@pytest.mark.parametrize(("items", "valid"), UNIQUE.values(), ids=UNIQUE.keys())
def test_unique_items(items, valid):
    """Items are the same where their values are (JSON Schema 2020-12, validation 6.4.3)."""
    schema = {"properties": {"a": {"uniqueItems": True}}}

    assert valid == (not check_arguments({"a": items}, schema).errors)


def test_unique_items_are_found_in_linear_time():
    """A list of a thousand objects is checked at once."""
    given = {"a": [{"x": n} for n in range(1000)]}
    schema = {"properties": {"a": {"uniqueItems": True}}}

    assert seconds_of(lambda: check_arguments(given, schema)) < 5
    assert "" == check_arguments(given, schema).unchecked


COSTLY = {
    "unique texts": ({"allOf": [{"uniqueItems": True}] * 50}, [str(n) * 100_000 for n in "abc"]),
    "wide": ({"items": {**{f"x{n}": 1 for n in range(200)}, "minimum": 0}}, [1] * 900),
}


@pytest.mark.parametrize(("schema", "given"), COSTLY.values(), ids=COSTLY.keys())
def test_work_that_no_keyword_shows_is_counted(schema, given):
    """Text that is compared, and keywords that nobody knows, take steps as well."""
    assert check_arguments({"a": given}, {"properties": {"a": schema}}).unchecked


# --- the tools of a request --------------------------------------------------------------------


def test_names_are_cheap():
    """Names are made once, and asking for one is no search."""
    tools = OfferedTools([READ])

    assert tools.names is tools.names
    assert "Read" in tools
    assert "read" not in tools
