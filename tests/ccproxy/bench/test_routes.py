"""Routes as they are written on the command line."""

import pytest

from ccproxy.bench.routes import RouteError, read_routes

ENVIRON = {"ANTHROPIC_AUTH_TOKEN": "ours", "KEY": "theirs", "EMPTY": ""}
HOME = "http://127.0.0.1:8081/"


def read(*written, tokens=(), free=(), environ=ENVIRON):
    return read_routes(written, HOME, dict(tokens), free, environ)


@pytest.mark.parametrize(
    ("written", "label", "model", "agent", "base_url"),
    [
        ("qwen-coder", "qwen-coder", "qwen-coder", None, "http://127.0.0.1:8081"),
        ("agent/debugger", "agent/debugger", "agent/debugger", None, "http://127.0.0.1:8081"),
        ("m+debugger", "m+debugger", "m", "debugger", "http://127.0.0.1:8081"),
        ("fast=m@2026", "fast", "m@2026", None, "http://127.0.0.1:8081"),
        ("KEY=m@https://host/base/", "KEY", "m", None, "https://host/base"),
        ("KEY=m+debugger@http://h:1", "KEY", "m", "debugger", "http://h:1"),
        ("small=hf.co/a/b:Q4", "small", "hf.co/a/b:Q4", None, "http://127.0.0.1:8081"),
    ],
)
def test_a_route_is_read(written, label, model, agent, base_url):
    """Label, model, agent and address; the label is the model where none is said."""
    tokens = [(label, "KEY")] if "@http" in written else []
    (route,) = read(written, tokens=tokens)

    assert (label, model, agent, base_url) == (
        route.label, route.model, route.agent, route.base_url,
    )  # fmt: skip
    assert ("theirs" if tokens else "ours") == route.token
    assert "token" not in route.told()


@pytest.mark.parametrize(
    ("written", "tokens", "free", "says"),
    [
        (["m@http://h"], [], [], "say which variable its token is in: --token-env 'm=NAME'"),
        (["m", "m"], [], [], "two routes are called 'm'"),
        (["m"], [("n", "KEY")], [], "there is no route 'n'; there are m"),
        (["m"], [], ["n"], "there is no route 'n'"),
        (["m"], [("m", "EMPTY")], [], "EMPTY is not set"),
        (["m"], [("m", "NONE")], [], "NONE is not set"),
        (["m@http://me:secret@h"], [("m", "KEY")], [], "has no user"),
        (["=m"], [], [], "is no route; write [LABEL=]MODEL[+AGENT][@URL]"),
        ([""], [], [], "is no route"),
    ],
)
def test_a_route_that_cannot_be_used(written, tokens, free, says):
    """It says why and what to write; a token never goes to an address it was not meant for."""
    with pytest.raises(RouteError) as caught:
        read(*written, tokens=tokens, free=free)

    assert says in str(caught.value)
