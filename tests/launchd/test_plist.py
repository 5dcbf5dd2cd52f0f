"""The shipped examples of services: what `ccproxy service install` writes, and no secret inside."""

import re

import pytest

from tests.support.service_examples import ROOT, examples


@pytest.mark.parametrize("path", examples(), ids=lambda path: str(path.relative_to(ROOT)))
def test_an_example_is_what_install_writes(path):
    """Each file is byte for byte what the code renders; `python -m tests.support.service_examples`."""
    assert examples()[path] == path.read_bytes()


def test_no_example_is_left_over():
    """Every definition that lies there is one of the examples."""
    shipped = {*(ROOT / "launchd").rglob("*.plist"), *(ROOT / "config/systemd").rglob("*.service")}

    assert set(examples()) == shipped


def test_no_secret_is_in_them():
    """Keys and tokens are never written into a definition, which any user can read."""
    for path in examples():
        assert not re.search(r"sk-|ccp_|API_KEY|TOKEN", path.read_text())
