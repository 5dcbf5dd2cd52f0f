"""The dashboard's files: all are shipped, and what is not ours is as its makers published it."""

import hashlib
import re
from zipfile import ZipFile

from hatchling.builders.wheel import WheelBuilder

from ccproxy.api.dashboard import FOLDER, MEDIA_TYPES
from tests.support.tools import ROOT


def test_the_wheel_has_the_page(tmp_path):
    """Whoever installs the package gets the page, the charts' library and its licence."""
    (wheel,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    packed = {name.removeprefix("ccproxy/dashboard/") for name in ZipFile(wheel).namelist()}

    shipped = {file.relative_to(FOLDER).as_posix() for file in FOLDER.rglob("*") if file.is_file()}
    assert "vendor/uplot/LICENSE" in shipped
    assert set() == shipped - packed
    assert {file.suffix for file in FOLDER.glob("*.*")} <= set(MEDIA_TYPES)


def test_the_library_is_as_published():
    """Vendored files are those whose sums stand beside them."""
    vendor = FOLDER / "vendor"
    sums = re.findall(r"`(uplot/\S+)` \| `(\w{64})`", (vendor / "README.md").read_text())

    assert {file.relative_to(vendor).as_posix() for file in (vendor / "uplot").iterdir()} == {
        name for name, _ in sums
    }
    for name, known in sums:
        assert known == hashlib.sha256((vendor / name).read_bytes()).hexdigest(), name
