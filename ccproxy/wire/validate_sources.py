"""Images and documents: where their content may come from (conformance 107-109, 172)."""

from __future__ import annotations

import string
from typing import TYPE_CHECKING, Any, Final

from ccproxy.wire.validate_shape import (
    as_list,
    as_object,
    as_string,
    one_of,
    optional_string,
    refuse,
    require,
    tag_of,
)

if TYPE_CHECKING:
    from ccproxy.wire.validate_shape import Review

IMAGE_TYPES: Final = ("image/jpeg", "image/png", "image/gif", "image/webp")
MAX_IMAGE_BYTES: Final = 10 * 1024 * 1024
MAX_IMAGES: Final = 600
MAX_IMAGES_LOCAL: Final = 100
"""Source: limits of Anthropic's "Vision" page (2026-08): 100 for contexts up to 200 k, else 600."""

_BASE64_BYTES: Final = (string.ascii_letters + string.digits + "+/").encode()


def check_image(block: dict[str, Any], path: str, review: Review) -> None:
    """Check an `image` block; its source is base64, a URL or a file."""
    review.images += 1
    if review.images > MAX_IMAGES:
        refuse("messages", f"too many images: at most {MAX_IMAGES} may be provided")
    if review.images == MAX_IMAGES_LOCAL + 1:
        review.unsupported.append(
            f"messages: more than {MAX_IMAGES_LOCAL} images are not supported by the local model"
        )
    path = f"{path}.image.source"
    source = as_object(require(block, "source", path.removesuffix(".source")), path)
    match tag_of(source, path, ("base64", "url", "file")):
        case "base64":
            path = f"{path}.base64"
            one_of(require(source, "media_type", path), f"{path}.media_type", IMAGE_TYPES)
            _check_image_data(require(source, "data", path), path)
        case "url":
            url = as_string(require(source, "url", f"{path}.url"), f"{path}.url.url")
            if not url.startswith("https://"):
                refuse(f"{path}.url.url", "Only HTTPS URLs are supported.")
            review.unsupported.append(
                f"{path}.url: images by URL are not fetched for the local model;"
                " send them as base64"
            )
        case _:
            as_string(require(source, "file_id", f"{path}.file"), f"{path}.file.file_id")
            review.unsupported.append(f"{path}.file: files are kept by Anthropic, not locally")


def _check_image_data(data: object, path: str) -> None:
    """Check that image data is base64 with its padding, and not too large."""
    text = as_string(data, f"{path}.data")
    decoded_bytes = len(text) * 3 // 4
    if decoded_bytes > MAX_IMAGE_BYTES:
        refuse(
            path,
            f"image exceeds 10 MB maximum: {decoded_bytes} bytes > {MAX_IMAGE_BYTES} bytes",
        )
    # Deleting every base64 sign in one C-speed pass leaves the padding, or whatever is wrong.
    rest = text.encode("utf-8", "surrogatepass").translate(None, _BASE64_BYTES)
    valid = rest in {b"", b"=", b"=="} and len(text) % 4 == 0 and text.endswith(rest.decode())
    if not text or not valid:
        refuse(f"{path}.data", "invalid base64 data")


def check_document(block: dict[str, Any], path: str, review: Review) -> None:
    """Check a `document` block; only text and content sources become text locally."""
    path = f"{path}.document"
    optional_string(block, "title", path)
    optional_string(block, "context", path)
    source = as_object(require(block, "source", path), f"{path}.source")
    path = f"{path}.source"
    match tag_of(source, path, ("base64", "text", "content", "url", "file")):
        case "text":
            path = f"{path}.text"
            one_of(require(source, "media_type", path), f"{path}.media_type", ("text/plain",))
            as_string(require(source, "data", path), f"{path}.data")
        case "content":
            _check_source_content(source, f"{path}.content", review)
        case "base64":
            path = f"{path}.base64"
            one_of(require(source, "media_type", path), f"{path}.media_type", ("application/pdf",))
            as_string(require(source, "data", path), f"{path}.data")
            review.unsupported.append(f"{path}: the local model cannot read PDF documents")
        case "url":
            as_string(require(source, "url", f"{path}.url"), f"{path}.url.url")
            review.unsupported.append(
                f"{path}.url: documents by URL are not fetched for the local model"
            )
        case _:
            as_string(require(source, "file_id", f"{path}.file"), f"{path}.file.file_id")
            review.unsupported.append(f"{path}.file: files are kept by Anthropic, not locally")


def _check_source_content(source: dict[str, Any], path: str, review: Review) -> None:
    """Check the blocks of a `content` source: a string, or text and image blocks."""
    content = require(source, "content", path)
    if isinstance(content, str):
        return
    for index, item in enumerate(as_list(content, f"{path}.content")):
        where = f"{path}.content.{index}"
        block = as_object(item, where)
        if tag_of(block, where, ("text", "image")) == "image":
            check_image(block, where, review)
        else:
            as_string(require(block, "text", f"{where}.text"), f"{where}.text.text")
