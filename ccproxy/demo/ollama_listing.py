"""What the simulated Ollama says of its models: the shapes of tags, show and ps.

Source: Ollama api/types.go (`ListModelResponse`, `ShowResponse`, `ProcessModelResponse`),
v0.33; conformance 238, 239, 241.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ccproxy.demo.ollama_memory import Resident
    from ccproxy.demo.ollama_models import SimModel
    from ccproxy.demo.ollama_requests import JsonObject

_MODIFIED_AT: Final = "2026-08-21T09:00:00.000000000Z"
_CENTURY_S: Final = 100 * 365 * 86400.0


def tag(model: SimModel, *, with_capabilities: bool) -> JsonObject:
    """Return the entry of `/api/tags`; older versions list no capabilities."""
    entry = {
        "name": model.name,
        "model": model.name,
        "modified_at": _MODIFIED_AT,
        "size": model.weights_bytes,
        "digest": model.digest,
        "details": _details(model),
    }
    if with_capabilities:
        entry["capabilities"] = list(model.capabilities)
    return {**entry, **_remote(model)}


def process(resident: Resident, clock_s: float) -> JsonObject:
    """Return the entry of `/api/ps`; `clock_s` is the loop's time now."""
    left_s = min(resident.expires_at - clock_s, _CENTURY_S)
    expires_at = datetime.now(UTC) + timedelta(seconds=left_s)
    return {
        "name": resident.model.name,
        "model": resident.model.name,
        "size": resident.size_bytes,
        "digest": resident.model.digest,
        "details": _details(resident.model),
        "expires_at": expires_at.isoformat().replace("+00:00", "Z"),
        "size_vram": resident.size_bytes,
        "context_length": resident.options.num_ctx,
    }


def _details(model: SimModel) -> JsonObject:
    return {
        "parent_model": "",
        "format": "gguf",
        "family": model.architecture,
        "families": [model.architecture],
        "parameter_size": model.parameter_size,
        "quantization_level": "Q4_K_M",
    }


def _remote(model: SimModel) -> JsonObject:
    if not model.remote_host:
        return {}
    return {"remote_model": model.remote_model or model.name, "remote_host": model.remote_host}


def show(model: SimModel) -> JsonObject:
    """Return the answer of `/api/show`."""
    return {
        "modelfile": f"FROM {model.name}",
        "parameters": _parameters(model),
        "template": "{{ .Prompt }}",
        "details": _details(model),
        "model_info": {
            "general.architecture": model.architecture,
            "general.parameter_count": 7_000_000_000,
            f"{model.architecture}.context_length": model.trained_context_tokens,
        },
        "capabilities": list(model.capabilities),
        "modified_at": _MODIFIED_AT,
        **_remote(model),
    }


def _parameters(model: SimModel) -> str:
    made_with = [f"{name:<30} {value}" for name, value in model.made_with]
    return "\n".join([*made_with, 'stop                           "<|im_end|>"'])
