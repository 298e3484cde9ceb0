import sys

import pytest

from airtable_oauth.errors import TooManyLogins
from airtable_oauth.stores.connect import open_store, sealed
from airtable_oauth.stores.encrypted import EncryptedStore
from airtable_oauth.stores.memory import MemoryStore
from airtable_oauth.stores.redis import RedisStore
from airtable_oauth.stores.sql import SqlStore
from tests.helpers import make_settings

KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"


def test_store_is_what_the_url_names() -> None:
    """Nothing connects yet."""
    assert isinstance(open_store(make_settings()), MemoryStore)
    for url in ("redis://127.0.0.1:1", "rediss://127.0.0.1:1/2"):
        settings = make_settings(store_url=url, encryption_keys=KEY)
        assert isinstance(open_store(settings), RedisStore)
    for url in ("sqlite:///some.db", "postgresql://user@127.0.0.1:1/name"):
        settings = make_settings(store_url=url, encryption_keys=KEY)
        assert isinstance(open_store(settings), SqlStore)


async def test_embedded_store_is_bounded_as_configured() -> None:
    """By `MAX_PENDING_LOGINS`, for this integration's logins."""
    store = open_store(make_settings(name="crm", max_pending_logins=1))
    await store.put("crm:login:1", b"v", 60)
    with pytest.raises(TooManyLogins):
        await store.put("crm:login:2", b"v", 60)


@pytest.mark.parametrize(
    ("url", "extra"), [("redis://127.0.0.1:1", "redis"), ("sqlite:///some.db", "sql")]
)
def test_missing_driver_names_its_extra(
    monkeypatch: pytest.MonkeyPatch, url: str, extra: str
) -> None:
    """Instead of an import error of a package that nobody asked for by name."""
    monkeypatch.setitem(sys.modules, f"airtable_oauth.stores.{extra}", None)
    settings = make_settings(store_url=url, encryption_keys=KEY)
    with pytest.raises(ModuleNotFoundError, match=rf"airtable-oauth\[{extra}\]"):
        open_store(settings)


def test_keys_seal_any_store() -> None:
    """Without keys it stays as it is, which only `memory://` allows."""
    store = MemoryStore()
    assert sealed(store, make_settings()) is store
    assert isinstance(sealed(store, make_settings(encryption_keys=KEY)), EncryptedStore)
