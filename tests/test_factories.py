import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airtable_oauth import AirtableOAuth, TokenSet, create_app
from airtable_oauth.errors import TooManyLogins
from airtable_oauth.factories import encrypted_store, open_store
from airtable_oauth.stores.encrypted import EncryptedStore
from airtable_oauth.stores.memory import MemoryStore
from airtable_oauth.stores.redis import RedisStore
from airtable_oauth.stores.sql import SqlStore
from tests.helpers import make_settings

KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"


def test_store_is_what_the_url_names() -> None:
    """Opening a store does not connect."""
    assert isinstance(open_store(make_settings()), MemoryStore)
    for url in ("redis://127.0.0.1:1", "rediss://127.0.0.1:1/2"):
        settings = make_settings(store_url=url, encryption_keys=KEY)
        assert isinstance(open_store(settings), RedisStore)
    for url in ("sqlite:///some.db", "postgresql://user@127.0.0.1:1/name"):
        settings = make_settings(store_url=url, encryption_keys=KEY)
        assert isinstance(open_store(settings), SqlStore)


async def test_memory_store_is_bounded_as_configured() -> None:
    """`MAX_PENDING_LOGINS` limits this integration's logins."""
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
    """The error must not name a package that the user never asked for."""
    monkeypatch.setitem(sys.modules, f"airtable_oauth.stores.{extra}", None)
    settings = make_settings(store_url=url, encryption_keys=KEY)
    with pytest.raises(ModuleNotFoundError, match=rf"airtable-oauth\[{extra}\]"):
        open_store(settings)


@pytest.mark.parametrize("build", [AirtableOAuth, create_app])
def test_store_of_a_hosts_own_needs_keys(build: Callable[..., Any]) -> None:
    """Tokens would be stored unencrypted, unless the host asks for that explicitly."""
    store = SqlStore("sqlite:///some.db")
    with pytest.raises(ValueError, match="ENCRYPTION_KEYS is missing, and this store needs it"):
        build(make_settings(), store=store)
    build(make_settings(encryption_keys=KEY), store=store)
    build(make_settings(), store=store, unencrypted=True)
    build(make_settings(), store=EncryptedStore(store, [bytes(range(32))]))
    build(make_settings(), store=MemoryStore())


async def test_store_of_a_hosts_own_holds_no_token_in_clear(tmp_path: Path) -> None:
    """The store writes to disk, and the settings have keys."""
    file = tmp_path / "own.db"
    airtable = AirtableOAuth(
        make_settings(encryption_keys=KEY), store=SqlStore(f"sqlite:///{file}")
    )
    tokens = TokenSet("oaa-CANARY", "oar-CANARY", "data.records:read", 3600, 86400)
    await airtable.adopt("ann", tokens)
    await airtable.aclose()
    assert b"airtable:connection:" in file.read_bytes()
    assert b"CANARY" not in file.read_bytes()


def test_keys_seal_any_store() -> None:
    """Without keys the store is not encrypted, which settings allow for `memory://` only."""
    store = MemoryStore()
    assert encrypted_store(store, make_settings()) is store
    assert isinstance(encrypted_store(store, make_settings(encryption_keys=KEY)), EncryptedStore)
