"""What `airtable-oauth check --online` finds out from Airtable."""

import httpx

from airtable_oauth.causes import cause_of
from airtable_oauth.cli.findings import Finding, fault, ok
from airtable_oauth.errors import AirtableOAuthError, ClientRefused
from airtable_oauth.factories import build_token_endpoint
from airtable_oauth.oauth.http import new_transport
from airtable_oauth.oauth.pkce import code_verifier
from airtable_oauth.oauth.protocol import parse_token_response
from airtable_oauth.settings import Settings


async def check_client(settings: Settings, transport: httpx.AsyncBaseTransport | None) -> Finding:
    """Send a code that cannot exist, to see whether Airtable rejects the client."""
    token_endpoint = build_token_endpoint(settings, transport or new_transport())
    form = token_endpoint.client.exchange_form(
        code="airtable-oauth-check", code_verifier=code_verifier()
    )
    try:
        status, body = await token_endpoint.token_request(form)
        parse_token_response(status, body, grant_type=form["grant_type"], requested_scope="")
    except ClientRefused as error:
        return fault(
            settings.variable("client_id"),
            f"Airtable rejects it with this secret ({error.error}): compare both with the "
            "integration's page",
        )
    except AirtableOAuthError as error:
        if error.status == 400:  # noqa: PLR2004 (Airtable rejects the code, as it should)
            return ok("Airtable accepts the client ID, with the secret if there is one")
        return fault(settings.variable("airtable_url"), f"{error.description} ({cause_of(error)})")
    finally:
        await token_endpoint.aclose()
    return fault(
        settings.variable("airtable_url"),
        "this server issues tokens for a made-up code, so it is not Airtable",
    )
