"""The proxy itself as a service, and the machine's own services, through the stand-ins."""

import http.client
import json
import os
import plistlib
from contextlib import closing

import pytest

from ccproxy.service.asking import Patience
from ccproxy.service.launchd import Launchd
from ccproxy.service.lifecycle import Service, install, stop, uninstall
from ccproxy.service.probe import ProxyProbe
from ccproxy.service.spec import ServiceSpec
from ccproxy.service.systemd import Systemd
from tests.support.services import LABEL, machine


@pytest.fixture
def mac(tmp_path, monkeypatch, capfd):
    with machine(tmp_path, monkeypatch, capfd, "launchctl") as found:
        yield found


def told(port):
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
        connection.request("GET", "/health/live")
        return json.loads(connection.getresponse().read())


def test_the_proxy_lives_as_a_service(mac, monkeypatch):
    """Installed, it answers; restarted, it is another process that answers; uninstalled, none."""
    config = mac.config.read_text()
    cloud = config.index("  - model_name: cloud")
    # Without a translated deployment LiteLLM is not imported, which takes seconds.
    mac.config.write_text(config[: config.index("  - model_name: coder")] + config[cloud:])
    (mac.folder / "routing.yaml").write_text(
        "version: 1\nactive_profile: a\nprofiles: {a: {default: {route: [cloud]}}}\n"
    )
    monkeypatch.setenv("STANDIN_PROGRAM", "real")

    done = mac("install", "--env", "STANDIN_PROGRAM")

    assert 0 == done.code, done.err
    assert {"status": "live"} == told(mac.port)
    first = mac.service()["pid"]
    assert 0 == mac("restart").code
    assert {"status": "live"} == told(mac.port)
    assert first != mac.service()["pid"]
    assert "listening" in mac("logs").out
    log = mac.folder / "Library" / "Logs" / f"{LABEL}.log"
    assert 0o600 == log.stat().st_mode & 0o777
    assert 0 == mac("uninstall").code
    with pytest.raises(ConnectionRefusedError):
        told(mac.port)
    assert (None, 0) == (mac.service(), mac("uninstall").code)


@pytest.mark.parametrize("tool", ["launchctl", "systemctl"])
def test_a_service_of_the_machine(tmp_path, monkeypatch, capfd, tool):
    """A daemon runs as its user, from a file with the owner it must have, in the system's domain."""
    with machine(tmp_path, monkeypatch, capfd, tool) as box:
        manager = (
            Launchd("LaunchDaemon", LABEL, "system", tmp_path / "daemons" / f"{LABEL}.plist")
            if tool == "launchctl"
            else Systemd("x.service", box.state / "system" / "x.service", is_system=True)
        )
        steps = []
        proxy = ProxyProbe("0.0.0.0", box.port)
        owner = (os.stat(tmp_path).st_uid, os.stat(tmp_path).st_gid)  # noqa: PTH116
        service = Service(manager, proxy, steps.append, Patience(5), owner)
        command = ("/usr/bin/true", "--config", str(box.config))
        spec = ServiceSpec(LABEL, command, box.folder, tmp_path / "x.log", "ops", {"HOME": "/x"})

        assert "installed" == install(service, spec)
        assert ("ops", command) == (manager.user(), tuple(manager.command()))
        assert (True, f"http://127.0.0.1:{box.port}") == (proxy.is_ready(), proxy.url)
        assert "/x" == (box.service() or box.service("x.service"))["environment"]["HOME"]
        if tool == "launchctl":
            assert {"system", f"system/{LABEL}"} == {call[2] for call in box.calls}
            assert "ops" == plistlib.loads(manager.definition.read_bytes())["UserName"]
        else:
            assert not any("--user" in call for call in box.calls)
        assert "stopped" == stop(manager, Patience(), steps.append)
        assert "removed" == uninstall(manager, Patience(), steps.append)
        assert not manager.definition.exists()
