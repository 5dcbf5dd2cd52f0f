"""docs/reverse-proxy.md and the sample it speaks of; tests/integration/test_reverse_proxy.py runs nginx."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]


def test_the_traefik_sample_hangs_together():
    """Every name that the sample uses is defined in it, and nothing in it holds an answer up."""
    sample = yaml.safe_load((ROOT / "config/traefik/ccproxy.yml").read_text())
    http, tls = sample["http"], sample["tls"]
    router, service = http["routers"]["ccproxy"], http["services"]["ccproxy"]["loadBalancer"]

    assert {"http", "tls"} == set(sample)
    assert {"routers", "middlewares", "services", "serversTransports"} == set(http)
    assert {"rule", "entryPoints", "service", "middlewares", "tls"} == set(router)
    assert router["service"] in http["services"]
    assert set(router["middlewares"]) <= set(http["middlewares"])
    assert router["tls"]["options"] in tls["options"]
    assert service["serversTransport"] in http["serversTransports"]
    assert [{"url": "http://127.0.0.1:8081"}] == service["servers"]
    assert "/health/live" == service["healthCheck"]["path"]
    assert re.fullmatch(r"Host\(`[\w.]+`\)", router["rule"])
    kinds = {kind for middleware in http["middlewares"].values() for kind in middleware}
    assert not kinds & {"buffering", "compress", "retry", "inFlightReq"}
    timeouts = http["serversTransports"]["ccproxy"]["forwardingTimeouts"]
    assert {"dialTimeout", "responseHeaderTimeout", "idleConnTimeout"} == set(timeouts)
    assert seconds(timeouts["idleConnTimeout"]) < 75 < seconds(timeouts["responseHeaderTimeout"])
    static = re.search(r"```yaml\n(entryPoints.*?)```", page(), re.DOTALL)[1]
    assert set(router["entryPoints"]) <= set(yaml.safe_load(static)["entryPoints"])


def test_caddy_lets_go_of_requests_whose_client_has_left():
    """With `flush_interval -1` it would go on with them (caddyserver/caddy#4952)."""
    (caddy,) = re.findall(r"```\n(ccproxy\.example\.com \{.*?)```", page(), re.DOTALL)

    assert "reverse_proxy 127.0.0.1:8081" in caddy
    assert "flush_interval" not in caddy


def page():
    return (ROOT / "docs/reverse-proxy.md").read_text()


def seconds(duration):
    return float(re.fullmatch(r"([\d.]+)s", duration)[1])
