"""Checks that a store works: writes a small record, reads it back and removes it."""

import secrets

from airtable_oauth.encoding import RandomBytes, base64url
from airtable_oauth.errors import StoreUnavailable
from airtable_oauth.stores import Store
from airtable_oauth.stores.keys import storage_key

_TTL = 30.0
"""Seconds until a record that could not be removed expires."""


async def prove_write(
    store: Store, name: str, *, random: RandomBytes = secrets.token_bytes
) -> None:
    """Write a record and remove it again.

    This needs every permission that a login needs. Reading alone would also succeed if the store
    is full, is a read-only replica, or grants no write permission.

    Raises:
        StoreUnavailable: writing or removing failed, or the store lost the record.
    """
    key, value = storage_key(name, "probe", base64url(random(16))), random(16)
    await store.put(key, value, _TTL)
    if await store.pop(key) != value:
        raise StoreUnavailable(cause="the store lost a record that it had just written")
