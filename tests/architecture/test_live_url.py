"""Where `make test-live` looks, and that this widens nothing else."""

import pytest

from tests.support.live_url import live_url
from tests.support.loopback import LeftLoopback, LoopbackGuard


@pytest.mark.parametrize(
    ("value", "url"),
    [
        ("", "http://127.0.0.1:11434"),
        ("127.0.0.1", "http://127.0.0.1:11434"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        (":8080", "http://127.0.0.1:8080"),
        ("mini.local:1234", "http://mini.local:1234"),
        ("http://mini.local:1234/", "http://mini.local:1234"),
        ("http://mini.local", "http://mini.local:80"),
        ("https://mini.local", "https://mini.local:443"),
        ("[::1]:5000", "http://[::1]:5000"),
        ("https://host/ollama", "https://host:443/ollama"),
    ],
)
def test_ollama_host_is_read_as_ollama_reads_it(value, url):
    """Scheme and port may be missing."""
    assert live_url({"OLLAMA_HOST": value} if value else {}) == url


def test_one_host_more_may_be_reached():
    """What is allowed is allowed, and nothing beside it."""
    guard = LoopbackGuard()
    guard.allow("127.0.0.99")
    guard._allowed |= {"192.0.2.7"}  # what a look-up would have added

    guard._on_event("socket.connect", (None, ("192.0.2.7", 11434)))
    with pytest.raises(LeftLoopback):
        guard._on_event("socket.connect", (None, ("192.0.2.8", 11434)))
    assert guard.take_refused() == ["socket.connect '192.0.2.8'"]
