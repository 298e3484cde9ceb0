"""Encrypts the values of any store, except turns. A leaked copy of the store reveals no secret."""

import hashlib
import os
from collections.abc import AsyncIterator, Sequence
from enum import Enum

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV

from airtable_oauth.encoding import RandomBytes
from airtable_oauth.errors import DamagedRecord, UnknownEncryptionKey, UnknownRecordFormat
from airtable_oauth.stores import Entry, Store, Turn

_FORMAT = b"\x01"
_KEY_ID_BYTES = 8
_NONCE_BYTES = 12
_HEADER_BYTES = len(_FORMAT) + _KEY_ID_BYTES + _NONCE_BYTES


class Resealed(Enum):
    """The result of `EncryptedStore.reseal`."""

    NOW = "re-encrypted with the first key"
    BEFORE = "already encrypted with the first key"
    CHANGED = "changed or removed by another process"
    ABSENT = "absent"


class EncryptedStore:
    """Wraps a store with AES-256-GCM-SIV (RFC 8452). The storage key is the associated data.

    Each of `keys` has 32 bytes. The first encrypts, and all decrypt.

    An encrypted value is `format ‖ key id ‖ nonce ‖ ciphertext and tag`. With random nonces,
    GCM-SIV stays safe for far more messages than one key will ever encrypt.

    A value that cannot be decrypted stays in the store. Reading it raises a subclass of
    `errors.UnreadableRecord`: `UnknownRecordFormat`, `UnknownEncryptionKey`, or `DamagedRecord` if
    it was edited or moved to another storage key. It never counts as absent, because callers store
    new values under absent keys.
    """

    def __init__(
        self, store: Store, keys: Sequence[bytes], *, random: RandomBytes = os.urandom
    ) -> None:
        self._store = store
        self._ciphers = {_key_id(key): AESGCMSIV(key) for key in keys}
        self._first = _key_id(keys[0])
        self._random = random

    async def get(self, key: str) -> Entry | None:
        """See `Store.get`."""
        entry = await self._store.get(key)
        if entry is None:
            return None
        return Entry(self._open(key, entry.value), entry.version)

    async def get_many(self, keys: Sequence[str]) -> list[Entry | None]:
        """See `Store.get_many`. One value that cannot be decrypted makes the whole call fail."""
        entries = await self._store.get_many(keys)
        return [
            None if entry is None else Entry(self._open(key, entry.value), entry.version)
            for key, entry in zip(keys, entries, strict=True)
        ]

    async def put(self, key: str, value: bytes, ttl: float) -> None:
        """See `Store.put`."""
        await self._store.put(key, self._seal(key, value), ttl)

    async def add(self, key: str, value: bytes, ttl: float) -> bool:
        """See `Store.add`."""
        return await self._store.add(key, self._seal(key, value), ttl)

    async def pop(self, key: str) -> bytes | None:
        """See `Store.pop`.

        Decrypts the value first and then discards it by version, so that a value that cannot be
        decrypted stays. Of many concurrent callers, only one succeeds in discarding it.
        """
        entry = await self.get(key)
        if entry is None or not await self._store.discard(key, version=entry.version):
            return None
        return entry.value

    async def replace(self, key: str, value: bytes, ttl: float | None, *, version: bytes) -> bool:
        """See `Store.replace`."""
        return await self._store.replace(key, self._seal(key, value), ttl, version=version)

    async def discard(self, key: str, *, version: bytes) -> bool:
        """See `Store.discard`."""
        return await self._store.discard(key, version=version)

    async def reserve_turn(self, key: str, *, most: int, window: float, within: float) -> Turn:
        """See `Store.reserve_turn`. Times are not encrypted, because the store compares them."""
        return await self._store.reserve_turn(key, most=most, window=window, within=within)

    async def delay_turns(self, key: str, *, most: int, window: float, seconds: float) -> None:
        """See `Store.delay_turns`."""
        await self._store.delay_turns(key, most=most, window=window, seconds=seconds)

    async def get_encrypted(self, keys: Sequence[str]) -> list[Entry | None]:
        """Return the entries under these keys, still encrypted, for `reseal`."""
        return await self._store.get_many(keys)

    async def reseal(self, key: str, entry: Entry | None) -> Resealed:
        """Re-encrypt an entry from `get_encrypted` with the first encryption key.

        Its remaining time to live stays the same.

        Raises:
            UnreadableRecord: the value cannot be decrypted.
        """
        if entry is None:
            return Resealed.ABSENT
        value = self._open(key, entry.value)
        if entry.value.startswith(_FORMAT + self._first):
            return Resealed.BEFORE
        sealed = self._seal(key, value)
        done = await self._store.replace(key, sealed, None, version=entry.version)
        return Resealed.NOW if done else Resealed.CHANGED

    def scan(
        self, namespace: str, *, skip_ttl: tuple[float, float] | None = None
    ) -> AsyncIterator[str]:
        """See `Store.scan`."""
        return self._store.scan(namespace, skip_ttl=skip_ttl)

    async def now(self) -> float:
        """See `Store.now`."""
        return await self._store.now()

    async def close(self) -> None:
        """See `Store.close`."""
        await self._store.close()

    def _seal(self, key: str, value: bytes) -> bytes:
        nonce = self._random(_NONCE_BYTES)
        header = _FORMAT + self._first + nonce
        return header + self._ciphers[self._first].encrypt(nonce, value, key.encode())

    def _open(self, key: str, sealed: bytes) -> bytes:
        header, ciphertext = sealed[:_HEADER_BYTES], sealed[_HEADER_BYTES:]
        if len(header) < _HEADER_BYTES or not header.startswith(_FORMAT):
            raise UnknownRecordFormat
        cipher = self._ciphers.get(header[len(_FORMAT) : -_NONCE_BYTES])
        if cipher is None:
            raise UnknownEncryptionKey
        try:
            return cipher.decrypt(header[-_NONCE_BYTES:], ciphertext, key.encode())
        except InvalidTag as error:
            raise DamagedRecord from error


def _key_id(key: bytes) -> bytes:
    return hashlib.sha256(b"airtable-oauth key id\0" + key).digest()[:_KEY_ID_BYTES]
