"""Where the proxy listens, and what it calls that."""

import contextlib
import resource
import socket
from dataclasses import dataclass

import pytest

from ccproxy.api.listening import ListenError, client_url, listen, room_for_connections


def closing(sockets):
    stack = contextlib.ExitStack()
    for each in sockets:
        stack.enter_context(each)
    return stack


@dataclass(frozen=True)
class Bound:
    """What `client_url` asks of a socket; IPv6 is not to be had everywhere."""

    address: tuple

    def getsockname(self):
        return self.address


@pytest.mark.parametrize(
    ("address", "url"),
    [
        (("127.0.0.1", 80), "http://127.0.0.1:80"),
        (("192.168.1.5", 80), "http://192.168.1.5:80"),
        (("0.0.0.0", 80), "http://127.0.0.1:80"),
        (("::1", 80, 0, 0), "http://[::1]:80"),
        (("::", 80, 0, 0), "http://[::1]:80"),
    ],
)
def test_the_url_is_one_that_a_client_can_use(address, url):
    """It has brackets around IPv6, and no address that means "any"."""
    assert url == client_url([Bound(address)])


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_clients_may_connect_at_once(host):
    """Port 0 becomes a real port, and whoever connects before the server runs waits for it."""
    sockets = listen(host, 0)
    with closing(sockets):
        port = sockets[0].getsockname()[1]
        assert f"http://127.0.0.1:{port}" == client_url(sockets)
        with socket.create_connection(("127.0.0.1", port), timeout=5):
            pass


def test_a_name_is_listened_on_at_each_of_its_addresses():
    """`localhost` may be 127.0.0.1 and ::1; a free port is the same for both."""
    sockets = listen("localhost", 0)
    with closing(sockets):
        assert 1 == len({each.getsockname()[1] for each in sockets})
        assert client_url(sockets).startswith("http://")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_taken_port_is_a_sentence(host):
    """The address, the reason and the way out stand in it, and nothing stays bound."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ListenError, match=rf"{host}:{port}: Address already in use.*--port"):
            listen(host, port)


@pytest.mark.parametrize(
    ("soft", "hard", "room", "then"),
    [
        (256, 10**6, 2048, 4352),
        (256, resource.RLIM_INFINITY, 2048, 4352),
        (10**5, 10**6, 2048, 10**5),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, 2048, resource.RLIM_INFINITY),
        (256, 1024, 384, 1024),
        (100, 100, 1, 100),
    ],
)
def test_files_are_asked_for(soft, hard, room, then, monkeypatch):
    """As many files may be open as the connections need; where that is not allowed, fewer connect."""
    limits = [soft, hard]
    monkeypatch.setattr(resource, "getrlimit", lambda _which: tuple(limits))
    monkeypatch.setattr(
        resource, "setrlimit", lambda _which, to: limits.__setitem__(slice(None), to)
    )

    assert room == room_for_connections()
    assert [then, hard] == limits
