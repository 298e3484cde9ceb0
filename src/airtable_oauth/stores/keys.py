"""Storage keys. They contain hashes, never a raw state, session or owner."""

import hashlib

from airtable_oauth.encoding import base64url


def storage_key(name: str, namespace: str, *secrets: str) -> str:
    """Return `name:namespace:digest`. The digest covers the namespace and all secrets."""
    return f"{name}:{namespace}:{digest(namespace, *secrets)}"


def digest(*parts: str) -> str:
    """Hash the parts with SHA-256, separated by NUL. Returns 43 characters of base64url."""
    joined = "\0".join(parts).encode("utf-8", "surrogatepass")
    return base64url(hashlib.sha256(joined).digest())
