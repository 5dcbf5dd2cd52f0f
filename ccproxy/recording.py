"""What is kept of requests, wired to where it is kept: metrics, audit log, decisions, ledger."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ccproxy.budgeting import ledger_opens_after_s
from ccproxy.config.locate import SQLITE_URL
from ccproxy.ledger.opening import ledger_at
from ccproxy.observability.audit_log import FILE_NAME as AUDIT_FILE
from ccproxy.observability.audit_log import audit_log
from ccproxy.observability.decision_log import FILE_NAME as DECISIONS_FILE
from ccproxy.observability.decision_log import decision_log
from ccproxy.observability.host_metrics import DiskSpace
from ccproxy.observability.ledger_metrics import LedgerState
from ccproxy.observability.line_metrics import WrittenLines
from ccproxy.observability.metrics import Metrics

if TYPE_CHECKING:
    from ccproxy.config.settings import Settings
    from ccproxy.ledger.ledger import Ledger
    from ccproxy.observability.audit_log import AuditLog
    from ccproxy.observability.decision_log import DecisionLog

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Records:
    """Everything that is kept; logs and ledger write in threads of their own."""

    metrics: Metrics
    audit: AuditLog
    decisions: DecisionLog
    ledger: Ledger


def build_records(settings: Settings) -> Records:
    """Wire the records of a config file, and the metrics about them; nothing is opened."""
    metrics = Metrics([each.name for each in settings.deployments])
    state_folder = settings.tokens_file.parent
    audit = audit_log(state_folder / AUDIT_FILE)
    metrics.registry.register(
        WrittenLines(
            "ccproxy_audit_lines", "Lines of the audit log, by what became of them.", audit
        )
    )
    ledger = ledger_at(
        settings.ledger_url,
        _log.warning,
        open_after_s=ledger_opens_after_s(settings.budgets),
        keep_days=settings.ledger_keep_days,
    )
    metrics.registry.register(LedgerState(ledger))
    metrics.registry.register(DiskSpace(_disk_folders(settings)))
    decisions = decision_log(state_folder / DECISIONS_FILE, _log.warning)
    return Records(metrics, audit, decisions, ledger)


def _disk_folders(settings: Settings) -> dict[str, Path]:
    """Return the folders whose disk must not be full, by what they are called in metrics."""
    folders = {"state": settings.tokens_file.parent}
    if (sqlite := SQLITE_URL.fullmatch(settings.ledger_url)) is not None:
        folders["ledger"] = Path(sqlite[2]).parent
    return folders
