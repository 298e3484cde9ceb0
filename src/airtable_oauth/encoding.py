"""Random bytes, and their form in URLs, headers and cookies."""

import base64
from collections.abc import Callable

RandomBytes = Callable[[int], bytes]
"""Returns that many cryptographically random bytes, as `secrets.token_bytes` does."""


def base64url(data: bytes) -> str:
    """Base64url without padding (RFC 7636, appendix A)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
