"""`/dashboard`: the page and its assets, open to everybody because they hold no data.

Everything is read at the start from `ccproxy/dashboard/` and served from memory by exact name. The
page asks for a token and puts it into a header; one in a URL would end up in histories and logs, so
a URL with a query is refused. Nothing here may load or run what is not from here (`POLICY`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from ccproxy.wire.errors import ApiError, invalid_request
from ccproxy.wire.ids import mint_request_id

if TYPE_CHECKING:
    from collections.abc import Mapping

FOLDER: Final = Path(__file__).parents[1] / "dashboard"
PAGE: Final = "index.html"
MEDIA_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
"""Files of other kinds are not served: a library's licence and the notes beside it."""
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    # Text from clients can then become no markup, whatever a script does with it.
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS: Final = {
    "content-security-policy": POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # Kept, and asked about each time: a proxy that was updated shows its own page at once.
    "cache-control": "no-cache",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """One file, as it is served."""

    content: bytes
    media_type: str
    etag: str


def read_assets(folder: Path = FOLDER) -> dict[str, Asset]:
    """Return every file that is served, by its path inside the folder."""
    files = (file for file in folder.rglob("*") if file.suffix in MEDIA_TYPES)
    return {file.relative_to(folder).as_posix(): _asset(file) for file in files}


def dashboard_router(assets: Mapping[str, Asset]) -> APIRouter:
    """Return `GET` and `HEAD` of `/dashboard` and `/dashboard/{name}`."""
    router = APIRouter()

    @router.head("/dashboard", include_in_schema=False)
    @router.get("/dashboard")
    async def page(request: Request) -> Response:
        """Return the page; it asks for a token by itself."""
        return _served(request, assets[PAGE])

    @router.head("/dashboard/{name:path}", include_in_schema=False)
    @router.get("/dashboard/{name:path}", include_in_schema=False)
    async def asset(name: str, request: Request) -> Response:
        """Return one of the page's files."""
        found = assets.get(name)
        if found is None or name == PAGE:
            raise ApiError(404, "Not found; the dashboard is at /dashboard.", should_retry=False)
        return _served(request, found)

    return router


def _served(request: Request, asset: Asset) -> Response:
    if request.url.query:
        raise invalid_request(
            "The dashboard takes nothing from its URL. Open /dashboard and put the token into the "
            "page's field. A token that stood in a URL may have been logged on the way: revoke it "
            "with `ccproxy token revoke NAME`."
        )
    headers = {**HEADERS, "etag": asset.etag, "request-id": mint_request_id()}
    known = request.headers.get("if-none-match", "")
    if asset.etag in (each.strip().removeprefix("W/") for each in known.split(",")):
        return Response(status_code=304, headers=headers)
    return Response(asset.content, headers=headers, media_type=asset.media_type)


def _asset(file: Path) -> Asset:
    content = file.read_bytes()
    digest = hashlib.sha256(content).hexdigest()[:32]
    return Asset(content, MEDIA_TYPES[file.suffix], f'"{digest}"')
