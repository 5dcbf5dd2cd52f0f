"""Where no token is asked for, web pages of others are refused."""

import pytest

from ccproxy.api.own_pages import OwnPagesOnly


async def status_of(*headers):
    """Return what a request with these headers gets; 200 where it reaches the app."""
    sent = []

    async def app(scope, receive, send):
        sent.append({"status": 200})

    async def send(message):
        sent.append(message)

    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    await OwnPagesOnly(app)({"type": "http", "headers": raw}, None, send)
    return sent[0]["status"]


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:8081", "127.0.0.1:8081", "127.1.2.3", "[::1]:8081", "a.localhost:1", "localhost."],
)  # fmt: skip
async def test_this_machine_by_any_of_its_names(host):
    """Programs ask for what stands in their base URL, which names loopback."""
    assert 200 == await status_of(("host", host))


async def test_programs_of_old_send_no_host():
    """HTTP/1.0 has none; no browser speaks it."""
    assert 200 == await status_of()


@pytest.mark.parametrize(
    "host",
    [
        "evil.test:8081",
        "localhost.evil.test",
        "127.0.0.1.nip.io:8081",
        "evil.test@127.0.0.1",
        "localhost/evil.test",
        "192.168.1.9:8081",
        "[::ffff:1.2.3.4]",
        "[",
        "",
        "evil-localhost",
    ],
)
async def test_a_name_that_was_pointed_here(host):
    """A page whose name was pointed at loopback says its own name, and is refused (403)."""
    assert 403 == await status_of(("host", host))


async def test_two_hosts():
    """Whoever names two hosts hides one of them."""
    assert 403 == await status_of(("host", "localhost"), ("host", "evil.test"))


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://127.0.0.1:8081", 200),
        ("HTTP://127.0.0.1:8081", 200),
        ("http://127.0.0.1:9999", 403),
        ("http://localhost:8081", 403),
        ("https://evil.test", 403),
        ("null", 403),
        ("", 403),
        ("http://127.0.0.1:8081.evil.test", 403),
    ],
)
async def test_other_origins(origin, status):
    """What a browser sends for another page than the proxy's own is refused (403)."""
    assert status == await status_of(("host", "127.0.0.1:8081"), ("origin", origin))
