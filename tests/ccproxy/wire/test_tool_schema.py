import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccproxy.wire.schema_refs import EXPANSION_LIMIT_BYTES
from ccproxy.wire.schema_words import VALUE_LIMIT_CHARS
from ccproxy.wire.tool_schema import DEPTH_LIMIT, offered_schema
from tests.support.claude_code_tools import CLAUDE_CODE_TOOLS
from tests.support.go_schema import GoError, kept_by_ollama
from tests.support.sizes import count

TEXT = {"type": "string"}
INTEGER = {"type": "integer"}


def rewritten(schema, **definitions):
    """Return one property's schema as it is offered."""
    root = {"type": "object", "properties": {"x": schema}, "$defs": definitions}
    return offered_schema(root, "look").parameters["properties"]["x"]


def described(words, **schema):
    return {**schema, "description": words}


PROPERTIES = {
    "kept": (
        described("d", type="array", items=TEXT),
        described("d", type="array", items=TEXT),
    ),
    "true": (True, {}),
    "false": (False, described("No value is allowed here.")),
    "null": (None, {}),
    "types": ({"type": ["string", "null"]}, {"type": ["string", "null"]}),
    "one type in a list": ({"type": ["string"]}, TEXT),
    "type of no meaning": ({"type": 3}, described("Type: 3.")),
    "description that is no text": ({"description": ["a", 1]}, described('["a",1]')),
    "description of blanks": ({"description": "  "}, {}),
    "const": ({"const": 5}, {"type": "integer", "enum": [5]}),
    "const null": ({"const": None}, {"type": "null", "enum": [None]}),
    "enum of several types": (
        {"enum": ["a", 1]},
        {"type": ["string", "integer"], "enum": ["a", 1]},
    ),
    "enum that is an object": ({"enum": {"a": 1}}, described('Allowed values: {"a":1}.')),
    "enum of objects": ({"enum": [{"a": 1}]}, described('Allowed values: [{"a":1}].')),
    "enum of nothing": ({"enum": []}, described("No value is allowed here.")),
    "format": ({**TEXT, "format": "date-time"}, described("Format: date-time.", **TEXT)),
    "constraints in the order they come": (
        {**TEXT, "description": "When", "pattern": r"^\d$", "default": "5", "minLength": 1},
        described(r'When. Pattern: `^\d$`. Default: "5". Minimum length: 1.', **TEXT),
    ),
    "numbers": (
        {**INTEGER, "minimum": 1, "exclusiveMaximum": 9, "multipleOf": 2},
        described("Minimum: 1. Less than: 9. Multiple of: 2.", **INTEGER),
    ),
    "bounds that every integer has": (
        {**INTEGER, "minimum": -(2**53) + 1, "maximum": 2**53 - 1},
        INTEGER,
    ),
    "default null": ({**TEXT, "default": None}, described("Default: null.", **TEXT)),
    "unknown keyword": ({"x-unit": "ms"}, described("x-unit: ms.")),
    "unknown word": ({"markdownDescription": "m"}, described("Markdown description: m.")),
    "says nothing": (
        {**TEXT, "uniqueItems": False, "additionalProperties": True, "$comment": "c"},
        TEXT,
    ),
    "title that is the name": ({**TEXT, "title": "X"}, TEXT),
    "title that says more": (
        {**TEXT, "title": "Reason why"},
        described("Title: Reason why.", **TEXT),
    ),
    "closed object": (
        {"properties": {"a": TEXT}, "additionalProperties": False},
        described("No other properties.", type="object", properties={"a": TEXT}),
    ),
    "map": (
        {"type": "object", "additionalProperties": {"const": 1}},
        described('Other properties: {"type":"integer","enum":[1]}.', type="object"),
    ),
    "nullable": ({**TEXT, "nullable": True}, {"type": ["string", "null"]}),
    "nullable without type": ({"nullable": True}, described("May be null.")),
    "any of types": ({"anyOf": [TEXT, {"type": "null"}]}, {"type": ["string", "null"]}),
    "one of constants": (
        {"oneOf": [{"const": "a"}, {"const": "b"}]},
        {"type": "string", "enum": ["a", "b"]},
    ),
    "any of shapes": (
        described("d", anyOf=[described("t", **TEXT), INTEGER, True]),
        described("d", anyOf=[described("t", **TEXT), INTEGER, {}]),
    ),
    "any of typed shapes": (
        {"anyOf": [described("t", **TEXT), INTEGER]},
        {"type": ["string", "integer"], "anyOf": [described("t", **TEXT), INTEGER]},
    ),
    "any of one": ({"anyOf": [described("t", **TEXT)]}, described("t", **TEXT)),
    "any of one beside the same keyword": (
        described("d", anyOf=[described("t", **TEXT)]),
        described("d", type="string", anyOf=[described("t")]),
    ),
    "any of none": ({"anyOf": []}, {}),
    "any of beside one of": (
        {"anyOf": [TEXT, INTEGER], "oneOf": [{"type": "string", "maxLength": 3}]},
        described(
            'Also one of: [{"type":"string","description":"Maximum length: 3."}].',
            type=["string", "integer"],
        ),
    ),
    "types beside any of types": ({"type": ["string", "null"], "anyOf": [TEXT]}, TEXT),
    "all of": (
        {
            "allOf": [
                {"properties": {"a": {"type": "number"}}, "required": ["a"]},
                {"properties": {"a": INTEGER, "b": TEXT}, "required": ["b", "a"]},
            ]
        },
        {"type": "object", "properties": {"a": INTEGER, "b": TEXT}, "required": ["a", "b"]},
    ),
    "all of integers": ({"allOf": [INTEGER, {"type": ["number", "null"]}]}, INTEGER),
    "all of enums": (
        {"allOf": [{"enum": ["a", "b"]}, {"enum": ["b", "c"]}]},
        {"type": "string", "enum": ["b"]},
    ),
    "all of what contradicts": (
        {"allOf": [TEXT, INTEGER, {"const": "a"}, {"const": "b"}]},
        described('Type: integer. Const: "b".', type="string", enum=["a"]),
    ),
    "tuple": (
        {"type": "array", "prefixItems": [TEXT, INTEGER], "items": False},
        described(
            'Items in this order: [{"type":"string"},{"type":"integer"}]. No further items.',
            type="array",
        ),
    ),
    "tuple of draft 4": (
        {"type": "array", "items": [TEXT]},
        described('Further items: [{"type":"string"}].', type="array"),
    ),
    "any items": ({"type": "array", "items": True}, {"type": "array", "items": {}}),
    "conditions": (
        {"if": {"required": ["a"]}, "then": {"required": ["b"]}, "else": True, "not": {"const": 1}},
        described(
            'If: {"required":["a"]}. Then: {"required":["b"]}. Else: true. '
            'Must not be: {"type":"integer","enum":[1]}.'
        ),
    ),
    "data is no schema": (
        {"default": {"$ref": "#/$defs/A"}, "examples": [{"const": 1}]},
        described('Default: {"$ref":"#/$defs/A"}. Examples: [{"const":1}].'),
    ),
    "required of draft 3": ({**TEXT, "required": True}, described("Required: true.", **TEXT)),
}


