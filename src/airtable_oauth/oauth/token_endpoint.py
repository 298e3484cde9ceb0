"""Airtable's token endpoint: sends the requests that `protocol` builds, once each."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx

from airtable_oauth.background import Slots, within
from airtable_oauth.causes import cause_of
from airtable_oauth.errors import UpstreamTimeout
from airtable_oauth.incidents import Incidents
from airtable_oauth.oauth.http import as_upstream_error, decompress, read_capped
from airtable_oauth.oauth.protocol import (
    TOKEN_PATH,
    OAuthClient,
    TokenSet,
    form_body,
    parse_token_response,
)


@dataclass(frozen=True, slots=True)
class TokenEndpoint:
    """Airtable's token endpoint, and the authorization URLs of the same server.

    The transport is used directly, without `httpx.AsyncClient`: no redirects, no retries, no
    cookies, nothing read from the environment.

    The slots limit the number of concurrent token requests in this process. Callers acquire a slot
    before they spend a code or token, so waiting does not count against `deadline`. Refreshes of
    stored connections have their own slots, so that requests from strangers cannot delay them.
    """

    client: OAuthClient
    url: str
    transport: httpx.AsyncBaseTransport
    deadline: float
    """Seconds for a whole call, from connecting to the last byte of the answer."""
    refresh_slots: Slots = field(default_factory=lambda: Slots(100, patience=60))
    """For refreshes of stored connections."""
    login_slots: Slots = field(default_factory=lambda: Slots(50, patience=5))
    """For the codes of logins. Anyone who begins a login can make up a code."""
    relay_slots: Slots = field(default_factory=lambda: Slots(20, patience=2))
    """For `POST /token-refresh`, which anyone can call."""
    incidents: Incidents = field(default_factory=lambda: Incidents("Airtable's token endpoint"))
    """Logs when the endpoint fails or refuses this client."""
    _authorization_url: str = field(init=False, repr=False)
    _headers: dict[str, str] = field(init=False, repr=False)
    _token_url: httpx.URL = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_authorization_url", self.client.authorization_url(self.url))
        object.__setattr__(self, "_headers", self.client.token_headers())
        object.__setattr__(self, "_token_url", httpx.URL(f"{self.url}{TOKEN_PATH}"))

    def authorization_url(self, *, state: str, code_challenge: str) -> str:
        """Return the URL of an authorization request; see `OAuthClient.authorization_url`."""
        return f"{self._authorization_url}&state={state}&code_challenge={code_challenge}"

    async def exchange(self, *, code: str, code_verifier: str) -> TokenSet:
        """Exchange an authorization code for tokens. Sends one request, never repeated.

        Raises:
            AirtableError: see `protocol.parse_token_response`; also `NotSent` and
                `UpstreamTimeout`.
        """
        return await self._tokens(self.client.exchange_form(code=code, code_verifier=code_verifier))

    async def refresh(self, *, refresh_token: str) -> TokenSet:
        """Exchange a refresh token for new tokens. Sends one request, never repeated.

        Raises:
            AirtableError: see `protocol.parse_token_response`; also `NotSent` and
                `UpstreamTimeout`.
        """
        form = self.client.refresh_form(refresh_token=refresh_token)
        return await self._tokens(form, sent_refresh_token=refresh_token)

    async def aclose(self) -> None:
        """Close the connections."""
        await self.transport.aclose()

    async def token_request(self, form: Mapping[str, str]) -> tuple[int, bytes]:
        """Send one token request. Returns Airtable's status and body, whatever they are.

        Raises:
            UpstreamError, NotSent, UpstreamTimeout: Airtable gave no complete answer.
        """
        try:
            return await within(self.deadline, self._post(form))
        except TimeoutError as error:
            raise UpstreamTimeout(cause=cause_of(error)) from None

    async def _tokens(
        self, form: Mapping[str, str], sent_refresh_token: str | None = None
    ) -> TokenSet:
        with self.incidents:
            status, body = await self.token_request(form)
            return parse_token_response(
                status,
                body,
                grant_type=form["grant_type"],
                requested_scope=" ".join(self.client.scopes),
                sent_refresh_token=sent_refresh_token,
            )

    async def _post(self, form: Mapping[str, str]) -> tuple[int, bytes]:
        request = httpx.Request(
            "POST",
            self._token_url,
            headers=self._headers,
            content=form_body(form),
            extensions={"timeout": {"connect": self.deadline / 2}},
        )
        try:
            response = await self.transport.handle_async_request(request)
            try:
                body = await read_capped(response)
            finally:
                await response.aclose()
        except httpx.TransportError as error:
            raise as_upstream_error(error) from None  # the cause may quote the request
        return response.status_code, decompress(body, response.headers.get("Content-Encoding"))
