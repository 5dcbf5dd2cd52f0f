"""Images for local models: what is passed on, what is remade, and what is refused."""

from __future__ import annotations

import base64
import io
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from ccproxy.ports import ModelFacts
from ccproxy.wire import images
from ccproxy.wire.errors import ApiError, UnsupportedLocally
from ccproxy.wire.images import Transcoder
from ccproxy.wire.normalise import normalise

if TYPE_CHECKING:
    from collections.abc import Sequence

SEES = ModelFacts(supports_vision=True)
RED, BLUE = (200, 10, 10), (10, 10, 200)


def encoded(*frames: Image.Image, kind: str, **options: Any) -> str:
    """Return an image in base64; of several frames an animation."""
    buffer = io.BytesIO()
    first, *more = frames
    if more:
        options |= {"save_all": True, "append_images": more}
    first.save(buffer, kind, **options)
    return base64.b64encode(buffer.getvalue()).decode()


def flat(colour: Sequence[int], size: tuple[int, int] = (8, 6)) -> Image.Image:
    """Return an image of one colour, with transparency if the colour has four parts."""
    return Image.new("RGBA" if len(colour) == 4 else "RGB", size, tuple(colour))


def block(data: str, media_type: str = "image/webp") -> dict[str, Any]:
    """Return an image block."""
    source = {"type": "base64", "media_type": media_type, "data": data}
    return {"type": "image", "source": source}


def opened(data: str) -> Image.Image:
    """Return the decoded image."""
    return Image.open(io.BytesIO(base64.b64decode(data)))


@pytest.mark.parametrize(
    ("media_type", "data"),
    [
        ("image/webp", encoded(flat(RED), kind="WEBP", lossless=True)),
        ("image/gif", encoded(flat(RED), kind="GIF")),
        ("image/gif", encoded(flat(RED), flat(BLUE), kind="GIF")),
        ("image/webp", encoded(flat(RED), flat(BLUE), kind="WEBP", lossless=True)),
        ("image/png", encoded(flat(RED), kind="WEBP", lossless=True)),
    ],
    ids=["webp", "gif", "animated gif", "animated webp", "webp that is called png"],
)
def test_what_ollama_may_not_read_becomes_png(media_type: str, data: str) -> None:
    """GIF and WebP arrive as PNG with the same pixels; of an animation the first (173)."""
    actual, png = Transcoder().readable(block(data, media_type))

    image = opened(png)
    assert ("image/png", "PNG", (8, 6)) == (actual, image.format, image.size)
    assert image.convert("RGB").getpixel((3, 3)) == RED


def test_transparency_is_kept() -> None:
    """A transparent WebP becomes a transparent PNG (conformance 173)."""
    data = encoded(flat((*RED, 0)), kind="WEBP", lossless=True, exact=True)

    _, png = Transcoder().readable(block(data))

    assert opened(png).mode == "RGBA"


@pytest.mark.parametrize(
    ("claimed", "data", "actual"),
    [
        ("image/png", encoded(flat(RED), kind="PNG"), "image/png"),
        ("image/jpeg", encoded(flat(RED), kind="JPEG"), "image/jpeg"),
        ("image/webp", encoded(flat(RED), kind="JPEG"), "image/jpeg"),
        ("image/png", "aGFsbG8=", "image/png"),
        ("image/jpeg", "aGk=", "image/jpeg"),
    ],
    ids=["png", "jpeg", "jpeg that is called webp", "no png at all", "too short"],
)
def test_others_pass_untouched(claimed: str, data: str, actual: str) -> None:
    """PNG and JPEG go on as they came, and so does what only the model's runner can judge."""
    assert Transcoder().readable(block(data, claimed)) == (actual, data)


def test_the_same_image_gives_the_same_bytes() -> None:
    """What is remade twice is the same twice, whatever its metadata: a prompt cache holds."""
    one = encoded(flat(RED), kind="WEBP", lossless=True)
    other = encoded(flat(RED), kind="WEBP", lossless=True, icc_profile=b"profile", exif=b"Exif\0\0")

    assert Transcoder().readable(block(one)) == Transcoder().readable(block(one))
    assert Transcoder().readable(block(one)) == Transcoder().readable(block(other))


