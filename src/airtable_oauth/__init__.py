"""Connect an app to Airtable: OAuth 2.0 with PKCE.

As a service: `airtable-oauth serve`, or `create_app` for an ASGI server of your own. As a library:
`AirtableOAuth`, mounted in a FastAPI app.
"""

from airtable_oauth.app import create_app
from airtable_oauth.integration import AirtableOAuth
from airtable_oauth.settings import Settings

__all__ = ["AirtableOAuth", "Settings", "create_app"]
