"""A deployments' health that admits as it is told, and notes what it hears."""

from __future__ import annotations

from typing import TYPE_CHECKING

from routing.breaker import Lease

if TYPE_CHECKING:
    from collections.abc import Collection

    from routing.failures import FailureClass


class NotedHealth:
    """Implements `ports.DeploymentHealth`."""

    def __init__(self, *, left_alone: Collection[str] = (), on_trial: Collection[str] = ()) -> None:
        """Admit everything but `left_alone`; those `on_trial` as trials."""
        self.left_alone = left_alone
        self.on_trial = on_trial
        self.heard: list[tuple[str, FailureClass | str | None]] = []
        """Deployment, and how its attempt ended: None is an answer, or `withdrawn`."""
        self.waits_s: list[float | None] = []
        """What upstreams asked for, of each report."""
        self.running = 0
        """Leases that were given and not reported yet."""

    def admit(self, deployment: str) -> Lease | None:
        """See `ports.DeploymentHealth`."""
        if deployment in self.left_alone:
            return None
        self.running += 1
        return Lease(0, 1 if deployment in self.on_trial else None)

    def report(
        self,
        deployment: str,
        lease: Lease,
        failure: FailureClass | None,
        *,
        why: str = "",
        wait_s: float | None = None,
    ) -> None:
        """See `ports.DeploymentHealth`."""
        del lease, why
        self.running -= 1
        self.heard.append((deployment, failure))
        self.waits_s.append(wait_s)

    def withdraw(self, deployment: str, lease: Lease) -> None:
        """See `ports.DeploymentHealth`."""
        del lease
        self.running -= 1
        self.heard.append((deployment, "withdrawn"))
