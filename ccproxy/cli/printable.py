"""Text of others on a terminal."""

from __future__ import annotations


def printable(text: str) -> str:
    """Return one line of text without characters that order a terminal about or that nobody sees.

    What Ollama says of itself, and the names of models, may hold anything.
    """
    return "".join(each if each.isprintable() else "\ufffd" for each in text)
