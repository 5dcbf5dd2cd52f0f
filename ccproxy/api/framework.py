"""The FastAPI app, which serves every path but those of Messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import FastAPI
from starlette.routing import Route

from ccproxy import __version__
from ccproxy.api.refusals import install_error_shapes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractAsyncContextManager

    from fastapi import APIRouter
    from starlette.types import ASGIApp, Scope


def framework_app(
    lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]],
    routers: Sequence[APIRouter],
    everything_else: ASGIApp,
    *,
    on_refused: Callable[[Scope, int, str], None],
) -> FastAPI:
    """Return the app; of the routes, the first match wins.

    Args:
        lifespan: Starts and stops what serves.
        routers: In order.
        everything_else: Serves what is left of `/v1/`, with and without `/agents/{slug}`.
        on_refused: As of `install_error_shapes`.
    """
    app = FastAPI(
        title="ccproxy",
        version=__version__,
        redirect_slashes=False,
        openapi_url=None,  # served to operators by the ops router
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    install_error_shapes(app, on_refused)
    for router in routers:
        app.include_router(router)
    for prefix in ("", "/agents/{slug}"):
        app.router.routes.append(Route(prefix + "/v1/{rest:path}", everything_else))
    return app
