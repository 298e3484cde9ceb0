from functools import partial

import pytest

from airtable_oauth.errors import DamagedRecord, UnknownEncryptionKey, UnknownRecordFormat
from airtable_oauth.stores.encrypted import EncryptedStore, Resealed
from airtable_oauth.stores.resealing import reseal_all
from tests.stores.backends import KEYS, Backend
from tests.world import FaultyStore

KEY = "airtable:login:one"


async def reseal(store: EncryptedStore, key: str) -> Resealed:
    """Read an entry, and encrypt it with the first key."""
    [entry] = await store.get_encrypted([key])
    return await store.reseal(key, entry)


async def test_what_is_stored_shows_nothing(plain: Backend) -> None:
    """The stored bytes contain neither value nor key, and differ each time."""
    store = EncryptedStore(plain.store, KEYS)
    await store.put(KEY, b"CANARY", 60)
    first = await plain.stored(KEY)
    await store.put(KEY, b"CANARY", 60)
    second = await plain.stored(KEY)
    assert first is not None
    assert second is not None
    assert first != second
    assert b"CANARY" not in first
    assert KEYS[0] not in first


async def test_first_key_encrypts_and_all_decrypt(plain: Backend) -> None:
    """Operators rotate the key by putting a new one first."""
    await EncryptedStore(plain.store, [KEYS[0]]).put(KEY, b"v", 60)
    assert await EncryptedStore(plain.store, [KEYS[1], KEYS[0]]).pop(KEY) == b"v"
    await EncryptedStore(plain.store, [KEYS[1], KEYS[0]]).put(KEY, b"w", 60)
    assert await EncryptedStore(plain.store, [KEYS[1]]).pop(KEY) == b"w"


async def test_unknown_key_is_a_configuration_error_and_the_record_stays(plain: Backend) -> None:
    """An operator who forgets an old key must not log everyone out."""
    await EncryptedStore(plain.store, [KEYS[0]]).put(KEY, b"v", 60)
    stranger = EncryptedStore(plain.store, [KEYS[1]])
    with pytest.raises(UnknownEncryptionKey):
        await stranger.get(KEY)
    with pytest.raises(UnknownEncryptionKey):
        await stranger.pop(KEY)
    assert await EncryptedStore(plain.store, [KEYS[0]]).pop(KEY) == b"v"


async def test_value_moved_to_another_key_is_not_opened(plain: Backend) -> None:
    """A ciphertext is bound to its storage key. A damaged entry is not treated as absent."""
    store = EncryptedStore(plain.store, KEYS)
    await store.put(KEY, b"mine", 60)
    await store.put("airtable:login:two", b"theirs", 60)
    theirs = await plain.stored("airtable:login:two")
    assert theirs is not None
    await plain.overwrite(KEY, theirs)
    for operation in (store.get, store.pop, partial(reseal, store)):
        with pytest.raises(DamagedRecord):
            await operation(KEY)
    assert await plain.stored(KEY) == theirs


async def test_edited_value_is_not_opened(plain: Backend) -> None:
    """This holds for the format byte, the key id, the nonce, the ciphertext and the tag."""
    store = EncryptedStore(plain.store, KEYS)
    await store.put(KEY, b"value", 60)
    sealed = await plain.stored(KEY)
    assert sealed is not None
    expected = [UnknownRecordFormat, *[UnknownEncryptionKey] * 8]
    expected += [DamagedRecord] * (len(sealed) - len(expected))
    for position, error in enumerate(expected):
        edited = bytearray(sealed)
        edited[position] ^= 1
        await plain.overwrite(KEY, bytes(edited))
        with pytest.raises(error):
            await store.get(KEY)
    await plain.overwrite(KEY, sealed)
    assert await store.pop(KEY) == b"value"


@pytest.mark.parametrize(
    "junk", [b"", b"\x01", b"\x02" + bytes(40), b"plain text, longer than any header"]
)
async def test_unknown_format_is_an_error_and_the_record_stays(plain: Backend, junk: bytes) -> None:
    """A newer version may have written it, or it was stored before encryption was configured."""
    await plain.store.put(KEY, junk, 60)
    store = EncryptedStore(plain.store, KEYS)
    for operation in (store.get, store.pop, partial(reseal, store)):
        with pytest.raises(UnknownRecordFormat):
            await operation(KEY)
    assert await plain.stored(KEY) == junk


