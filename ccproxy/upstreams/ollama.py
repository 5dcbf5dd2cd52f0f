"""Ollama's control plane: what is there, what it can do, what is loaded.

Nothing here generates a token or loads a model: `/api/version`, `/api/tags`, `/api/ps` and
`/api/show` only read. The `ollama` package's `AsyncClient` does the talking, with an explicit
host and without the environment's proxies. What it drops from the answers (`capabilities` and
`remote_host` of a tag, `remote_host` of show) and what it would choke on is why the JSON is read
here and not through its models.

Errors, as a caller sees them:
    OllamaControlError
    ├── OllamaUnreachable    no answer: refused, reset, timed out
    ├── OllamaModelMissing   404: the model is not pulled
    └── OllamaProtocolError  an answer that is not Ollama's

Source: Ollama docs/api.md and api/types.go (`ListModelResponse`, `ShowResponse`,
`ProcessModelResponse`), v0.33.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import httpx
import ollama
import orjson

from ccproxy.ports import ModelFacts

if TYPE_CHECKING:
    from collections.abc import Mapping

_TIMEOUT_S: Final = 10.0
"""For callers that set no limit of their own."""
_ANSWER_BYTES: Final = 8 * 1024 * 1024
"""Far above the longest, `/api/show` with a licence and the list of tensors: about 200 kB."""
_NOT_FOUND: Final = 404
_KV_BYTES_PER_VALUE: Final = 2
"""f16, Ollama's default; OLLAMA_KV_CACHE_TYPE=q8_0 halves it. Source: Ollama docs/faq.md."""
_CLOUD_SUFFIXES: Final = (":cloud", "-cloud")


class OllamaControlError(Exception):
    """A question to Ollama's control plane that got no usable answer; the text says why."""


class OllamaUnreachable(OllamaControlError):
    """Nobody answered: connection refused, reset, or too slow."""


class OllamaModelMissing(OllamaControlError):
    """Ollama does not have the model."""


class OllamaProtocolError(OllamaControlError):
    """Somebody answered, but not like Ollama."""


@dataclass(frozen=True, slots=True)
class OllamaModel:
    """One pulled model, as `/api/tags` lists it."""

    name: str
    digest: str
    capabilities: frozenset[str] | None = None
    """None where this version of Ollama doesn't say."""
    remote: bool = False
    """True for a stub whose inference runs on somebody else's machine."""
    size_bytes: int | None = None
    """Of the weights, on disk."""


@dataclass(frozen=True, slots=True)
class ResidentModel:
    """One loaded model, as `/api/ps` lists it."""

    name: str
    digest: str
    size_bytes: int
    size_vram_bytes: int
    context_tokens: int | None
    """The context it is loaded with; None where this version of Ollama doesn't say."""
    expires_at: str
    """RFC 3339, as Ollama gave it."""


