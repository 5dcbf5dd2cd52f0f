"""The signature that marks thinking as written by a local model.

Claude verifies the signatures of thinking blocks; ours is a constant that no Claude model issues,
so that the Claude side can find these blocks in a history and leave them out (conformance 226,
262).
"""

from __future__ import annotations

from typing import Final

LOCAL_SIGNATURE: Final = "ccproxy-local-thinking-v1"
"""Plain ASCII without escapes, so that it can be found in a body by its bytes."""
