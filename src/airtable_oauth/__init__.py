"""Connect an app to Airtable: OAuth 2.0 with PKCE.

As a service: `airtable-oauth serve`, or `create_app` for an ASGI server of your own. As a library:
`AirtableOAuth`, mounted in a FastAPI app.

These are public: the names in `__all__` below, every name in `airtable_oauth.errors`,
`Store`, `Entry` and `Turn` in `airtable_oauth.stores`, `MemoryStore` in
`airtable_oauth.stores.memory`, `faults` in `airtable_oauth.settings`, and `airtable_oauth.testing`,
for the tests of apps that embed this package.
"""

from airtable_oauth.airtable_api.errors import raise_for_error
from airtable_oauth.airtable_api.user import User
from airtable_oauth.app import create_app
from airtable_oauth.errors import AirtableOAuthError, NotConnected, ReconnectRequired
from airtable_oauth.integration import AirtableOAuth
from airtable_oauth.oauth.protocol import TokenSet
from airtable_oauth.settings import Settings
from airtable_oauth.vault.events import Hook
from airtable_oauth.vault.idle import IdleOutcome
from airtable_oauth.vault.model import Connection, Reason, Status

__all__ = [
    "AirtableOAuth",
    "AirtableOAuthError",
    "Connection",
    "Hook",
    "IdleOutcome",
    "NotConnected",
    "Reason",
    "ReconnectRequired",
    "Settings",
    "Status",
    "TokenSet",
    "User",
    "create_app",
    "raise_for_error",
]
