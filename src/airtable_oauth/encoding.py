"""Random bytes, and their encoding for URLs, headers and cookies."""

import base64
from collections.abc import Callable

RandomBytes = Callable[[int], bytes]
"""Returns the given number of cryptographically random bytes, like `secrets.token_bytes`."""


def base64url(data: bytes) -> str:
    """Encode as base64url without padding (RFC 7636, appendix A)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
