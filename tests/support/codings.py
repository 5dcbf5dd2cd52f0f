"""Content codings that the standard library of an older Python does not have."""

from __future__ import annotations

import importlib


def zstd(data: bytes) -> bytes:
    """Return data as `content-encoding: zstd` has it."""
    try:
        module = importlib.import_module("compression.zstd")
    except ModuleNotFoundError:
        module = importlib.import_module("backports.zstd")
    encoded: bytes = module.compress(data)
    return encoded