@pytest.mark.parametrize("transparent", [False, True])
def test_a_png_that_would_be_too_large_is_a_jpeg(
    monkeypatch: pytest.MonkeyPatch, *, transparent: bool
) -> None:
    """Above the limit of one image the PNG gives way to a JPEG, transparency on white."""
    monkeypatch.setattr(images, "MAX_IMAGE_BYTES", 60)
    colour = (*RED, 0) if transparent else RED
    data = encoded(flat(colour), kind="WEBP", lossless=True, exact=True)

    actual, jpeg = Transcoder().readable(block(data))

    image = opened(jpeg)
    assert (actual, image.format) == ("image/jpeg", "JPEG")
    pixel = image.getpixel((3, 3))
    assert isinstance(pixel, tuple)
    expected = (255, 255, 255) if transparent else RED
    assert all(abs(a - b) < 12 for a, b in zip(pixel, expected, strict=True))


@pytest.mark.parametrize("size", [(8001, 1), (1, 8001), (5001, 5000)])
def test_a_picture_bomb_is_not_decoded(size: tuple[int, int]) -> None:
    """Few bytes that are many pixels are for Claude, or a 400 that says what to do."""
    data = encoded(Image.new("P", size), kind="GIF")

    with pytest.raises(UnsupportedLocally) as refused:
        Transcoder().readable(block(data, "image/gif"))

    assert "too many pixels" in refused.value.message


def test_a_request_has_a_limit_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """The images of one request share a limit of pixels."""
    monkeypatch.setattr(images, "MAX_REQUEST_PX", 100)
    gif = block(encoded(flat(RED), kind="GIF"), "image/gif")
    transcoder = Transcoder()

    transcoder.readable(gif)
    transcoder.readable(gif)
    with pytest.raises(UnsupportedLocally):
        transcoder.readable(gif)


WEBP = encoded(flat(RED, (64, 64)), kind="WEBP")
BROKEN = {
    "cut WebP": block(WEBP[: len(WEBP) // 8 * 4]),
    "head of a WebP": block(base64.b64encode(b"RIFF\0\0\0\0WEBP").decode()),
    "head of a GIF": block(base64.b64encode(b"GIF89a").decode(), "image/gif"),
    "cut GIF": block(encoded(flat(RED), kind="GIF")[:40], "image/gif"),
    "no GIF": block("aGFsbG8=", "image/gif"),
    "no WebP": block("aGFsbG8="),
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN.keys())
@pytest.mark.parametrize("nested", [False, True])
def test_a_broken_image_is_named(broken: dict[str, Any], *, nested: bool) -> None:
    """A GIF or WebP that cannot be decoded is a 400 that says where it stands (173)."""
    good = block(WEBP)
    if nested:
        call = {"type": "tool_use", "id": "t", "name": "look", "input": {}}
        result = {"type": "tool_result", "tool_use_id": "t", "content": [good, broken]}
        messages = [
            {"role": "user", "content": "look"},
            {"role": "assistant", "content": [call]},
            {"role": "user", "content": [result]},
        ]
        place = "messages.2.content.0.tool_result.content.1"
    else:
        messages = [{"role": "user", "content": "x"}, {"role": "user", "content": [good, broken]}]
        place = "messages.1.content.1"

    with pytest.raises(ApiError) as refused:
        normalise({"max_tokens": 5, "messages": messages}, SEES, max_output_tokens_cap=None)

    assert (400, False) == (refused.value.status, refused.value.should_retry)
    assert not isinstance(refused.value, UnsupportedLocally)
    expected = f"{place}.image.source.base64: Could not process image"
    assert expected == refused.value.message


def test_pillow_is_imported_only_for_such_images() -> None:
    """A process that sees no GIF and no WebP does not pay for Pillow."""
    program = (
        "import sys; from ccproxy.wire.images import Transcoder\n"
        "png = {'source': {'type': 'base64', 'media_type': 'image/png', 'data': 'iVBORw0KGgo='}}\n"
        "Transcoder().readable(png); assert 'PIL' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
