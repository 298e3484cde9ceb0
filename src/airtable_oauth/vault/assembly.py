"""Puts the parts of a vault together."""

from dataclasses import dataclass

from airtable_oauth.oauth.token_endpoint import TokenEndpoint
from airtable_oauth.runtime import Runtime
from airtable_oauth.stores import Store
from airtable_oauth.stores.clock import StoreClock
from airtable_oauth.vault.access import AccessTokens
from airtable_oauth.vault.connections import Connections
from airtable_oauth.vault.events import Hooks
from airtable_oauth.vault.follow_up import FollowUp
from airtable_oauth.vault.grants import Grants
from airtable_oauth.vault.identity import Identities, WhoAmI
from airtable_oauth.vault.lifecycle import Lifecycle
from airtable_oauth.vault.owners import Owners
from airtable_oauth.vault.refresh import Refresher
from airtable_oauth.vault.repository import ConnectionRepository


@dataclass(frozen=True, slots=True)
class Vault:
    """The connections of one integration: reading, using and changing them."""

    repository: ConnectionRepository
    connections: Connections
    access_tokens: AccessTokens
    lifecycle: Lifecycle
    grants: Grants
    refresher: Refresher


def build_vault(
    *,
    name: str,
    store: Store,
    store_clock: StoreClock,
    store_seconds: float,
    token_endpoint: TokenEndpoint,
    whoami: WhoAmI,
    hooks: Hooks,
    runtime: Runtime,
    session_seconds: float,
    allow_other_user: bool,
    separate_connections: bool,
) -> Vault:
    """The vault of the integration `name`. The parts say what each argument means."""
    background, sleep, random = runtime.background, runtime.sleep, runtime.random
    repository = ConnectionRepository(store, name)
    owners = Owners(store, name, sleep)
    identities = Identities(repository, whoami, store_clock, sleep)
    connections = Connections(repository, owners)
    refresher = Refresher(
        repository=repository,
        token_endpoint=token_endpoint,
        clock=store_clock,
        background=background,
        after=FollowUp(owners, identities, hooks),
        sleep=sleep,
        store_seconds=store_seconds,
    )
    access_tokens = AccessTokens(repository, refresher, store_clock, background, sleep)
    lifecycle = Lifecycle(repository, owners, hooks, store_clock, background, sleep, random)
    grants = Grants(
        connections=connections,
        access_tokens=access_tokens,
        lifecycle=lifecycle,
        identities=identities,
        hooks=hooks,
        random=random,
        session_seconds=session_seconds,
        allow_other_user=allow_other_user,
        separate_connections=separate_connections,
    )
    return Vault(repository, connections, access_tokens, lifecycle, grants, refresher)
