"""How LiteLLM is imported so that it reads no file and calls nobody.

Left to itself the import fetches a price map from GitHub and loads a `.env` found above
site-packages; every call looks for LiteLLM's proxy server; and filters on the loggers of asyncio
and uvicorn import more of LiteLLM at each record, which deadlocks with an import that is still
going on and takes both the import and the event loop down (measured with litellm 1.105.3). This
module prevents the four and imports LiteLLM only inside `load`.
"""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from types import ModuleType

    from ccproxy.upstreams.litellm import Provider

_IMPORT_ENVIRONMENT: Final = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_MODE": "PRODUCTION",
    "LITELLM_DISABLE_REDACT_SECRETS": "true",
}
"""Read by LiteLLM while it is imported: use the packaged price map; do not load `.env`; let the
records of other loggers be. Its own loggers are switched off, so nothing is left to redact."""
_NEVER_BEGUN: Final = "coroutine '(BaseLLMHTTPHandler|OpenAIChatCompletion).*' was never awaited"
"""What Python says when a call is cancelled while LiteLLM prepares it in a thread. Nothing was sent
and nothing is held, so a client that gave up that early leaves no line in the log."""
_PROXY_SERVER: Final = "litellm.proxy.proxy_server"


def load() -> Provider:
    """Import LiteLLM, set it up and return it; takes seconds, so call it off the event loop.

    Raises:
        ImportError: LiteLLM is not installed or broken.
    """
    # None makes the import of the proxy server fail at once, for ever; all of LiteLLM's
    # published vulnerabilities but one are in there, and a failed search costs 7 ms a call.
    modules = cast("dict[str, ModuleType | None]", sys.modules)
    modules[_PROXY_SERVER] = None
    # They stay: taking them back would race with a second load in this process.
    os.environ.update(_IMPORT_ENVIRONMENT)
    warnings.filterwarnings("ignore", message=_NEVER_BEGUN, category=RuntimeWarning)
    provider = importlib.import_module("ccproxy.upstreams.litellm_provider")
    return cast("Provider", provider.LiteLLMProvider())
