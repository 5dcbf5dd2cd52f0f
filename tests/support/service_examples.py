"""The examples in `launchd/` and `config/systemd/`, by the code that installs services.

`python -m tests.support.service_examples` writes them anew.
"""

from __future__ import annotations

from pathlib import Path

from ccproxy.service.property_list import property_list
from ccproxy.service.spec import DEFAULT_LABEL, ServiceSpec
from ccproxy.service.unit_file import unit_file

ROOT = Path(__file__).resolve().parents[2]


def examples() -> dict[Path, bytes]:
    """Return each example by its place: for a checkout and settings in the home folder of `you`."""
    mac, linux = Path("/Users/you"), Path("/home/you")
    return {
        ROOT / "launchd" / f"{DEFAULT_LABEL}.plist": property_list(_spec(mac, daemon=False)),
        ROOT / "launchd" / "daemon" / f"{DEFAULT_LABEL}.plist": property_list(
            _spec(mac, daemon=True)
        ),
        ROOT / "config" / "systemd" / "user" / "ccproxy.service": unit_file(
            _spec(linux, daemon=False)
        ),
        ROOT / "config" / "systemd" / "system" / "ccproxy.service": unit_file(
            _spec(linux, daemon=True)
        ),
    }


def _spec(home: Path, *, daemon: bool) -> ServiceSpec:
    python, config = home / "ccproxy/.venv/bin/python", home / ".ccproxy/ccproxy.yaml"
    return ServiceSpec(
        label=DEFAULT_LABEL,
        command=(str(python), "-P", "-m", "ccproxy", "serve", "--config", str(config)),
        folder=config.parent,
        log=home / "Library" / "Logs" / f"{DEFAULT_LABEL}.log",
        user="you" if daemon else None,
        environment={"HOME": str(home)} if daemon else {},
    )


if __name__ == "__main__":
    for path, data in examples().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
