"""LiteLLM set up as a translation library and nothing else; imported by `litellm_boot.load` alone.

LiteLLM keeps its settings in module globals, so they are set here once for the process: no price
look-ups over the network, no tokenizer downloads, no logging, no proxies of the environment.
"""

from __future__ import annotations

import logging
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import litellm
import litellm.litellm_core_utils.default_encoding  # LiteLLM's first call would wait 0.15 s for it

from ccproxy.upstreams.litellm_chat import ChatUpstream
from ccproxy.upstreams.litellm_ollama import OLLAMA_PREFIX, OllamaUpstream, PinnedOllamaChatConfig

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ccproxy.ports import ModelUpstream
    from ccproxy.upstreams.litellm import PriceRow, Target

_LOGGERS: Final = ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy")
"""They print requests and tracebacks to stderr at every failed call."""

_PACKAGED_MODELS: Final[Mapping[str, dict[str, Any]]] = MappingProxyType(dict(litellm.model_cost))
"""LiteLLM's map of prices and limits as it was imported, by model."""


class LiteLLMProvider:
    """See `ccproxy.upstreams.litellm.Provider`."""

    def __init__(self) -> None:
        """Change LiteLLM's globals; a second time changes nothing more."""
        litellm.suppress_debug_info = True
        litellm.disable_hf_tokenizer_download = True
        litellm.disable_token_counter = True
        litellm.disable_streaming_logging = True
        litellm.disable_aiohttp_trust_env = True
        litellm.drop_params = True
        for name in _LOGGERS:
            logging.getLogger(name).disabled = True
        # LiteLLM asks its package for the class at every call, so this is all it takes.
        vars(litellm)["OllamaChatConfig"] = PinnedOllamaChatConfig
        # LiteLLM walks through all 4,500 keys several times a call; it needs the served ones.
        if len(litellm.model_cost) >= len(_PACKAGED_MODELS):
            litellm.model_cost.clear()

    def prices(self) -> Mapping[str, PriceRow]:
        """See the protocol."""
        return {
            name: row
            for name, row in _PACKAGED_MODELS.items()
            if row.get("litellm_provider") == "anthropic"
        }

    def connect(self, target: Target) -> ModelUpstream:
        """See the protocol."""
        self._serve(target)
        if target.model.startswith(OLLAMA_PREFIX):
            return OllamaUpstream(target)
        return ChatUpstream(target)

    def _serve(self, target: Target) -> None:
        """Make the model known to LiteLLM, or it asks `localhost:11434` about it at every call."""
        bare = target.model.partition("/")[2]
        for name in (target.model, bare):
            if name in _PACKAGED_MODELS:
                litellm.model_cost[name] = _PACKAGED_MODELS[name]
        if target.model.startswith(OLLAMA_PREFIX):
            litellm.model_cost[target.model] = {
                "litellm_provider": "ollama_chat",
                "mode": "chat",
                "max_input_tokens": target.num_ctx,
                "input_cost_per_token": 0.0,
                "output_cost_per_token": 0.0,
            }
