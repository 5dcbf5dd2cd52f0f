"""The `alerts:` block of `ccproxy.yaml`."""

from textwrap import indent

import pytest

from ccproxy.config.alerts_block import EmailSettings, WebhookSettings
from ccproxy.config.problems import ConfigError
from ccproxy.config.settings import load_settings
from routing.alerts import AlertKind
from tests.support.tools import ROOT

LOCAL = "model_list: [{model_name: q, litellm_params: {model: ollama_chat/qwen}}]\n"
MAIL = "email: {host: m.example.com, sender: a@x.org, to: [b@x.org]%s}"


@pytest.fixture
def load(tmp_path):
    def load(block, environ=None):
        path = tmp_path / "ccproxy.yaml"
        path.write_text(f"{LOCAL}alerts:\n{indent(block, '  ')}\n")
        return load_settings(path, environ or {})

    return load


def test_a_full_block(load):
    """Every key arrives; secrets come from the environment and show in no repr."""
    settings = load(
        """\
webhooks:
  - {url: os.environ/HOOK, format: slack, name: ops, timeout_s: 3}
  - {url: "https://x.example.com/s3cret"}
email: {host: m.example.com, port: 465, tls: tls, sender: a@x.org, to: [b@x.org, c@x.org],
  username: me, password: os.environ/PASS, timeout_s: 9}
kinds: [budget, disk_low]
repeat_after_s: 60
fallback_rate_above: 0.5
fallback_window_s: 120
fallback_least_requests: 7
disk_free_gib: 0.5
""",
        {"HOOK": "https://hooks.slack.com/services/s3cret", "PASS": "pa55"},
    )
    alerts = settings.alerts

    assert alerts.webhooks == (
        WebhookSettings("ops", "https://hooks.slack.com/services/s3cret", "slack", 3),
        WebhookSettings("webhook-2", "https://x.example.com/s3cret", "json", 10),
    )
    assert alerts.email == EmailSettings(
        "m.example.com", 465, "tls", "a@x.org", ("b@x.org", "c@x.org"), "me", "pa55", 9
    )
    assert alerts.kinds == {AlertKind.BUDGET, AlertKind.DISK_LOW}
    assert (alerts.repeat_after_s, alerts.disk_free_bytes) == (60, 2**29)
    assert (alerts.fallback_rate_above, alerts.fallback_window_s) == (0.5, 120)
    assert alerts.fallback_least_requests == 7
    assert "s3cret" not in repr(settings)
    assert "pa55" not in repr(settings)


@pytest.mark.parametrize(
    ("block", "problem"),
    [
        ("webhook: []", "3:3: alerts.webhook: unknown key. Did you mean 'webhooks'?"),
        ("webhooks:\n- {uri: x}", "4:5: alerts.webhooks[0].url: is required"),
        ("webhooks:\n- {url: ftp://x/s3cret}", "4:6: alerts.webhooks[0].url: must be an address"),
        ("webhooks:\n- {url: 'https://x:99999/s3cret'}", "alerts.webhooks[0].url: must be an"),
        (
            "webhooks:\n- {url: http://x, name: a}\n- {url: http://y, name: a}",
            "5:21: alerts.webhooks[1].name: 'a' is another channel's name already",
        ),
        ("webhooks:\n- {url: http://x, format: teams}", "alerts.webhooks[0].format: Input should"),
        ("kinds: [all]", "alerts.kinds[0]: Input should be 'budget', 'backend_down'"),
        ("fallback_rate_above: 20", "alerts.fallback_rate_above: Input should be less than"),
        (MAIL % ", tls: ssl", "alerts.email.tls: Input should be 'starttls', 'tls' or 'none'"),
        (MAIL % ", password: pa55", "alerts.email.password: must be os.environ/NAME"),
        (MAIL % ", password: os.environ/PASS", "alerts.email.password: needs username beside it"),
        (MAIL % ", username: me", "alerts.email.username: needs password beside it"),
        (
            MAIL % ", username: me, password: os.environ/PASS, tls: none",
            "alerts.email.tls: the password would go over the network in the clear",
        ),
        ("email: {host: m, sender: 'a b@x', to: []}", "alerts.email.sender: must be a mail"),
        ("email: {host: m, sender: a@x, to: []}", "alerts.email.to: must not be empty"),
    ],
)
def test_mistakes(load, block, problem):
    """Each is told with its place and what to do; never with a secret."""
    with pytest.raises(ConfigError) as caught:
        load(block, {"PASS": "pa55"})

    told = "\n".join(str(each) for each in caught.value.problems)
    assert problem in told
    assert "s3cret" not in told
    assert "pa55" not in told


def test_a_variable_that_is_not_set(load):
    """It is a warning with its place, and the channel is left out; the others work."""
    login = ", username: me, password: os.environ/PASS"
    settings = load(
        f"webhooks: [{{url: os.environ/HOOK}}, {{url: http://127.0.0.1}}]\n{MAIL % login}"
    )

    assert [each.name for each in settings.alerts.webhooks] == ["webhook-2"]
    assert settings.alerts.email is None
    assert settings.alerts.unavailable == (
        ("webhook-1", "environment variable HOOK is not set"),
        ("email", "environment variable PASS is not set"),
    )
    assert [each.key for each in settings.warnings] == [
        "alerts.webhooks[0].url",
        "alerts.email.password",
    ]


def commented_example():
    lines = (ROOT / "config/ccproxy.yaml").read_text().splitlines()
    start = lines.index("# alerts:")
    return "\n".join(line.removeprefix("# ") for line in lines[start:] if line.startswith("#"))


def documented_example():
    return (ROOT / "docs/alerts.md").read_text().partition("```yaml\n")[2].partition("```")[0]


@pytest.mark.parametrize("example", [commented_example, documented_example])
def test_the_examples_work(tmp_path, example):
    """What the shipped file and the docs show can be used as it stands, all kinds included."""
    path = tmp_path / "ccproxy.yaml"
    path.write_text(LOCAL + example())
    settings = load_settings(path, {"SLACK_WEBHOOK": "https://x.example.com", "SMTP_PASSWORD": "p"})

    assert settings.alerts.webhooks[0].format == "slack"
    assert settings.alerts.email is not None
    assert settings.alerts.unavailable == ()
    assert settings.alerts.kinds >= set(AlertKind) - {AlertKind.TEST}


def test_without_the_block(load):
    """Nobody is told."""
    alerts = load("{}").alerts
    assert (alerts.webhooks, alerts.email, alerts.unavailable) == ((), None, ())
