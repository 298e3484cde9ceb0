"""Logins that any browser may finish."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from airtable_oauth.oauth import pkce
from airtable_oauth.oauth.login_record import take_login
from airtable_oauth.oauth.token_endpoint import TokenEndpoint
from airtable_oauth.stores import Store
from airtable_oauth.stores.keys import storage_key


@dataclass(frozen=True, slots=True)
class UnboundLogins:
    """Logins in progress of apps that were written for the Node service; they send no cookies.

    See `web.routers.node_compat`. These logins have their own namespace, so `Logins` does not know
    their states, and vice versa.
    """

    store: Store
    token_endpoint: TokenEndpoint
    name: str
    ttl: float
    random: Callable[[int], bytes] = secrets.token_bytes

    async def begin(self) -> str:
        """Start a login. Returns its authorization URL.

        Raises:
            Unavailable: the login could not be stored.
        """
        state = pkce.state(self.random)
        code_verifier = pkce.code_verifier(self.random)
        await self.store.put(self._key(state), code_verifier.encode(), self.ttl)
        return self.token_endpoint.authorization_url(
            state=state, code_challenge=pkce.code_challenge(code_verifier)
        )

    async def take(self, state: str) -> str | None:
        """Remove a login and return its verifier, or None. Of several calls, only one gets it.

        Raises:
            Unavailable: the store does not answer. If it may have removed the login, the action
                is `restart_login`.
        """
        key = self._key(state)
        entry = await self.store.get(key)
        if entry is None or not await take_login(self.store, key, entry.version, return_to=None):
            return None
        return entry.value.decode()

    def _key(self, state: str) -> str:
        return storage_key(self.name, "unbound", state)
