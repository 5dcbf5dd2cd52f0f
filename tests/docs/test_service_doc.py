"""docs/service.md says what the code does."""

import plistlib

import pytest

from ccproxy.cli.service import app
from ccproxy.serve import GRACE_S
from ccproxy.service import lifecycle, spec
from ccproxy.service.asking import Patience
from tests.support.service_examples import examples
from tests.support.tools import ROOT

PAGE = (ROOT / "docs/service.md").read_text()
ADR = (ROOT / "docs/adr/0017-services-by-bootout-and-bootstrap.md").read_text()


@pytest.mark.parametrize(
    "claim",
    [
        f"waits up to {Patience().start_s:.0f} s (`--wait`)",
        f"at most every {spec.THROTTLE_S} s",
        f"{spec.EXIT_TIMEOUT_S} s from SIGTERM to SIGKILL; running streams get {GRACE_S} of them",
        f"{spec.OPEN_FILES} open files",
        f"`Umask` {spec.UMASK}, which is 077",
        f"the last {lifecycle.LAST_WORDS} lines",
        f"Library/Logs/{spec.DEFAULT_LABEL}.log",
    ],
)
def test_the_numbers_and_names_of_the_page(claim):
    """What the page promises is what the constants are."""
    assert claim in PAGE


def test_the_decision_names_the_time_that_is_waited():
    """The record's time for a label to become free is the code's."""
    assert f"tried again for {Patience().settle_s:.0f} s" in ADR


def test_every_command_and_key_is_on_the_page():
    """No command of `ccproxy service` and no key of a property list goes unexplained."""
    commands = {each.callback.__name__ for each in app.registered_commands}
    agent = next(data for path, data in examples().items() if path.parent.name == "launchd")
    told = {"Label", "ProgramArguments", "WorkingDirectory", "StandardOutPath", "StandardErrorPath"}

    assert set() == {each for each in commands if f"`{each}`" not in PAGE}
    assert set() == {key for key in plistlib.loads(agent) if f"`{key}`" not in PAGE} - told
