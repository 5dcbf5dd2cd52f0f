"""What can go wrong with a service, told to the person at the terminal."""

from __future__ import annotations


class ServiceError(Exception):
    """Something was asked for that cannot be done; the text says why and what to do."""


class StartFailed(ServiceError):
    """The service was started and does not serve; the text has its last words."""
