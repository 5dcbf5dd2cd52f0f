"""Where a config file says that the ledger is."""

import subprocess
import sys

import pytest

from ccproxy.config.ledger_place import read_ledger_url
from ccproxy.config.problems import ConfigError
from ccproxy.config.settings import load_settings

REST = """
model_list:
  - {model_name: claude, litellm_params: {model: anthropic/*}}
"""
ENVIRON = {"HOME": "/home/me", "LEDGER": "sqlite:////srv/ledger.db"}


@pytest.fixture
def config(tmp_path):
    def written(ledger):
        path = tmp_path / "ccproxy.yaml"
        path.write_text(ledger + REST)
        return path

    return written


@pytest.mark.parametrize(
    ("ledger", "url"),
    [
        ("", "sqlite:///{folder}/ccproxy.db"),
        ("ledger: {}", "sqlite:///{folder}/ccproxy.db"),
        ("ledger: {url: 'sqlite:///mine.db'}", "sqlite:///{folder}/mine.db"),
        ("ledger: {url: 'sqlite:///~/mine.db'}", "sqlite:////home/me/mine.db"),
        ("ledger: {url: 'postgresql://u:p@db/x'}", "postgresql://u:p@db/x"),
        ("ledger: {url: os.environ/LEDGER}", "sqlite:////srv/ledger.db"),
    ],
)
def test_it_is_where_the_settings_say(ledger, url, config):
    """A command that reads nothing else of the file asks the same database as the proxy."""
    path = config(ledger)

    assert read_ledger_url(path, ENVIRON) == url.format(folder=path.parent)
    assert load_settings(path, ENVIRON).ledger_url == url.format(folder=path.parent)


@pytest.mark.parametrize(
    "ledger", ["ledger: {url: mysql://db}", "ledger: {url: 5}", "ledger: []", "ledger: {url: ''}"]
)
def test_a_mistake_is_told_with_its_place(ledger, config):
    """As the proxy itself would tell it."""
    with pytest.raises(ConfigError) as caught:
        read_ledger_url(config(ledger), ENVIRON)

    assert "ledger" in str(caught.value.problems[0])


def test_the_rest_of_the_file_is_not_looked_at(config):
    """It takes time, and a mistake there is no reason not to answer."""
    path = config("ledger: {url: 'sqlite:////x.db'}\nserver: {port: many}\n")
    code = (
        "import sys; from pathlib import Path; from ccproxy.config.ledger_place import *; "
        f"print(read_ledger_url(Path({str(path)!r}), {{}}), 'pydantic' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert run.stdout == "sqlite:////x.db False\n"
