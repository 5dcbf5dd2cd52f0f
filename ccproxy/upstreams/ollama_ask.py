"""One tiny request to a model of Ollama's, to see it answer. It loads the model."""

from __future__ import annotations

from time import monotonic
from typing import Final

import httpx
import ollama

ASK_FOR_S: Final = 600.0
"""Loading a large model from a slow disk takes minutes."""
_TOKENS: Final = 8


class AskFailed(Exception):
    """The model did not answer; the message says why."""


async def ask_once(api_base: str, model: str, num_ctx: int, keep_alive: str | int | None) -> float:
    """Let a model say a few tokens with its pinned context; returns how long that took, in seconds.

    Raises:
        AskFailed: It did not.
    """
    client = ollama.AsyncClient(host=api_base, timeout=ASK_FOR_S, trust_env=False)
    begun = monotonic()
    try:
        await client.chat(
            model,
            messages=[{"role": "user", "content": "Say OK."}],
            options={"num_ctx": num_ctx, "num_predict": _TOKENS},
            keep_alive=keep_alive,
        )
    except ollama.ResponseError as error:
        raise AskFailed(f"{model}: {error.error}") from error
    except (httpx.HTTPError, ConnectionError) as error:
        raise AskFailed(f"{model}: {type(error).__name__}") from error
    finally:
        await client._client.aclose()  # noqa: SLF001 - see upstreams.ollama
    return monotonic() - begun
