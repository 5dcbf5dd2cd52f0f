"""The alerts of a config file, wired to the ways to people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ccproxy.alerts.alarms import Alarms, Watched
from ccproxy.alerts.mail import Email, MailServer, Tls
from ccproxy.alerts.outbox import Outbox
from ccproxy.alerts.webhook import Webhook, WebhookFormat
from ccproxy.config.alerts_block import EMAIL_NAME
from ccproxy.config.locate import ledger_file
from routing.alerts import AlertRules
from routing.fallback_rate import FallbackRules

if TYPE_CHECKING:
    from collections.abc import Callable

    from ccproxy.alerts.channel import Channel
    from ccproxy.config.alerts_block import AlertSettings
    from ccproxy.config.settings import Settings


def alert_channels(alerts: AlertSettings) -> list[Channel]:
    """Return every channel that can be used."""
    channels: list[Channel] = [
        Webhook(each.name, each.url, WebhookFormat(each.format), each.timeout_s)
        for each in alerts.webhooks
    ]
    if (mail := alerts.email) is not None:
        server = MailServer(mail.host, mail.port, Tls(mail.tls), mail.username, mail.password)
        channels.append(Email(EMAIL_NAME, server, mail.sender, mail.to, mail.timeout_s))
    return channels


def build_alarms(settings: Settings, count: Callable[[str, str, str], object]) -> Alarms:
    """Return who hears of trouble; `count` is called as `Outbox` says."""
    alerts = settings.alerts
    database = ledger_file(settings.ledger_url)
    folders = [settings.tokens_file.parent, *([database.parent] if database else [])]
    return Alarms(
        [Outbox(channel, count=count) for channel in alert_channels(alerts)],
        Watched(
            kinds=alerts.kinds,
            fallback=FallbackRules(
                alerts.fallback_rate_above,
                alerts.fallback_window_s,
                alerts.fallback_least_requests,
            ),
            folders=tuple(dict.fromkeys(folders)),
            least_free_bytes=alerts.disk_free_bytes,
            rules=AlertRules(repeat_s=alerts.repeat_after_s),
        ),
    )
