"""What a person sees while a command takes its time."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from threading import Event, Thread
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

AFTER_S: Final = 0.5
"""What is quicker needs no word, and importing Rich would make it slower."""


@contextmanager
def working(what: str) -> Iterator[None]:
    """Show on stderr, if that is a terminal, that something goes on while the block runs.

    Args:
        what: In the present tense, e.g. "asking Ollama".
    """
    if not sys.stderr.isatty():
        yield
        return
    done = Event()
    shown = Thread(target=_show, args=(what, done), name="working", daemon=True)
    shown.start()
    try:
        yield
    finally:
        done.set()
        shown.join()


def _show(what: str, done: Event) -> None:
    if done.wait(AFTER_S):
        return
    from rich.console import Console  # noqa: PLC0415 - see AFTER_S

    with Console(stderr=True).status(f"{what} …"):
        done.wait()
