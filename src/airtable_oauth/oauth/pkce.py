"""Proof Key for Code Exchange (RFC 7636): the verifier, its S256 challenge, and the state."""

import hashlib
import secrets

from airtable_oauth.encoding import RandomBytes, base64url


def code_verifier(random: RandomBytes = secrets.token_bytes) -> str:
    """Return a new `code_verifier` (RFC 7636, section 4.1): 128 characters with 768 random bits.

    128 is the longest that the RFC allows. base64url uses only `A-Z a-z 0-9 - _`, and so avoids
    the `~` that the RFC allows and Airtable does not.
    """
    return base64url(random(96))


def code_challenge(code_verifier: str) -> str:
    """Return the S256 `code_challenge` of a verifier (RFC 7636, section 4.2): 43 characters."""
    return base64url(hashlib.sha256(code_verifier.encode("ascii")).digest())


def state(random: RandomBytes = secrets.token_bytes) -> str:
    """Return a new `state` (RFC 6749, section 10.12): 64 characters with 384 random bits.

    Airtable requires 16 to 1024 characters of `A-Z a-z 0-9 . - _`.
    """
    return base64url(random(48))
