"""Whether there are traces, found out before anything of OpenTelemetry is imported."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ccproxy.outcome import Outcome

_log = logging.getLogger(__name__)


class Tracing(Protocol):
    """Implements `ports.OutcomeSink` as traces."""

    def record(self, outcome: Outcome) -> None:
        """Make the spans of a finished request."""
        ...

    def close(self) -> None:
        """Export what waits; blocks for at most two seconds."""
        ...


def tracing_from(environ: Mapping[str, str], providers: Mapping[str, str]) -> Tracing | None:
    """Return what makes traces, or None where nobody asked for any.

    `OTEL_TRACES_EXPORTER` must say `otlp`. OpenTelemetry's own default is to export wherever its
    SDK is installed; here nothing leaves unless somebody says so. What is asked for and cannot be
    done is an error in the log, and requests are served without.

    Args:
        environ: The environment.
        providers: As for `traces.Traces`.
    """
    wanted = environ.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    if wanted in ("", "none") or environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    if wanted != "otlp":
        _log.error("OTEL_TRACES_EXPORTER=%s: only otlp is known here; there are no traces", wanted)
        return None
    try:
        from ccproxy.observability.traces import traces_at_collector  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        _log.error(
            "OTEL_TRACES_EXPORTER=otlp, but %s is not installed, so there are no traces; "
            "install it with: pip install 'ccproxy[otel]'",
            error.name,
        )
        return None
    return traces_at_collector(providers)
