"""Who decides which provider a deployment has."""

import ast

import pytest

from tests.support.tools import ROOT

DECIDES = ROOT / "ccproxy/config/deployments.py"
SPEAKS_LITELLM = ROOT / "ccproxy/upstreams"
"""Names a provider in LiteLLM's own records, where nothing is decided."""
NAMES_PACKAGES = ROOT / "ccproxy/cli/version.py"
"""One of the packages it lists is called as a provider is."""


@pytest.mark.parametrize("provider", ["ollama_chat", "anthropic"])
def test_a_provider_is_recognised_in_one_place(provider):
    """The settings say what a deployment is; nothing else compares its provider's name."""
    found = [
        f"{file.relative_to(ROOT)}:{node.lineno}"
        for file in sorted((ROOT / "ccproxy").rglob("*.py"))
        if file not in (DECIDES, NAMES_PACKAGES) and SPEAKS_LITELLM not in file.parents
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and node.value == provider
    ]

    assert [] == found
