"""One tiny request to a model of Ollama's, to see it answer. It loads the model."""

from __future__ import annotations

from time import monotonic
from typing import Final

import httpx
import ollama

from ccproxy.upstreams.ollama_odd import IS_ODD, ODD_ANSWER

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
    client = ollama.AsyncClient(
        host=api_base, timeout=ASK_FOR_S, trust_env=False, follow_redirects=False
    )
    http: httpx.AsyncClient = client._client  # noqa: SLF001 - see upstreams.ollama
    # The package takes OLLAMA_API_KEY from the environment; that is for ollama.com.
    http.headers.pop("authorization", None)
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
    except ODD_ANSWER as error:
        raise AskFailed(f"{model}: {IS_ODD}") from error
    except (httpx.HTTPError, ConnectionError) as error:
        raise AskFailed(f"{model}: {type(error).__name__}") from error
    finally:
        await http.aclose()
    return monotonic() - begun
