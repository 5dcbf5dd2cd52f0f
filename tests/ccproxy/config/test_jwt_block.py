"""The `auth.jwt:` block of `ccproxy.yaml`."""

from __future__ import annotations

from textwrap import indent

import pytest

from ccproxy.config.problems import ConfigError
from ccproxy.config.settings import load_settings
from tests.support.issuer import SECRET

LOCAL = "model_list: [{model_name: q, litellm_params: {model: ollama_chat/qwen}}]\nauth:\n  jwt:\n"
WHO = "issuer: https://i.example.com/\naudience: ccproxy\n"


@pytest.fixture
def load(tmp_path):
    def load(block):
        path = tmp_path / "ccproxy.yaml"
        path.write_text(LOCAL + indent(WHO + block, "    "))
        return load_settings(path, {"SECRET": SECRET, "SHORT": "too short"})

    return load


def test_each_source(load, tmp_path):
    """An address, a file relative to the config, or a secret by reference; defaults for the rest."""
    jwt = load("algorithms: [RS256, ES256]\njwks_url: https://i.example.com/jwks\n").jwt
    assert (("RS256", "ES256"), "https://i.example.com/jwks") == (jwt.algorithms, jwt.jwks_url)
    assert (60, 3600, "sub") == (jwt.leeway_s, jwt.refresh_s, jwt.claims.principal)
    assert ("https://i.example.com/", "ccproxy") == (jwt.issuer, jwt.audience)

    jwt = load("algorithms: [ES256]\njwks_file: keys.json\nleeway_s: 0\nclaims: {agents: a}\n").jwt
    assert (tmp_path / "keys.json", 0, "a") == (jwt.jwks_file, jwt.leeway_s, jwt.claims.agents)

    settings = load("algorithms: [HS256]\nhs256_secret: os.environ/SECRET\n")
    assert SECRET == settings.jwt.hs256_secret
    assert SECRET not in repr(settings)
    assert () == settings.warnings
    assert load("algorithms: [ES256]\njwks_url: http://127.0.0.1:8/x\n").jwt is not None


REFUSED = [
    ("algorithms: [RS256]\n", "auth.jwt", "needs one of"),
    ("algorithms: [RS256]\njwks_url: https://x/y\njwks_file: z\n", "auth.jwt", "only one"),
    ("jwks_file: z\n", "auth.jwt.algorithms", "is required"),
    ("algorithms: []\njwks_file: z\n", "auth.jwt.algorithms", "must not be empty"),
    ("algorithms: [none]\njwks_file: z\n", "auth.jwt.algorithms[0]", "RS256"),
    ("algorithms: [HS256]\njwks_file: z\n", "auth.jwt.algorithms", "HS256 goes with"),
    ("algorithms: [RS256]\nhs256_secret: os.environ/SECRET\n", "auth.jwt.algorithms", "HS256 goes with"),
    ("algorithms: [HS256, RS256]\nhs256_secret: os.environ/SECRET\n", "auth.jwt.algorithms", "stands alone"),
    ("algorithms: [HS256]\nhs256_secret: os.environ/SHORT\n", "auth.jwt.hs256_secret", "at least 32"),
    ("algorithms: [HS256]\nhs256_secret: os.environ/NONE\n", "auth.jwt.hs256_secret", "NONE is not set"),
    ("algorithms: [RS256]\njwks_url: http://i.example.com/x\n", "auth.jwt.jwks_url", "must be https"),
    ("algorithms: [RS256]\njwks_url: ftp://127.0.0.1/x\n", "auth.jwt.jwks_url", "must be https"),
    ("algorithms: [RS256]\njwks_url: https://u:pass1@h/x\n", "auth.jwt.jwks_url", "must not hold credentials"),
    ("algorithms: [RS256]\njwks_url: https:///x\n", "auth.jwt.jwks_url", "must be an address"),
    ("algorithms: [RS256]\njwks_file: z\nrefresh_s: 1\n", "auth.jwt.refresh_s", "60"),
    ("algorithms: [RS256]\njwks_file: z\nleeway_s: 601\n", "auth.jwt.leeway_s", "600"),
    ("algorithms: [RS256]\njwks_file: z\nclaims: {agent: x}\n", "auth.jwt.claims.agent", "agents"),
    ("algorithms: [RS256]\njwks_file: z\naudiance: x\n", "auth.jwt.audiance", "audience"),
]  # fmt: skip


@pytest.mark.parametrize(("block", "key", "words"), REFUSED)
def test_refused(load, block, key, words):
    """Whatever could weaken the check, or does nothing, is an error at its place; no secret is shown."""
    with pytest.raises(ConfigError) as caught:
        load(block)
    problem = next(each for each in caught.value.problems if each.key == key)
    assert words in problem.message
    assert "pass1" not in problem.message


def test_a_secret_in_the_file_is_a_warning(load):
    """It works, but had better be named."""
    warnings = load(f"algorithms: [HS256]\nhs256_secret: {SECRET!r}\n").warnings
    assert ["auth.jwt.hs256_secret"] == [each.key for each in warnings]
    assert SECRET not in warnings[0].message
