"""Images in a format that every local model's runner can open.

JPEG and PNG go as they came. GIF and WebP become PNG, because Ollama decodes them on some of its
paths only (conformance 173): the first frame, at full size, the same bytes for the same image, so
that a model's prompt cache holds. A PNG above Claude's own limit for one image becomes a JPEG.

An image is known by its first bytes, not by the media type that a client claims. Pillow is
imported when the first such image comes: it costs 50 ms and 10 MB that few processes need.
"""

from __future__ import annotations

import base64
import binascii
import io
from typing import TYPE_CHECKING, Any, Final

from ccproxy.wire.errors import UnsupportedLocally
from ccproxy.wire.validate_sources import MAX_IMAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from PIL.Image import Image

MAX_SIDE_PX: Final = 8000
"""Source: Anthropic's "Vision" page (2026-08): a larger image is refused."""
MAX_IMAGE_PX: Final = 16_000_000
"""Pixels of one image that is remade: 64 MB of memory for the moment, and two seconds, because a
megapixel takes about 0.12 s."""
MAX_REQUEST_PX: Final = 50_000_000
"""Pixels remade for one request: a conversation sends all of its images again each turn."""

_HEAD_CHARS: Final = 16
"""Base64 of the twelve bytes that tell the format."""
_JPEG_QUALITY: Final = 92
_REMADE: Final = ("image/gif", "image/webp")


class BrokenImageError(Exception):
    """An image that cannot be decoded; `block` is the image block itself."""

    def __init__(self, block: Mapping[str, Any], reason: str) -> None:
        """Take the block as it stands in the request, by which `place_of` finds it."""
        super().__init__(reason)
        self.block = block


class Transcoder:
    """The images of one request, one after the other; it counts what they cost."""

    def __init__(self) -> None:
        """Nothing is transcoded yet."""
        self._left_px = MAX_REQUEST_PX

    def readable(self, block: Mapping[str, Any]) -> tuple[str, str]:
        """Return media type and base64 of an `image` block with a base64 source.

        Raises:
            BrokenImageError: GIF or WebP by name or content, and not to be decoded.
            UnsupportedLocally: Too many pixels to transcode; a 400 where no Claude is left.
        """
        media_type, data = block["source"]["media_type"], block["source"]["data"]
        actual = _format_of(data)
        if actual in ("image/png", "image/jpeg"):
            return actual, data
        if actual is None and media_type not in _REMADE:
            return media_type, data  # whatever it is, the model's runner will say
        return self._remade(block, data)

    def _remade(self, block: Mapping[str, Any], data: str) -> tuple[str, str]:
        """Return the image as PNG or JPEG."""
        from PIL import Image as Images  # noqa: PLC0415 - see the module

        try:
            with Images.open(io.BytesIO(base64.b64decode(data)), formats=("GIF", "WEBP")) as image:
                self._spend(*image.size)
                return _encoded(image)
        except Images.DecompressionBombError:
            raise _too_large() from None
        # Pillow's decoders raise all of these on damaged data; the text may name memory addresses.
        except (OSError, ValueError, SyntaxError, EOFError, IndexError, TypeError):
            raise BrokenImageError(block, "Could not process image") from None

    def _spend(self, width_px: int, height_px: int) -> None:
        """Refuse what would take too much memory or time, before a pixel is decoded."""
        size_px = width_px * height_px
        self._left_px -= size_px
        if max(width_px, height_px) > MAX_SIDE_PX or size_px > MAX_IMAGE_PX or self._left_px < 0:
            raise _too_large()


def place_of(messages: Sequence[Mapping[str, Any]], block: Mapping[str, Any]) -> str:
    """Return where in the request a block stands, e.g. `messages.2.content.0`."""
    for index, message in enumerate(messages):
        for path, found in _blocks(message.get("content"), f"messages.{index}.content"):
            if found is block:
                return path
    return "messages"


def _blocks(content: object, path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield each block with its path, also those inside tool results and documents."""
    if not isinstance(content, list):
        return
    for index, block in enumerate(content):
        if not isinstance(block, dict):
            continue  # inside the result of a server tool
        where = f"{path}.{index}"
        yield where, block
        yield from _blocks(block.get("content"), f"{where}.{block.get('type')}.content")
        source = block.get("source")
        if isinstance(source, dict):
            yield from _blocks(source.get("content"), f"{where}.document.source.content")


def _format_of(data: str) -> str | None:
    """Return the media type that the first bytes tell, or None."""
    try:
        head = binascii.a2b_base64(data[:_HEAD_CHARS])
    except ValueError:
        return None
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "image/webp"
    return None


def _encoded(image: Image) -> tuple[str, str]:
    """Return the first frame as PNG, or as JPEG on white where the PNG would be too large."""
    transparent = image.has_transparency_data
    frame = image.convert("RGBA" if transparent else "RGB")
    frame.info.clear()  # a colour profile or comment would go along
    png = io.BytesIO()
    frame.save(png, "PNG", compress_level=1)
    if png.tell() <= MAX_IMAGE_BYTES:
        return "image/png", _base64(png)
    if transparent:
        from PIL import Image as Images  # noqa: PLC0415 - see the module

        white = Images.new("RGBA", frame.size, "white")
        frame = Images.alpha_composite(white, frame).convert("RGB")
    jpeg = io.BytesIO()
    frame.save(jpeg, "JPEG", quality=_JPEG_QUALITY)
    return "image/jpeg", _base64(jpeg)


def _base64(buffer: io.BytesIO) -> str:
    return base64.b64encode(buffer.getbuffer()).decode()


def _too_large() -> UnsupportedLocally:
    return UnsupportedLocally(
        "image: this GIF or WebP image has too many pixels to be converted for a local model;"
        " send it smaller, or as PNG or JPEG"
    )
