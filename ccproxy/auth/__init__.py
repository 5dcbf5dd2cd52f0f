"""Who is calling: tokens on file, JWTs, and the check of the headers that carry one.

Rules:
1. A presented token is never stored, logged or echoed, not even in part.
2. A digest is compared with every stored one in constant time, so that the time taken tells
   neither which token was nearly right nor whether a name exists.
3. A file that cannot be trusted (readable by others, not in its shape) is not used at all; a
   running service keeps the tokens it had and says what is wrong.
"""

from ccproxy.auth.gate import Authenticate, Gate
from ccproxy.auth.key_ring import CHECK_INTERVAL_S, KeyRing
from ccproxy.auth.principal import KNOWN_SCOPES, Principal, open_principal, require_scope
from ccproxy.auth.stored_token import StoredToken, TokenError
from ccproxy.auth.tokens_file import create_token, list_tokens, revoke_token, rotate_token

__all__ = [
    "CHECK_INTERVAL_S",
    "KNOWN_SCOPES",
    "Authenticate",
    "Gate",
    "KeyRing",
    "Principal",
    "StoredToken",
    "TokenError",
    "create_token",
    "list_tokens",
    "open_principal",
    "require_scope",
    "revoke_token",
    "rotate_token",
]
