"""Builds the store and the token endpoint that the settings describe."""

import time
from collections.abc import Callable

import httpx

from airtable_oauth.incidents import Incidents
from airtable_oauth.oauth.protocol import OAuthClient
from airtable_oauth.oauth.token_endpoint import TokenEndpoint
from airtable_oauth.settings import Settings, decode_key
from airtable_oauth.stores import Store
from airtable_oauth.stores.encrypted import EncryptedStore
from airtable_oauth.stores.memory import MemoryStore


def open_store(settings: Settings) -> Store:
    """Build the store for `STORE_URL`. It connects on first use; drivers are imported only here.

    Raises:
        ModuleNotFoundError: the driver's extra is not installed.
    """
    url = settings.store_url.get_secret_value()
    if url.startswith("memory:"):
        most = settings.max_pending_logins
        return MemoryStore(
            limits={f"{settings.name}:login": most, f"{settings.name}:unbound": most}
        )
    size = settings.store_pool_size
    timeout = settings.store_timeout
    extra = "redis" if url.startswith("redis") else "sql"
    try:
        if extra == "redis":
            from airtable_oauth.stores.redis import RedisStore  # noqa: PLC0415 (0.2 s to import)

            return RedisStore(url, timeout=timeout, pool_size=size)
        from airtable_oauth.stores.sql import SqlStore  # noqa: PLC0415 (0.5 s to import)

        return SqlStore(url, timeout=timeout, pool_size=size)
    except ImportError as error:
        variable = settings.variable("store_url")
        raise ModuleNotFoundError(
            f"{variable} needs a driver: pip install 'airtable-oauth[{extra}]'"
        ) from error


def encrypted_store(store: Store, settings: Settings, *, unencrypted: bool = False) -> Store:
    """Wrap a store with encryption. Without keys, an in-memory or encrypted store stays as it is.

    Raises:
        ValueError: the store needs keys, there are none, and `unencrypted` is False.
    """
    keys = [decode_key(key.get_secret_value()) for key in settings.encryption_keys]
    if keys:
        return EncryptedStore(store, keys)
    if unencrypted or isinstance(store, MemoryStore | EncryptedStore):
        return store
    variable = settings.variable("encryption_keys")
    raise ValueError(
        f"{variable} is missing, and this store needs it: create one with "
        "`airtable-oauth keys new`, or pass unencrypted=True if the store itself encrypts its data"
    )


def build_token_endpoint(
    settings: Settings,
    transport: httpx.AsyncBaseTransport,
    monotonic: Callable[[], float] = time.monotonic,
) -> TokenEndpoint:
    """Airtable's token endpoint, with the URL and the client's credentials from the settings."""
    return TokenEndpoint(
        client=OAuthClient(
            client_id=settings.client_id,
            client_secret=settings.client_secret.get_secret_value(),
            redirect_uri=settings.redirect_uri,
            scopes=settings.scopes,
        ),
        url=settings.airtable_url,
        transport=transport,
        deadline=settings.upstream_timeout,
        incidents=Incidents("Airtable's token endpoint", monotonic),
    )
