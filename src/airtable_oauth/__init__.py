"""Connect an app to Airtable: OAuth 2.0 with PKCE.

As a service: `airtable-oauth serve`, or `create_app` for an ASGI server of your own. As a library:
`AirtableOAuth`, mounted in a FastAPI app.

The public names are these, all of `airtable_oauth.errors`, the `Store` protocol of
`airtable_oauth.stores`, and for the tests of an app that embeds this, `airtable_oauth.testing`.
"""

from airtable_oauth.app import create_app
from airtable_oauth.errors import AirtableOAuthError, NotConnected, ReconnectRequired
from airtable_oauth.hooks import Hook
from airtable_oauth.idle import IdleOutcome
from airtable_oauth.integration import AirtableOAuth
from airtable_oauth.protocol import TokenSet
from airtable_oauth.records import Connection, Reason, Status, User
from airtable_oauth.settings import Settings
from airtable_oauth.web_api_errors import raise_for_error

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
