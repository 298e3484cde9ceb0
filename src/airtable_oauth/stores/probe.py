"""Proof that a store works: a small record is written, read back and removed."""

import secrets

from airtable_oauth.encoding import RandomBytes, base64url
from airtable_oauth.errors import StoreUnavailable
from airtable_oauth.stores import Store
from airtable_oauth.stores.keys import storage_key

_TTL = 30.0
"""Seconds after which a record that could not be removed expires."""


async def prove_write(
    store: Store, name: str, *, random: RandomBytes = secrets.token_bytes
) -> None:
    """Write a record and take it out again.

    That needs every right that a login needs. Reading alone also succeeds where the store is full,
    is a read-only replica, or grants no right to write.

    Raises:
        StoreUnavailable: the store cannot do one of both, or does not keep what is written.
    """
    key, value = storage_key(name, "probe", base64url(random(16))), random(16)
    await store.put(key, value, _TTL)
    if await store.pop(key) != value:
        raise StoreUnavailable(cause="the store did not keep a record")
