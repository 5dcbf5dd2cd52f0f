"""Stop sequences, found in text that arrives in pieces.

Rules:
1. The sequence that is *complete* first wins, as if generation had stopped at that character; of
   several that are complete at the same character, the longest (which began first).
2. Nothing of the matched sequence or after it comes out.
3. Text is held back only while it could still be the beginning of a stop sequence.
4. The result does not depend on where the text was cut into pieces.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class StopMatcher:
    """Finds the first stop sequence of a text; one per answer."""

    def __init__(self, stop_sequences: Iterable[str]) -> None:
        """Empty sequences are ignored: they would match everywhere."""
        self._sequences = tuple(dict.fromkeys(filter(None, stop_sequences)))
        self._held = ""

    def feed(self, text: str) -> tuple[str, str | None]:
        """Return the text that is safe to emit now, and the sequence that matched.

        After a match the matcher has done its work and must not be fed again.
        """
        window = self._held + text
        self._held = ""
        matched = self._first_match(window)
        if matched is not None:
            start, sequence = matched
            return window[:start], sequence
        safe = len(window) - self._held_back(window)
        self._held = window[safe:]
        return window[:safe], None

    def flush(self) -> str:
        """Return what was held back: no sequence can become of it any more."""
        held, self._held = self._held, ""
        return held

    def _first_match(self, window: str) -> tuple[int, str] | None:
        best: tuple[int, int, str] | None = None
        for sequence in self._sequences:
            start = window.find(sequence)
            if start >= 0 and (best is None or (start + len(sequence), start) < best[:2]):
                best = (start + len(sequence), start, sequence)
        return None if best is None else best[1:]

    def _held_back(self, window: str) -> int:
        """Return the length of the longest end of the window that begins a sequence."""
        longest = 0
        for sequence in self._sequences:
            start = window.find(sequence[0], max(0, len(window) - len(sequence) + 1))
            while start >= 0 and len(window) - start > longest:
                if sequence.startswith(window[start:]):
                    longest = len(window) - start
                    break
                start = window.find(sequence[0], start + 1)
        return longest