async def test_record_is_sealed_again_with_the_first_key(plain: Backend) -> None:
    """Resealing happens once per entry and preserves the value and its expiry."""
    await EncryptedStore(plain.store, [KEYS[0]]).put(KEY, b"v", 60)
    await plain.advance(50)
    store = EncryptedStore(plain.store, [KEYS[1], KEYS[0]])
    assert await reseal(store, KEY) is Resealed.NOW
    assert await reseal(store, KEY) is Resealed.BEFORE
    assert 0 < await plain.ttl(KEY) <= 10
    assert await EncryptedStore(plain.store, [KEYS[1]]).pop(KEY) == b"v"
    assert await reseal(store, KEY) is Resealed.ABSENT


async def test_entry_that_changed_since_it_was_read_is_left_alone(plain: Backend) -> None:
    await EncryptedStore(plain.store, [KEYS[0]]).put(KEY, b"v", 60)
    store = EncryptedStore(plain.store, [KEYS[1], KEYS[0]])
    [entry] = await store.get_encrypted([KEY])
    await EncryptedStore(plain.store, [KEYS[0]]).put(KEY, b"w", 60)
    assert await store.reseal(KEY, entry) is Resealed.CHANGED
    assert await EncryptedStore(plain.store, [KEYS[0]]).pop(KEY) == b"w"


async def test_record_of_an_unknown_key_is_not_sealed_again(plain: Backend) -> None:
    """The stored value does not change."""
    await EncryptedStore(plain.store, [KEYS[0]]).put(KEY, b"v", 60)
    with pytest.raises(UnknownEncryptionKey):
        await reseal(EncryptedStore(plain.store, [KEYS[1]]), KEY)
    assert await EncryptedStore(plain.store, [KEYS[0]]).pop(KEY) == b"v"


async def no_pause(_seconds: float) -> None:
    """A pause between passes that returns immediately."""


async def test_every_record_is_counted(plain: Backend) -> None:
    """The run counts resealed, untouched and unreadable entries, the last by error code."""
    old, new = (EncryptedStore(plain.store, [key]) for key in KEYS)
    stranger = EncryptedStore(plain.store, [bytes(range(7, 39))])
    for number in range(20):
        await old.put(f"airtable:connection:old{number}", b"v", 60)
    await new.put("airtable:session:new", b"v", 60)
    await stranger.put("airtable:owner:strange", b"v", 60)
    await plain.store.put("airtable:owner:junk", b"\x02" + bytes(40), 60)
    await plain.store.put("other:owner:1", b"of another integration", 60)
    ring = EncryptedStore(plain.store, [KEYS[1], KEYS[0]])
    run = await reseal_all(ring, "airtable", sleep=no_pause)
    assert (run.seen, run.resealed, run.left_alone, run.changed) == (23, 20, 1, 0)
    assert run.unreadable == {"unknown_encryption_key": 1, "unknown_record_format": 1}
    assert sorted(run.unreadable_keys) == ["airtable:owner:junk", "airtable:owner:strange"]
    assert not run.complete
    for key in run.unreadable_keys:
        await plain.store.pop(key)
    run = await reseal_all(ring, "airtable", sleep=no_pause)
    assert (run.seen, run.resealed, run.left_alone) == (21, 0, 21)
    assert run.complete
    assert {await new.pop(f"airtable:connection:old{number}") for number in range(20)} == {b"v"}


async def test_record_that_changed_meanwhile_is_read_again(plain: Backend) -> None:
    """The next pass reseals it, and the concurrent change is preserved."""
    old = EncryptedStore(plain.store, [KEYS[0]])
    await old.put(KEY, b"v", 60)
    meanwhile = FaultyStore(plain.store, meanwhile=lambda: old.put(KEY, b"changed", 60))
    run = await reseal_all(EncryptedStore(meanwhile, KEYS[::-1]), "airtable", sleep=no_pause)
    assert (run.seen, run.resealed, run.changed, run.complete) == (1, 1, 1, True)
    assert await EncryptedStore(plain.store, [KEYS[1]]).pop(KEY) == b"changed"


async def test_process_that_still_writes_with_the_old_key_is_noticed(plain: Backend) -> None:
    """The run ends after five passes and reports that it is not complete."""
    old = EncryptedStore(plain.store, [KEYS[0]])
    await old.put(KEY, b"v", 60)

    async def pause(_seconds: float) -> None:
        await old.put(KEY, b"w", 60)

    run = await reseal_all(EncryptedStore(plain.store, KEYS[::-1]), "airtable", sleep=pause)
    assert (run.seen, run.resealed, run.complete) == (1, 5, False)


async def test_store_without_records_proves_nothing(plain: Backend) -> None:
    """An empty result may mean a wrong store URL or a wrong name, so the run is not complete."""
    run = await reseal_all(EncryptedStore(plain.store, KEYS), "airtable", sleep=no_pause)
    assert (run.seen, run.complete) == (0, False)
