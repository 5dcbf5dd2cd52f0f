"""Which headers of a request say who is calling.

`x-ccproxy-token` alone, where it is sent: then `x-api-key` and `Authorization` are the client's own
credentials for Claude (docs/adr/0018). Without it those two, either one being enough.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

from ccproxy.wire.our_tokens import TOKEN_HEADER

if TYPE_CHECKING:
    from collections.abc import Sequence


MOST_TOKENS: Final = 4
"""Each costs a comparison with every token on file, or a check of a signature, and the headers of
one request have room for thousands. A client has two: `x-api-key` and `Authorization`."""


def presented_tokens(headers: Sequence[tuple[bytes, bytes]]) -> list[bytes]:
    """Return the tokens of a request, each once, `x-api-key` before `Authorization: Bearer`.

    Of more than `MOST_TOKENS` only the first count.

    Header names and the scheme are matched in any case (conformance 022).
    """
    own: list[bytes] = []
    keys: list[bytes] = []
    bearers: list[bytes] = []
    for name, value in headers:
        lowered = name.lower()
        if lowered == TOKEN_HEADER:
            own.append(value.strip())
        elif lowered == b"x-api-key":
            keys.append(value.strip())
        elif lowered == b"authorization":
            scheme, _, credential = value.strip().partition(b" ")
            if scheme.lower() == b"bearer":
                bearers.append(credential.strip())
    # Claude Code's apiKeyHelper sends the same token in both headers: hash it once.
    found = dict.fromkeys(token for token in (own or (*keys, *bearers)) if token)
    return list(islice(found, MOST_TOKENS))
