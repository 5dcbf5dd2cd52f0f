"""What only the strict mode refuses: each row passes without it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ccproxy.wire.errors import ApiError
from ccproxy.wire.validate import validate_request
from tests.ccproxy.wire.test_validate import (
    PLAIN,
    ROWS,
    SEARCH,
    SERVER_CALL,
    SERVER_RESULT,
    TOOL,
    Elsewhere,
    after_call,
    assert_outcome,
    body,
    call,
    dialogue,
    result,
    says,
    text,
    user,
)

if TYPE_CHECKING:
    from tests.ccproxy.wire.test_validate import Row

CACHED = {"cache_control": {"type": "ephemeral"}}
SYSTEM = says("system", "x")
SEARCHED = says("assistant", SERVER_CALL, SERVER_RESULT)
FOUND_5 = "A maximum of 4 blocks with cache_control may be provided. Found 5."
EMPTY = "messages: text content blocks must be non-empty"
LAST = "messages.1: `system` messages must come last or before an `assistant` message"
FOLLOW = "`system` messages must follow a `user` message"


def strict_outcome(request: dict[str, Any]) -> object:
    """Return None, the text of a 400, or Elsewhere with the text."""
    try:
        validate_request(request, version="2023-06-01", strict=True)
    except ApiError as error:
        return error.message
    return None


STRICT: list[Row] = [
    ("080 last", dialogue(SYSTEM), None),
    ("080 before an assistant", dialogue(SYSTEM, SYSTEM, says("assistant", "y")), None),
    (
        "080 after tool results",
        dialogue(says("assistant", call()), says("user", result()), SYSTEM),
        None,
    ),
    ("080 after a server tool", dialogue(SEARCHED, SYSTEM, says("assistant", "y")), None),
    ("080 and a turn later", dialogue(SYSTEM, says("assistant", "y"), says("user", "z")), None),
    ("080 before a user", dialogue(SYSTEM, says("user", "y")), LAST),
    ("080 after an assistant", dialogue(says("assistant", "y"), SYSTEM), f"messages.2: {FOLLOW}"),
    (
        "080 between call and result",
        dialogue(says("assistant", call()), SYSTEM, says("user", result())),
        f"messages.2: {FOLLOW}",
    ),
    ("083 empty block", user(text(""), text("x")), EMPTY),
    ("083 empty block of a result", after_call(result(content=[text("")])), EMPTY),
    ("083 empty block of a search", user(SEARCH | {"content": [text("")]}), EMPTY),
    ("083 empty system", body(system=[text("")]), "system: text content blocks must be non-empty"),
    ("083 empty result", after_call(result(content="")), None),
    ("106 four", body(system=[text(**CACHED)] * 4), None),
    ("106 five", body(system=[text(**CACHED)] * 5), FOUND_5),
    (
        "106 everywhere",
        body(
            **CACHED,
            system=[text(**CACHED)],
            tools=[TOOL | CACHED],
            messages=[
                says("user", "Hi"),
                says("assistant", call(**CACHED)),
                says("user", result(content=[text(**CACHED)])),
            ],
        ),
        FOUND_5,
    ),
    (
        "106 unknown type",
        user(text(cache_control={"type": "eternal"})),
        "messages.0.content.0.cache_control: Input tag 'eternal' found",
    ),
    (
        "106 unknown ttl",
        body(cache_control={"type": "ephemeral", "ttl": "2h"}),
        "cache_control.ttl: Input should be '5m' or '1h'",
    ),
    ("106 known ttl", body(cache_control={"type": "ephemeral", "ttl": "1h"}), None),
    ("113 unknown field", body(brand_new=1), "brand_new: Extra inputs are not permitted"),
    (
        "113 known fields",
        body(
            context_management={"edits": []},
            diagnostics={},
            safeguards=[],
            metadata={},
            speed="fast",
            thinking=None,
        ),
        None,
    ),
]


@pytest.mark.parametrize(
    ("rule", "request_body", "expected"), STRICT, ids=[row[0] for row in STRICT]
)
def test_strict(rule: str, request_body: dict[str, Any], expected: str | None) -> None:
    """Strict refuses as its row says; by default all of it passes (conformance 080-113)."""
    del rule
    validate_request(request_body, version="2023-06-01")
    assert_outcome(strict_outcome(request_body), expected)


@pytest.mark.parametrize(
    ("rule", "request_body", "expected"),
    [row for row in ROWS if row[2] is not None],
    ids=[row[0] for row in ROWS if row[2] is not None],
)
def test_other_refusals_are_the_same(
    rule: str, request_body: dict[str, Any], expected: str | Elsewhere
) -> None:
    """What is refused or sent elsewhere by default is so in strict mode, in the same words."""
    del rule
    words = expected.text if isinstance(expected, Elsewhere) else expected
    assert str(strict_outcome(request_body)).startswith(words)


def test_results_of_server_tools_are_not_looked_into() -> None:
    """Whatever a server tool returned passes, at any depth."""
    deep: Any = ["x"]
    for _ in range(100):
        deep = [{"type": "text", "content": deep}]
    found = SERVER_RESULT | {"content": deep}

    assert (
        strict_outcome(dialogue(says("assistant", SERVER_CALL, found), says("user", "y"))) is None
    )


def test_documents_inside_results_count() -> None:
    """A document's own blocks inside a tool result are looked at too (conformance 106)."""
    document = PLAIN | {"source": {"type": "content", "content": [text(**CACHED)] * 5}}

    assert strict_outcome(after_call(result(content=[document]))) == FOUND_5
