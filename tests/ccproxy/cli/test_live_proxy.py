"""Which proxy `ccproxy top` asks, and with what."""

import pytest

from ccproxy.cli.live_proxy import is_address, is_this_machine, token_place, without_agent


@pytest.mark.parametrize(
    ("url", "usable"),
    [
        ("http://mini.local:8081", True),
        ("https://proxy.example.com/ccproxy", True),
        ("http://[::1]:8081", True),
        ("foo", False),
        ("mini.local:8081", False),
        ("127.0.0.1:8081", False),
        ("ftp://mini.local", False),
        ("http://", False),
        ("http://:8081", False),
        ("http://mini.local:99999", False),
        ("http://mini.local:x", False),
        ("http://[::1", False),
    ],
)
def test_what_is_an_address(url, usable):
    """A scheme of the web and a host; a port is one that there can be."""
    assert usable is is_address(url)


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("http://127.0.0.1:8081", True),
        ("http://[::1]:8081", True),
        ("http://localhost:8081", True),
        ("http://mini.local:8081", False),
        ("http://192.168.1.7:8081", False),
    ],
)
def test_what_is_this_machine(url, here):
    """Only where it can be no other is one told to start a proxy."""
    assert here is is_this_machine(url)


@pytest.mark.parametrize(
    ("url", "own"),
    [
        ("http://h:8081", "http://h:8081"),
        ("http://h:8081/agents/debugger", "http://h:8081"),
        ("http://h:8081/agents/debugger/", "http://h:8081"),
        ("https://h/ccproxy/agents/debugger", "https://h/ccproxy"),
        ("https://h/agents", "https://h/agents"),
    ],
)
def test_an_agents_base_url_is_its_proxys(url, own):
    """$ANTHROPIC_BASE_URL may name an agent, as docs/agents-side.md has it."""
    assert own == without_agent(url)


def test_where_a_token_is_from():
    """The command line, else the first variable that holds one."""
    environ = {"A": "", "B": "two", "C": "three"}

    assert token_place("one", environ, ["A", "B", "C"]) == "--token"
    assert token_place(None, environ, ["A", "B", "C"]) == "$B"
    assert token_place(None, environ, ["C"]) == "$C"