class OllamaControl:
    """Asks one Ollama about itself."""

    def __init__(self, api_base: str) -> None:
        """`api_base` is a URL like `http://127.0.0.1:11434`; a trailing slash is harmless."""
        self.api_base = api_base.rstrip("/")
        self._client = ollama.AsyncClient(
            host=self.api_base, timeout=_TIMEOUT_S, trust_env=False, follow_redirects=False
        )
        self._http: httpx.AsyncClient = self._client._client  # noqa: SLF001 - see the module
        # The package takes OLLAMA_API_KEY from the environment; that is for ollama.com.
        self._http.headers.pop("authorization", None)

    async def version(self) -> str:
        """Return Ollama's version, e.g. `0.33.0`.

        Raises:
            OllamaControlError: No usable answer.
        """
        answer = await self._ask("GET", "/api/version")
        version = answer.get("version")
        if not isinstance(version, str):
            raise self._odd("/api/version", "has no `version`")
        return version

    async def models(self) -> tuple[OllamaModel, ...]:
        """Return everything that is pulled.

        Raises:
            OllamaControlError: No usable answer.
        """
        return tuple(
            OllamaModel(
                name=_text(entry, "name") or _text(entry, "model"),
                digest=_text(entry, "digest"),
                capabilities=_capabilities(entry),
                remote=_is_remote(entry, _text(entry, "name")),
                size_bytes=_count(entry, "size"),
            )
            for entry in await self._entries("/api/tags")
        )

    async def resident(self) -> tuple[ResidentModel, ...]:
        """Return everything that is loaded.

        Raises:
            OllamaControlError: No usable answer.
        """
        return tuple(
            ResidentModel(
                name=_text(entry, "name") or _text(entry, "model"),
                digest=_text(entry, "digest"),
                size_bytes=_count(entry, "size") or 0,
                size_vram_bytes=_count(entry, "size_vram") or 0,
                context_tokens=_count(entry, "context_length"),
                expires_at=_text(entry, "expires_at"),
            )
            for entry in await self._entries("/api/ps")
        )

    async def show(self, model: str) -> ModelFacts:
        """Return what Ollama knows of a model without loading it.

        Raises:
            OllamaModelMissing: It is not pulled.
            OllamaControlError: No usable answer.
        """
        answer = await self._ask("POST", "/api/show", {"model": model})
        capabilities = _capabilities(answer)
        details, info = _object(answer, "details"), _object(answer, "model_info")
        return ModelFacts(
            present=True,
            supports_tools=_supports(capabilities, "tools"),
            supports_vision=_supports(capabilities, "vision"),
            supports_thinking=_supports(capabilities, "thinking"),
            trained_context_tokens=_of_architecture(info, "context_length"),
            remote=_is_remote(answer, model),
            family=_text(details, "family") or None,
            parameter_size=_text(details, "parameter_size") or None,
            quantisation=_text(details, "quantization_level") or None,
            kv_bytes_per_token=_kv_bytes_per_token(info),
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _entries(self, path: str) -> list[Mapping[str, Any]]:
        entries = (await self._ask("GET", path)).get("models")
        if entries is None:  # Go writes an empty list as null in some versions
            return []
        if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
            raise self._odd(path, "has no list of `models`")
        return entries

    async def _ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None
    ) -> Mapping[str, Any]:
        try:
            async with self._http.stream(method, path, json=body) as response:
                content = await self._content(response, path)
        except (httpx.TransportError, OSError) as exc:
            msg = f"Ollama at {self.api_base} does not answer: {type(exc).__name__} on {path}"
            raise OllamaUnreachable(msg) from exc
        if response.status_code == _NOT_FOUND and body is not None:
            msg = f"Ollama at {self.api_base} has no model {body.get('model')!r}"
            raise OllamaModelMissing(msg)
        if not response.is_success:
            raise self._odd(path, f"answered status {response.status_code}")
        try:
            answer = orjson.loads(content)
        except ValueError as exc:
            raise self._odd(path, "is not JSON") from exc
        if not isinstance(answer, dict):
            raise self._odd(path, "is not a JSON object")
        return answer

    async def _content(self, response: httpx.Response, path: str) -> bytes:
        content = bytearray()
        async for chunk in response.aiter_bytes():
            content += chunk
            if len(content) > _ANSWER_BYTES:
                raise self._odd(path, f"is longer than {_ANSWER_BYTES} bytes")
        return bytes(content)

    def _odd(self, path: str, what: str) -> OllamaProtocolError:
        return OllamaProtocolError(f"{self.api_base}{path} {what}: is that an Ollama?")


def _text(entry: Mapping[str, Any], key: str) -> str:
    value = entry.get(key)
    return value if isinstance(value, str) else ""


def _count(entry: Mapping[str, Any], key: str) -> int | None:
    value = entry.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _capabilities(entry: Mapping[str, Any]) -> frozenset[str] | None:
    value = entry.get("capabilities")
    return frozenset(map(str, value)) if isinstance(value, list) else None


def _supports(capabilities: frozenset[str] | None, name: str) -> bool | None:
    return None if capabilities is None else name in capabilities


def _is_remote(entry: Mapping[str, Any], name: str) -> bool:
    named_cloud = name.lower().endswith(_CLOUD_SUFFIXES)
    return named_cloud or bool(_text(entry, "remote_host") or _text(entry, "remote_model"))


def _object(entry: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = entry.get(key)
    return value if isinstance(value, dict) else {}


def _of_architecture(model_info: Mapping[str, Any], key: str) -> int | None:
    """Return `<architecture>.<key>` of a model's GGUF metadata, if it is a number."""
    return _count(model_info, f"{model_info.get('general.architecture')}.{key}")


def _kv_bytes_per_token(model_info: Mapping[str, Any]) -> int | None:
    """Return what a token of context costs, or None where layers differ or keys are missing.

    Source: llama.cpp's cache, which has one key and one value of each KV head in every layer.
    Models with a sliding window or a state of constant size keep less, so they are not reckoned.
    """
    layers = _of_architecture(model_info, "block_count")
    heads = _of_architecture(model_info, "attention.head_count")
    kv_heads = _of_architecture(model_info, "attention.head_count_kv")
    width = _of_architecture(model_info, "embedding_length")
    odd = any(".sliding_window" in key or ".ssm." in key for key in model_info)
    if not layers or not heads or not kv_heads or not width or odd:
        return None
    key_length = _of_architecture(model_info, "attention.key_length") or width // heads
    value_length = _of_architecture(model_info, "attention.value_length") or width // heads
    return layers * kv_heads * (key_length + value_length) * _KV_BYTES_PER_VALUE
