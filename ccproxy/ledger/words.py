"""What reports are asked by; light, so that commands can offer it before a database is opened."""

from __future__ import annotations

from enum import StrEnum


class By(StrEnum):
    """What usage is told apart by."""

    AGENT = "agent"
    CATEGORY = "category"
    MODEL = "model"
    """The upstream's."""
    REQUESTED_MODEL = "requested_model"
    DEPLOYMENT = "deployment"
    ROUTE = "route"
    TIER = "tier"
    PRINCIPAL = "principal"
    PROJECT = "project"
    REQUEST_CLASS = "request_class"
    DAY = "day"
