"""The `error.details.error_code` of our own errors."""

from __future__ import annotations

import ast
from pathlib import Path

from anthropic._error_classes import ERROR_CLASSES

import ccproxy


def codes_written_down() -> set[str]:
    """Return every code that some place of the proxy gives an error."""
    found: set[str] = set()
    for path in Path(ccproxy.__file__).parent.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)) if "error_code=" in text else ():
            if isinstance(node, ast.keyword) and node.arg == "error_code":
                value = node.value
                if isinstance(value, ast.Constant) and isinstance(value.value, str):
                    found.add(value.value)
    return found


def test_only_documented_codes_are_used() -> None:
    """The SDK has a class for each of them, and none of ours is made up (conformance 049)."""
    documented = {code for _, code in ERROR_CLASSES}

    codes = codes_written_down()

    assert "request_body_timeout" in codes
    assert codes <= documented
