"""Where things lie in a store: under hashes, never under a raw state, session or owner."""

import hashlib

from airtable_oauth.encoding import base64url


def storage_key(name: str, namespace: str, *secrets: str) -> str:
    """`name:namespace:digest`, where the digest covers the namespace and all secrets."""
    return f"{name}:{namespace}:{digest(namespace, *secrets)}"


def digest(*parts: str) -> str:
    """SHA-256 of parts that cannot run into each other: 43 characters of base64url."""
    joined = "\0".join(parts).encode("utf-8", "surrogatepass")
    return base64url(hashlib.sha256(joined).digest())
