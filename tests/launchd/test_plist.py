"""The shipped examples of services: what `ccproxy service install` writes, and no secret inside."""

import plistlib
import re
import subprocess

import pytest

from tests.ccproxy.service.test_definitions import KEYS
from tests.support.service_examples import ROOT, examples

OLLAMA = ROOT / "launchd/daemon/com.visiquate.ollama.plist"
"""Put in its place by hand, as docs/service.md says."""


@pytest.mark.parametrize("path", examples(), ids=lambda path: str(path.relative_to(ROOT)))
def test_an_example_is_what_install_writes(path):
    """Each file is byte for byte what the code renders; `python -m tests.support.service_examples`."""
    assert examples()[path] == path.read_bytes()


def test_no_example_is_left_over():
    """Every definition that lies there is one of the examples."""
    shipped = {*(ROOT / "launchd").rglob("*.plist"), *(ROOT / "config/systemd").rglob("*.service")}

    assert {*examples(), OLLAMA} == shipped


def test_ollama_as_a_daemon():
    """It is one that launchd knows, of an ordinary user, with settings of Ollama and a home folder."""
    document = plistlib.loads(OLLAMA.read_bytes())

    assert {key: KEYS[key] for key in document} == {key: type(document[key]) for key in document}
    assert f"{document['Label']}.plist" == OLLAMA.name
    assert ("serve", "you") == (document["ProgramArguments"][1], document["UserName"])
    assert (True, True) == (document["RunAtLoad"], document["KeepAlive"])
    variables = document["EnvironmentVariables"]
    assert {"HOME": "/Users/you", "OLLAMA_FLASH_ATTENTION": "1"} == variables


def test_the_page_makes_it_somebodys_own(tmp_path):
    """docs/service.md shows the file, and its `sed` leaves nothing of the user `you`."""
    page = (ROOT / "docs/service.md").read_text()
    (command,) = re.findall(r"^(sed .*?) \\\n.*\| sudo tee", page, re.MULTILINE)
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "ollama").touch(mode=0o755)
    done = subprocess.run(
        ["bash", "-c", f"{command} {OLLAMA}"],
        capture_output=True, text=True, check=True,
        env={"PATH": f"{programs}:/usr/bin:/bin", "HOME": "/Users/ada", "USER": "ada"},
    )  # fmt: skip

    assert f"```xml\n{OLLAMA.read_text()}```" in page
    assert str(programs / "ollama") in done.stdout
    assert "ada" == plistlib.loads(done.stdout.encode())["UserName"]
    assert not re.search(r"\byou\b|homebrew", done.stdout)


def test_no_secret_is_in_them():
    """Keys and tokens are never written into a definition, which any user can read."""
    for path in (*examples(), OLLAMA):
        assert not re.search(r"sk-|ccp_|API_KEY|TOKEN", path.read_text())