@pytest.mark.parametrize(("given_", "expected"), PROPERTIES.values(), ids=PROPERTIES.keys())
def test_a_property(given_, expected):
    """Each keyword survives as one that Ollama keeps, or as words (conformance 183, 184)."""
    assert expected == rewritten(given_)


REFERENCES = {
    "a definition": ({"$ref": "#/$defs/A"}, {"A": TEXT}, TEXT),
    "words of both": (
        {"$ref": "#/$defs/A", "description": "Mine"},
        {"A": described("Its own.", **TEXT)},
        described("Mine. Its own.", **TEXT),
    ),
    "a reference to a reference": (
        {"$ref": "#/$defs/A"},
        {"A": {"$ref": "#/$defs/B"}, "B": TEXT},
        TEXT,
    ),
    "an escaped name": ({"$ref": "#/$defs/a~1b%20~0c"}, {"a/b ~c": TEXT}, TEXT),
    "into a list": ({"$ref": "#/$defs/A/anyOf/1"}, {"A": {"anyOf": [INTEGER, TEXT]}}, TEXT),
    "a boolean": ({"$ref": "#/$defs/A"}, {"A": True}, {}),
    "twice": (
        {"properties": {"a": {"$ref": "#/$defs/A"}, "b": {"$ref": "#/$defs/A"}}},
        {"A": TEXT},
        {"type": "object", "properties": {"a": TEXT, "b": TEXT}},
    ),
    "within all of": (
        {"allOf": [{"$ref": "#/$defs/A"}], "default": 1},
        {"A": INTEGER},
        described("Default: 1.", **INTEGER),
    ),
    "into itself": (
        {"$ref": "#/$defs/Node"},
        {"Node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}}},
        {
            "type": "object",
            "properties": {
                "next": described("Recursive: again Node, in which this stands.", type="object")
            },
        },
    ),
    "to the root": (
        {"$ref": "#"},
        {},
        described("Recursive: again the whole input, in which this stands.", type="object"),
    ),
    "only itself": (
        {"$ref": "#/$defs/A"},
        {"A": {"$ref": "#/$defs/A"}},
        described("Recursive: again A, in which this stands.", type="object"),
    ),
    "to nowhere": (
        {"$ref": "#/$defs/B"},
        {},
        described('Schema: "#/$defs/B", which is not part of this one.'),
    ),
    "elsewhere": (
        {"$ref": "https://example.com/a.json"},
        {},
        described('Schema: "https://example.com/a.json", which is not part of this one.'),
    ),
    "no text": ({"$ref": 5}, {}, described("Schema: 5, which is not part of this one.")),
}


@pytest.mark.parametrize(
    ("schema", "definitions", "expected"), REFERENCES.values(), ids=REFERENCES.keys()
)
def test_references(schema, definitions, expected):
    """A local reference is replaced by what it points to; any other is described (183)."""
    assert expected == rewritten(schema, **definitions)


ROOTS = {
    "without properties": ({"type": "object"}, {}, None, ""),
    "no schema": ({}, {}, None, ""),
    "other type": ({"type": ["object"], "properties": None}, {}, None, ""),
    "words": (
        {
            "type": "object",
            "description": "Say.",
            "additionalProperties": False,
            "minProperties": 1,
        },
        {},
        None,
        "Say. No other properties. Minimum number of properties: 1.",
    ),
    "a reference": (
        {
            "$ref": "#/definitions/A",
            "definitions": {"A": {"properties": {"a": TEXT}, "required": ["a"]}},
        },
        {"a": TEXT},
        ["a"],
        "",
    ),
    "forms": (
        {
            "oneOf": [
                {"properties": {"do": {"const": "add"}, "path": TEXT}, "required": ["do", "path"]},
                {"properties": {"do": {"const": "list"}, "mode": TEXT}, "required": ["do"]},
            ]
        },
        {"do": {"type": "string", "enum": ["add", "list"]}, "path": TEXT, "mode": TEXT},
        ["do"],
        'Takes one of these forms: {do: "add", path} or {do: "list", mode?}.',
    ),
    "what must be there": (
        {"properties": {"a": TEXT, "b": TEXT}, "anyOf": [{"required": ["a"]}, {"required": ["b"]}]},
        {"a": TEXT, "b": TEXT},
        None,
        "Takes one of these forms: {a} or {b}.",
    ),
}


@pytest.mark.parametrize(
    ("schema", "properties", "required", "remark"), ROOTS.values(), ids=ROOTS.keys()
)
def test_the_root(schema, properties, required, remark):
    """The root is an object with properties; what has no place there is a remark (183, 185)."""
    offered = offered_schema(schema, "look")

    expected = {"type": "object", "properties": properties}
    assert (
        expected if required is None else {**expected, "required": required}
    ) == offered.parameters
    assert remark == offered.remark


# --- what Ollama's parser makes of it ----------------------------------------------------------

NAMES = st.sampled_from(["a", "b", "file_path", "type", "$ref", "properties"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=2),
    max_leaves=3,
)
TYPES = st.sampled_from(["string", "number", "integer", "boolean", "array", "object", "null"])
REFS = st.sampled_from(["#", "#/$defs/A", "#/$defs/B", "#/properties/a", "#/nowhere", "other.json"])


def _keywords(schemas):
    lists = st.lists(schemas, max_size=3)
    named = st.dictionaries(NAMES, schemas, max_size=3)
    plain = {
        "type": TYPES | st.lists(TYPES, max_size=2),
        "description": st.text(max_size=6) | VALUES,
        "title": st.sampled_from(["Title of it", "a"]),
        "enum": st.lists(VALUES, max_size=3) | VALUES,
        "const": VALUES,
        "default": VALUES,
        "format": st.just("uri"),
        "pattern": st.just("^a"),
        "minimum": st.integers(-3, 3) | st.booleans(),
        "required": st.lists(NAMES, max_size=2) | st.booleans(),
        "nullable": st.booleans(),
        "x-any": VALUES,
        "$ref": REFS,
    }
    nested = {
        **dict.fromkeys(("properties", "patternProperties", "dependentSchemas"), named),
        **dict.fromkeys(("anyOf", "oneOf", "allOf", "prefixItems"), lists),
        **dict.fromkeys(("items", "additionalProperties", "not", "if", "contains"), schemas),
        "items": schemas | lists,
    }
    return st.booleans() | st.fixed_dictionaries({}, optional=plain | nested)


SCHEMAS = st.recursive(
    st.booleans() | st.fixed_dictionaries({}, optional={"type": TYPES, "$ref": REFS}),
    _keywords,
    max_leaves=6,
)
ROOT_SCHEMAS = st.fixed_dictionaries(
    {"type": st.just("object")},
    optional={
        "properties": st.dictionaries(NAMES, SCHEMAS, max_size=3),
        "required": st.lists(NAMES, max_size=2),
        "$defs": st.fixed_dictionaries({"A": SCHEMAS, "B": SCHEMAS}),
        "anyOf": st.lists(SCHEMAS, max_size=2),
        "allOf": st.lists(SCHEMAS, max_size=2),
        "$ref": REFS,
        "additionalProperties": SCHEMAS,
    },
)


@given(ROOT_SCHEMAS)
@settings(max_examples=count(60, 200, 10_000), deadline=None)
def test_ollama_takes_it_and_keeps_it_whole(schema):
    """Nothing that is sent is refused by Ollama's parser or vanishes in it (183, 184)."""
    parameters = offered_schema(schema, "look").parameters

    assert parameters == kept_by_ollama(parameters)


@pytest.mark.parametrize("tool", CLAUDE_CODE_TOOLS, ids=lambda tool: tool["name"])
def test_tools_of_claude_code(tool):
    """Names, types, values and what is required stay; constraints are said (183, 184)."""
    schema = tool["input_schema"]
    offered = offered_schema(schema, tool["name"])

    assert offered.parameters == kept_by_ollama(offered.parameters)
    assert list(schema["properties"]) == list(offered.parameters["properties"])
    assert schema["required"] == offered.parameters["required"]
    assert "No other properties." == offered.remark
    for name, given_ in schema["properties"].items():
        kept = offered.parameters["properties"][name]
        assert given_["type"] == kept["type"]
        assert given_.get("enum") == kept.get("enum")
        assert kept["description"].startswith(given_["description"])


def test_constraints_of_claude_code():
    """Constraints that Ollama's types lack are in the descriptions (183)."""
    tools = {
        tool["name"]: offered_schema(tool["input_schema"]).parameters["properties"]
        for tool in CLAUDE_CODE_TOOLS
    }

    assert "The URL to fetch content from. Format: uri." == tools["WebFetch"]["url"]["description"]
    assert "The number of lines to read. Greater than: 0." == tools["Read"]["limit"]["description"]
    assert tools["Edit"]["replace_all"]["description"].endswith(" Default: false.")
    assert {
        "type": "object",
        "description": "No other properties.",
        "properties": {
            "content": described("Minimum length: 1.", **TEXT),
            "status": {**TEXT, "enum": ["pending", "in_progress", "completed"]},
            "activeForm": described("Minimum length: 1.", **TEXT),
        },
        "required": ["content", "status", "activeForm"],
    } == tools["TodoWrite"]["todos"]["items"]


MARKED = {
    "description": "MARK",
    "title": "MARK it is",
    "const": "MARK",
    "enum": ["MARK"],
    "default": "MARK",
    "format": "MARK",
    "pattern": "MARK",
    "examples": ["MARK"],
    "required": ["MARK"],
    "properties": {"MARK": True},
    "patternProperties": {"MARK": {"minLength": 1}},
    "dependentRequired": {"MARK": ["a"]},
    "dependentSchemas": {"MARK": True},
    "contentMediaType": "MARK",
    "x-own": {"deep": ["MARK"]},
    "$ref": "#/$defs/A",
    "$dynamicRef": "MARK",
    **{
        key: {"description": "MARK"}
        for key in ("items", "additionalProperties", "unevaluatedProperties", "propertyNames")
    },
    **{key: {"const": "MARK"} for key in ("not", "if", "then", "else", "contains")},
    **{key: [{"pattern": "MARK"}] for key in ("anyOf", "oneOf", "allOf", "prefixItems")},
}


@pytest.mark.parametrize("where", ["root", "property", "items", "anyOf"])
@pytest.mark.parametrize("keyword", MARKED)
def test_no_keyword_is_lost(keyword, where):
    """Whatever a keyword says reaches the model, wherever it stands (183)."""
    schema = {keyword: MARKED[keyword]}
    match where:
        case "property":
            schema = {"properties": {"a": schema}}
        case "items":
            schema = {"properties": {"a": {"items": {"anyOf": [schema, TEXT]}}}}
        case "anyOf":
            schema = {"anyOf": [schema, {"required": ["b"]}]}
    offered = offered_schema({**schema, "$defs": {"A": {"default": "MARK"}}}, "look")

    assert "MARK" in orjson.dumps([offered.parameters, offered.remark]).decode()


# --- limits ------------------------------------------------------------------------------------


def test_the_same_schema_gives_the_same_bytes():
    """The order of a property's keywords makes no difference to the prompt's bytes."""
    one = rewritten({"type": "string", "enum": ["a"], "description": "d"})
    other = rewritten({"description": "d", "enum": ["a"], "type": "string"})

    assert orjson.dumps(one) == orjson.dumps(other)


def test_references_cannot_explode():
    """A schema of 30 definitions that would double 30 times stays within the limit."""
    definitions = {
        f"D{n}": {"properties": {side: {"$ref": f"#/$defs/D{n + 1}"} for side in "ab"}}
        for n in range(30)
    }
    definitions["D30"] = TEXT

    offered = offered_schema({"properties": {"x": {"$ref": "#/$defs/D0"}}, "$defs": definitions})

    text = orjson.dumps(offered.parameters).decode()
    assert "Has the form of D" in text
    assert len(text) < 5 * EXPANSION_LIMIT_BYTES
    assert offered.parameters == kept_by_ollama(offered.parameters)


def test_a_large_definition_is_put_in_as_often_as_fits():
    """What is beyond the limit is an object with the definition's own description."""
    large = {"type": "array", "description": "Long", "default": "x" * (EXPANSION_LIMIT_BYTES // 2)}
    schema = {
        "properties": {name: {"$ref": "#/$defs/A"} for name in "abc"},
        "$defs": {"A": large},
    }

    properties = offered_schema(schema).parameters["properties"]

    assert properties["a"]["description"].startswith("Long. Default:")
    assert described("Long. Has the form of A.", type="array") == properties["b"]
    assert properties["b"] == properties["c"]


@pytest.mark.parametrize("keyword", ["properties", "items", "not", "anyOf", "allOf"])
def test_depth_is_bounded(keyword):
    """A schema of 80 levels is offered down to the limit, and the rest said in JSON."""
    schema = {"type": "string"}
    for _ in range(80):
        match keyword:
            case "properties":
                schema = {"properties": {"x": schema}}
            case "anyOf" | "allOf":
                schema = {keyword: [schema, {"const": 1}]}
            case _:
                schema = {keyword: schema}

    offered = rewritten(schema)

    text = orjson.dumps(offered).decode()
    assert ("Must not be: " if keyword == "not" else "Schema: {") in text
    assert len(text) < 10_000 + DEPTH_LIMIT * VALUE_LIMIT_CHARS
    assert {"type": "object", "properties": {"x": offered}} == kept_by_ollama(
        {"type": "object", "properties": {"x": offered}}
    )


def test_a_chain_of_references_is_bounded():
    """1000 definitions that each refer to the next do not exhaust the stack."""
    definitions = {f"D{n}": {"$ref": f"#/$defs/D{n + 1}"} for n in range(1000)}

    offered = rewritten({"$ref": "#/$defs/D0"}, **definitions)

    assert offered["description"].startswith("Has the form of D")


def test_long_values_are_cut():
    """A value of a keyword is cut at the limit and says so; a description never is."""
    offered = rewritten({"description": "d" * 5000, "default": "x" * 5000})

    assert "d" * 5000 + '. Default: "' in offered["description"]
    assert offered["description"].endswith("x….")
    assert len(offered["description"]) < 5000 + VALUE_LIMIT_CHARS + 20


# --- the checker itself ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_", "kept"),
    [
        ({"properties": {"x": True}}, None),
        ({"type": ["object"]}, None),
        ({"properties": {"x": {"type": 3}}}, None),
        ({"properties": {"x": {"description": 3}}}, None),
        ({"properties": {"x": {"enum": {}}}}, None),
        ({"properties": []}, None),
        ({"required": [1]}, None),
        ({"properties": {"x": {"anyOf": [False]}}}, None),
        (
            {
                "type": "object",
                "description": "d",
                "properties": {"x": {"type": ["string"], "format": "uri", "enum": [], "items": {}}},
            },
            {"type": "object", "properties": {"x": {"type": "string", "items": {}}}},
        ),
    ],
)
def test_the_model_of_ollamas_parser(given_, kept):
    """The checker refuses and forgets what `json.Unmarshal` does with Ollama's types (183, 184)."""
    if kept is None:
        with pytest.raises(GoError):
            kept_by_ollama(given_)
    else:
        assert kept == kept_by_ollama(given_)
