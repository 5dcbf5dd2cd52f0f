"""Identifiers in Anthropic's shape: a prefix and 24 random letters and digits (about 142 bits)."""

from __future__ import annotations

from base64 import b64encode
from os import urandom
from typing import Final

LOCAL_TOOL_ID: Final = "toolu_local"
"""Start of the ids of tool calls that are minted here; Claude's begin `toolu_01`.

So a history tells who made a call (`wire.tool_loop`).
"""
_BYTES: Final = 18
"""18 bytes are 24 characters of base64."""


def mint_message_id() -> str:
    """Return a fresh `msg_...`."""
    return "msg_" + _random_word()


def mint_tool_id() -> str:
    """Return a fresh `toolu_local...` of the usual length; it matches `^[a-zA-Z0-9_-]+$`."""
    return (LOCAL_TOOL_ID + _random_word())[: len("toolu_") + 24]


def mint_request_id() -> str:
    """Return a fresh `req_...`."""
    return "req_" + _random_word()


def _random_word() -> str:
    # Letters and digits only: an id is then one word for every terminal, editor and log search.
    return b64encode(urandom(_BYTES), b"Az").decode()
