"""What the `ollama` package raises where an answer is none of Ollama's.

It believes what it is sent: a line that is no JSON, no object, or has a number where a text belongs
ends in whatever Python says to that, also in the making of its own `ResponseError`.
"""

from __future__ import annotations

from typing import Final

import httpx

ODD_ANSWER: Final = (ValueError, TypeError, AttributeError, httpx.DecodingError)
"""`ValueError` is JSON's and pydantic's too. Catch them around the package's calls alone."""
IS_ODD: Final = "its answer is not Ollama's; is api_base right, and no other server in front?"
