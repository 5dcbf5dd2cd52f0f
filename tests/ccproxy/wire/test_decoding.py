"""Content codings are decoded piece by piece, and never without bound."""

from __future__ import annotations

import gzip
import subprocess
import sys
import zlib
from typing import TYPE_CHECKING

import brotli
import pytest

from ccproxy.wire.decoding import MAX_STEP_BYTES, DecodingFailed, decoder_for, plain_body
from tests.support.codings import zstd

if TYPE_CHECKING:
    from collections.abc import Callable


CODINGS: list[tuple[bytes, Callable[[bytes], bytes]]] = [
    (b"gzip", gzip.compress),
    (b"x-gzip", gzip.compress),
    (b"deflate", zlib.compress),
    (b"br", brotli.compress),
    (b"zstd", zstd),
]


@pytest.mark.parametrize(("coding", "encode"), CODINGS)
def test_pieces_decode_to_the_whole(coding: bytes, encode: Callable[[bytes], bytes]) -> None:
    """Any cut of the encoded bytes gives the same decoded ones."""
    plain = b"".join(b"line %d\n" % number for number in range(500))
    encoded = encode(plain)
    for size in (1, 5, 1000):
        decoder = decoder_for(coding)
        assert decoder is not None
        pieces = [encoded[at : at + size] for at in range(0, len(encoded), size)]

        assert plain == b"".join(decoder.decode(piece) for piece in pieces)


@pytest.mark.parametrize(("coding", "encode"), CODINGS)
def test_bombs_are_refused(coding: bytes, encode: Callable[[bytes], bytes]) -> None:
    """A few bytes that decode to more than the bound are a failure, not memory."""
    bomb = encode(bytes(4 * MAX_STEP_BYTES))
    decoder = decoder_for(coding)
    assert decoder is not None
    assert len(bomb) < MAX_STEP_BYTES // 50

    with pytest.raises(DecodingFailed):
        decoder.decode(bomb)


@pytest.mark.parametrize("coding", [b"identity", b"compress", b"gzip, br", b""])
def test_unknown_codings_have_no_decoder(coding: bytes) -> None:
    """What we cannot decode is said, not guessed."""
    assert decoder_for(coding) is None


def test_nothing_is_imported_before_it_is_needed() -> None:
    """Reading usage costs no import of brotli or zstd until such an answer comes."""
    program = (
        "import sys; import ccproxy.wire.usage;"
        "print([name for name in ('brotli', 'backports.zstd') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)

    assert b"[]" == done.stdout.strip()


@pytest.mark.parametrize(("coding", "encode"), [*CODINGS, (b"", bytes), (b"identity", bytes)])
def test_a_whole_body_is_plain(coding: bytes, encode: Callable[[bytes], bytes]) -> None:
    """Without its coding; what cannot be read is nothing."""
    assert plain_body(encode(b"words"), coding) == b"words"
    if coding not in (b"", b"identity"):
        assert plain_body(b"no such thing", coding) == b""
    assert plain_body(b"words", b"rot13") == b""
