"""Content blocks of the Messages API as plain text and images.

Local models take one string per message and a list of images beside it. Everything else that a
block can be is turned into text that a model can read, or refused; nothing is dropped unseen.

Rules:
1. Text blocks are joined with a blank line; a string stays what it is (conformance 166, 170).
2. An image leaves a mark `[Image N]` where it stood; N counts through the conversation (171).
3. GIF and WebP images arrive as PNG or JPEG (173).
4. Bookkeeping (`cache_control`, `citations`, signatures, `caller`) never reaches a model (182).
"""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any, Final

import orjson

from ccproxy.wire.errors import UnsupportedLocally

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ccproxy.wire.images import Transcoder

SEPARATOR: Final = "\n\n"
_BOOKKEEPING: Final = frozenset(
    {
        "cache_control",
        "caller",
        "citations",
        "encrypted_content",
        "encrypted_index",
        "id",
        "signature",
        "tool_use_id",
        "toolset_name",
        "type",
    }
)
_SILENT: Final = frozenset({"redacted_thinking", "fallback"})
"""Blocks without words: an encrypted thought, and the marker of a server-side model switch."""


def as_blocks(content: str | Sequence[Mapping[str, Any]] | None) -> Sequence[Mapping[str, Any]]:
    """Return `content` as blocks; a non-empty string is one text block, absent content is none."""
    if content is None:
        return ()
    if isinstance(content, str):
        return ({"type": "text", "text": content},) if content else ()
    return content


class Content:
    """Text and images of one message, collected block by block.

    Attributes:
        images: Images in order, as `(media_type, base64)`; base64 without a `data:` prefix.
        labels: The mark of each image, in the same order.
    """

    def __init__(self, numbers: Iterator[int], transcoder: Transcoder, *, vision: bool) -> None:
        """Number images from `numbers`; without `vision` an image is refused."""
        self.images: list[tuple[str, str]] = []
        self.labels: list[str] = []
        self._texts: list[str] = []
        self._numbers = numbers
        self._transcoder = transcoder
        self._vision = vision
        self._by_type: dict[str, Callable[[Mapping[str, Any]], None]] = {
            "text": lambda block: self.add_text(block["text"]),
            "image": self._add_image,
            "document": self._add_document,
            "search_result": self._add_search_result,
            "tool_reference": lambda block: self.add_text(f"[Tool: {block['tool_name']}]"),
        }

    @property
    def text(self) -> str:
        """All text so far, joined with a blank line."""
        return SEPARATOR.join(self._texts)

    def nested(self) -> Content:
        """Return an empty one that goes on counting images where this one is."""
        return Content(self._numbers, self._transcoder, vision=self._vision)

    def add_text(self, text: str) -> None:
        """Append text; an empty one leaves no separator behind (conformance 083)."""
        if text:
            self._texts.append(text)

    def add(self, block: Mapping[str, Any]) -> None:
        """Append one block.

        Raises:
            UnsupportedLocally: An image for a model without vision, or a source (URL, file id,
                PDF, container) that only Claude can open; a 400 where no Claude is left.
            BrokenImageError: A GIF or WebP image that cannot be decoded.
        """
        kind = block["type"]
        if kind in _SILENT:
            return
        if kind == "container_upload":
            message = "container_upload: files of a container cannot be read by a local model"
            raise UnsupportedLocally(message)
        self._by_type.get(kind, self._add_foreign)(block)

    def _add_image(self, block: Mapping[str, Any]) -> None:
        source = block["source"]
        if not self._vision:
            message = "image: this local model is not known to understand images"
            raise UnsupportedLocally(message)
        if source["type"] != "base64":
            kind = source["type"]
            message = f"image.source.type: a local model cannot open {kind} images, send base64"
            raise UnsupportedLocally(message)
        image = self._transcoder.readable(block)
        label = f"[Image {next(self._numbers)}]"
        self.add_text(label)
        self.labels.append(label)
        self.images.append(image)

    def _add_document(self, block: Mapping[str, Any]) -> None:
        source = block["source"]
        kind = source["type"]
        if kind not in {"text", "content"}:
            message = f"document.source.type: a local model cannot open {kind} documents, send text"
            raise UnsupportedLocally(message)
        self._add_delimited(
            "document",
            {"title": block.get("title"), "context": block.get("context")},
            source["data"] if kind == "text" else source["content"],
        )

    def _add_search_result(self, block: Mapping[str, Any]) -> None:
        attributes = {"title": block.get("title"), "source": block.get("source")}
        self._add_delimited("search_result", attributes, block["content"])

    def _add_delimited(
        self,
        tag: str,
        attributes: Mapping[str, str | None],
        content: str | Sequence[Mapping[str, Any]],
    ) -> None:
        inner = self.nested()
        for block in as_blocks(content):
            inner.add(block)
        shown = "".join(
            f' {name}="{html.escape(value)}"' for name, value in attributes.items() if value
        )
        self.add_text(f"<{tag}{shown}>\n{inner.text}\n</{tag}>")
        self.images.extend(inner.images)
        self.labels.extend(inner.labels)

    def _add_foreign(self, block: Mapping[str, Any]) -> None:
        """Show what a server tool did as text (conformance 180)."""
        shown = _without_bookkeeping(block)
        self.add_text(f"[{block['type']}] {orjson.dumps(shown).decode()}")


def _without_bookkeeping(value: Any) -> Any:  # noqa: ANN401 - JSON
    """Return a copy of a JSON value without the keys that mean nothing to a model."""
    if isinstance(value, list):
        return [_without_bookkeeping(item) for item in value]
    if isinstance(value, dict):
        return {
            key: _without_bookkeeping(item)
            for key, item in value.items()
            if key not in _BOOKKEEPING
        }
    return value
