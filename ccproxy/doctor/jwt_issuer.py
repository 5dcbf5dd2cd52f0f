"""Whether the keys that check JWTs can be had: they are fetched once, as the proxy does."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ccproxy.auth.jwks import FetchFailedError
from ccproxy.auth.jwt_keys import KeysUnusableError, read_key_set
from ccproxy.doctor.finding import error, ok
from ccproxy.gating import key_source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ccproxy.config.jwt_block import JwtSettings
    from ccproxy.doctor.finding import Finding


@dataclass(frozen=True, slots=True)
class IssuerLook:
    """What the place of the keys gave."""

    place: str
    """A path or an address."""
    is_file: bool
    keys: int = 0
    """How many of them may check a token."""
    problem: str = ""


async def look_at_issuer(jwt: JwtSettings | None) -> IssuerLook | None:
    """Fetch the JWK set; None where no set is configured."""
    if jwt is None or jwt.hs256_secret is not None:
        return None
    is_file = jwt.jwks_file is not None
    place = str(jwt.jwks_file or jwt.jwks_url)
    try:
        document = await key_source(jwt).fetch()
        found = await asyncio.to_thread(read_key_set, document, jwt.algorithms)
    except (FetchFailedError, KeysUnusableError) as problem:
        return IssuerLook(place, is_file, problem=str(problem).removeprefix(f"{place}: "))
    return IssuerLook(place, is_file, len(found.keys))


def check_issuer(look: IssuerLook | None) -> Iterator[Finding]:
    """Judge it; nothing is said where no set is configured."""
    if look is None:
        return
    if not look.problem:
        yield ok("jwt", f"{look.place} has {look.keys} key{'' if look.keys == 1 else 's'}")
        return
    yield error(
        "jwt",
        f"{look.place}: {look.problem}",
        "everybody who comes with a JWT is refused; tokens on file go on",
        f"ls -l {look.place}" if look.is_file else f"curl -sS {look.place}",
    )
