"""What may be imported where, beyond what import-linter's contracts say."""

import ast
import subprocess
import sys

import pytest

from tests.support.tools import ROOT

PURE = {
    "__future__",
    "collections",
    "collections.abc",
    "dataclasses",
    "difflib",
    "enum",
    "fnmatch",
    "functools",
    "hashlib",
    "itertools",
    "json",
    "math",
    "operator",
    "re",
    "string",
    "types",
    "typing",
    "unicodedata",
}
"""Everything routing/ may import besides itself: nothing here does I/O or reads a clock."""

DATABASE = ["sqlalchemy", "alembic", "sqlite3"]
HEAVY = [
    *("litellm", "fastapi", "starlette", "uvicorn", "aiohttp", "httpx", "anthropic", "ollama"),
    *DATABASE,
]


def imported_modules(file):
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." if node.level else node.module


def test_routing_imports_nothing_but_pure_modules():
    """Every import of routing/ is on the list of modules without I/O, clock or randomness."""
    foreign = {
        f"{file.relative_to(ROOT)}: {name}"
        for file in (ROOT / "routing").rglob("*.py")
        for name in imported_modules(file)
        if name not in PURE and name.split(".")[0] != "routing"
    }

    assert set() == foreign


def test_routing_does_no_io_by_built_in_names():
    """routing/ never calls open, print or input, which need no import."""
    calls = {
        f"{file.relative_to(ROOT)}:{node.lineno} {node.func.id}"
        for file in (ROOT / "routing").rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in {"open", "print", "input", "exec", "eval", "__import__"}
    }

    assert set() == calls


def modules_after(statement):
    script = f"{statement}; import sys; print('\\n'.join(sys.modules))"
    answer = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=50
    )
    return set(answer.stdout.split())


@pytest.mark.parametrize(
    ("statement", "forbidden"),
    [
        ("import routing", [*HEAVY, "asyncio", "pydantic", "yaml"]),
        ("import ccproxy.cli.main", HEAVY),
        ("import ccproxy.pipeline.exchange", HEAVY),
        ("import ccproxy.app", ["litellm", "anthropic", *DATABASE]),
        ("import ccproxy.serve", ["litellm", "anthropic", *DATABASE]),
    ],
)
def test_an_import_stays_light(statement, forbidden):
    """A command pays only for what it uses; litellm waits for a translated deployment."""
    loaded = modules_after(statement)

    assert [] == [name for name in forbidden if name in loaded]
