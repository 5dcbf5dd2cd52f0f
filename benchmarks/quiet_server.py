"""`ccproxy serve` without its request log, to see what the log costs.

Run: `python -m benchmarks.quiet_server CONFIG PORT`
"""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path

import uvicorn
import uvloop

from ccproxy.app import build_proxy
from ccproxy.config.settings import load_settings
from ccproxy.serve import server_config

if __name__ == "__main__":
    settings = load_settings(Path(sys.argv[1]), os.environ)
    app = build_proxy(settings).app
    gc.collect()
    gc.freeze()  # as `ccproxy.serve` does
    uvloop.run(uvicorn.Server(server_config(app, "127.0.0.1", int(sys.argv[2]))).serve())
