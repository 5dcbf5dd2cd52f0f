"""What a running proxy says of itself, read into figures: pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

FAILED: Final = frozenset({"failed", "broken"})
_OUTPUT: Final = "output"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One look."""

    at_s: float
    """By a clock that only grows."""
    health: Mapping[str, Any]
    """`/health`."""
    samples: Sequence[tuple[str, Mapping[str, str], float]]
    """`/metrics`: name, labels and value."""

    def total(self, name: str, wanted: Callable[[Mapping[str, str]], bool]) -> float:
        """Return the sum of a metric's samples."""
        return sum(value for each, labels, value in self.samples if each == name and wanted(labels))


@dataclass(frozen=True, slots=True)
class Flow:
    """What went through a deployment, or all of them; rates are None after one look."""

    requests: int
    """Since the proxy's start."""
    failed: int
    cost_usd: float
    requests_per_min: float | None = None
    output_tokens_per_s: float | None = None
    ttft_s: float | None = None
    """Mean of the time that was looked at; None also where nothing was answered in it."""


@dataclass(frozen=True, slots=True)
class DeploymentFigures:
    """One deployment."""

    name: str
    side: str
    busy: int
    waiting: int
    state: str
    """Empty where it is well, else why it is not tried."""
    flow: Flow


@dataclass(frozen=True, slots=True)
class BackendFigures:
    """One backend."""

    address: str
    state: str
    why: str
    resident: tuple[str, ...]
    """Models in its memory."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Everything of one frame."""

    ready: bool
    profile: str
    ledger: str
    total: Flow
    deployments: Sequence[DeploymentFigures] = field(default=())
    backends: Sequence[BackendFigures] = field(default=())


def figures_of(snapshots: Sequence[Snapshot]) -> Figures:
    """Return the figures of the newest look; rates are those since the oldest. Not of none."""
    newest = snapshots[-1]
    health = newest.health
    return Figures(
        ready=bool(health.get("ready")),
        profile=str(health.get("profile", "")),
        ledger=str(health.get("ledger", {}).get("state", "")),
        total=_flow(snapshots, lambda _labels: True),
        deployments=[
            DeploymentFigures(
                each["deployment"],
                each["side"],
                each["busy"],
                each["waiting"],
                each["unavailable"] or "",
                _flow(snapshots, _of_deployment(each["deployment"])),
            )
            for each in health.get("deployments", ())
        ],
        backends=[_backend(each) for each in health.get("backends", ())],
    )


def _of_deployment(name: str) -> Callable[[Mapping[str, str]], bool]:
    return lambda labels: labels.get("deployment") == name


def _flow(snapshots: Sequence[Snapshot], wanted: Callable[[Mapping[str, str]], bool]) -> Flow:
    newest, oldest = snapshots[-1], snapshots[0]

    def messages(labels: Mapping[str, str]) -> bool:
        return wanted(labels) and labels.get("endpoint") == "messages"

    def failed(labels: Mapping[str, str]) -> bool:
        return messages(labels) and (labels.get("ending") in FAILED or _is_error_relayed(labels))

    def output(labels: Mapping[str, str]) -> bool:
        return wanted(labels) and labels.get("kind") == _OUTPUT

    requests = newest.total("ccproxy_requests_total", messages)
    flow = Flow(
        round(requests),
        round(newest.total("ccproxy_requests_total", failed)),
        newest.total("ccproxy_cost_usd_total", wanted),
    )
    seconds = newest.at_s - oldest.at_s
    before = oldest.total("ccproxy_requests_total", messages)
    if seconds <= 0 or requests < before:  # one look, or a proxy that was started anew
        return flow

    def more(name: str, of: Callable[[Mapping[str, str]], bool]) -> float:
        return newest.total(name, of) - oldest.total(name, of)

    answers = more("ccproxy_ttft_seconds_count", wanted)
    return Flow(
        flow.requests,
        flow.failed,
        flow.cost_usd,
        60 * (requests - before) / seconds,
        more("ccproxy_tokens_total", output) / seconds,
        more("ccproxy_ttft_seconds_sum", wanted) / answers if answers > 0 else None,
    )


def _is_error_relayed(labels: Mapping[str, str]) -> bool:
    """Return whether requests got an upstream's error, as `ccproxy usage` counts them too."""
    return labels.get("ending") == "completed" and labels.get("status", "") >= "400"


def _backend(row: Mapping[str, Any]) -> BackendFigures:
    models = row.get("models") or ()
    return BackendFigures(
        row.get("api_base") or row.get("address") or "",
        str(row.get("state", "")),
        str(row.get("why") or ""),
        tuple(str(each.get("model", "")) for each in models if each.get("loaded")),
    )
