"""The errors of this package. Each one is also the HTTP answer of a route that raises it.

AirtableOAuthError
├── InvalidRequest                 400  the request is malformed
│   ├── InvalidInput               422  a field is missing or invalid
│   ├── InvalidPath                400  the path of a Web API request leads outside `v0/`
│   ├── NotFound                   404
│   ├── MethodNotAllowed           405
│   ├── ContentTooLarge            413
│   ├── UriTooLong                 414
│   ├── UnsupportedMediaType       415
│   ├── HeadersTooLarge            431
│   ├── ClientClosedRequest        499  the client disconnected before the answer
│   └── CrossSiteRefused           403  another site sent the request, or may have
├── LoginNotFound                  400  no pending login of this browser has this state
├── NotConnected                   401  no session, or the owner has no such connection
├── ReconnectRequired              401  the connection to Airtable has ended
├── ConnectionNotNamed             400  the owner has several connections: the request must name one
├── OtherUser                      403  a different Airtable user granted the reconnect
├── RateLimited                    429  Airtable's rate limit was reached
│   └── TooManyUnderWay            429  this connection has too many requests in progress
├── AuthorizationError             400  Airtable's redirect carried an error, or no usable code
├── AirtableError                       Airtable gave no tokens, or no usable answer
│   ├── InvalidGrant               400  Airtable does not accept this code or refresh token
│   ├── TokenRequestRefused        400  Airtable calls the token request malformed
│   ├── RefreshConflict            409  this refresh token was used a moment ago
│   ├── ClientRefused              500  Airtable rejects our client ID, secret or configuration
│   ├── UpstreamError              502  an unusable answer, or a broken connection
│   │   └── NotSent                502  the request certainly did not reach Airtable
│   └── UpstreamTimeout            504  no complete answer in time
├── WebApiError                    502  Airtable's Web API answered with an error; a 4xx stays 4xx
├── ForeignOrigin                  500  a host app would send the token to another origin
├── ServerError                    500  a bug in this package
└── Unavailable                    503
    ├── StoreUnavailable           503  the store does not answer, or others keep changing a record
    ├── TooManyLogins              503  the store holds as many logins as it may
    ├── TokenEndpointBusy          503  too many token requests are in progress
    ├── TooManyUploads             503  too many uploads are in progress
    ├── ClockSkew                  503  the store's clock and this machine's differ
    ├── AccessUnavailable          503  the access token could not be refreshed yet
    └── UnreadableRecord           503  this process cannot read a record in the store
        ├── UnknownRecordFormat    503  a newer version wrote it, or it is not encrypted
        ├── UnknownEncryptionKey   503  it is encrypted with a key that is not configured
        └── DamagedRecord          503  it was changed outside the service
"""

import math
from enum import StrEnum
from typing import Self

from starlette.exceptions import HTTPException

CHALLENGE = 'Session realm="airtable"'
"""The `WWW-Authenticate` of each 401 (RFC 9110, section 15.5.2). Browsers do not know this scheme,
so they do not open a login dialog."""


class Action(StrEnum):
    """What a program or a person should do about an error."""

    RETRY = "retry"
    """Send the same request again later."""
    RESTART_LOGIN = "restart_login"
    """Begin a new login: request a new authorization URL."""
    RECONNECT = "reconnect"
    """The connection to Airtable has ended: the user must grant access again."""
    FIX_CONFIG = "fix_config"
    """The operator of the service, or the author of its client, must change something."""
    FIX_REQUEST = "fix_request"
    """Airtable refuses this request each time, for example because the record does not exist.

    Only a `WebApiError` has this action.
    """


class AirtableOAuthError(HTTPException):
    """The base class. It holds the whole HTTP answer.

    `status` is the HTTP status, `error` the code for programs (from RFC 6749 or Airtable where one
    exists), `description` the sentence for people. The answer never repeats what a caller sent.

    It is a Starlette `HTTPException`, so a host app's own routes also answer with the right status.
    """

    status: int = 500
    error: str = "server_error"
    action: Action = Action.RETRY
    description: str = "Something went wrong on our side."
    retry_after: int | None = None
    """Seconds to wait before the next try, for `Retry-After`."""
    return_to: str | None = None
    """The path to return to after the login, if the client gave one when it began the login."""
    cause: str | None = None
    """The cause, for the log: the type and code of the underlying exception, the status and error
    code of Airtable's answer, or a fixed text such as `contention`. It is not part of the HTTP
    answer. It never holds a message, which could quote a secret; see `causes.cause_of`."""

    def __init__(self, description: str | None = None, *, cause: str | None = None) -> None:
        if description is not None:
            self.description = description
        if cause is not None:
            self.cause = cause
        headers = {}
        if self.retry_after is not None:
            headers["Retry-After"] = str(self.retry_after)
        if self.status == 401:  # noqa: PLR2004
            headers["WWW-Authenticate"] = CHALLENGE
        super().__init__(self.status, self.description, headers or None)

    def ending_login(self, return_to: str | None) -> Self:
        """Mark this error as the end of a login and return it.

        The state is used up, so the client must restart the login, unless the configuration is
        at fault.
        """
        self.return_to = return_to
        if self.action is not Action.FIX_CONFIG:
            self.action = Action.RESTART_LOGIN
        return self


class InvalidRequest(AirtableOAuthError):
    """The request is malformed."""

    status = 400
    error = "invalid_request"
    action = Action.FIX_CONFIG
    description = "The request is malformed."


class InvalidInput(InvalidRequest):
    """A field of the request is missing or invalid."""

    status = 422


class InvalidPath(InvalidRequest):
    """The path of a request to the Web API is not a plain path below `v0/`."""

    description = "The path must be a plain path of Airtable's Web API that begins with v0/."


class NotFound(InvalidRequest):
    """No such path."""

    status = 404
    error = "not_found"
    description = "This path doesn't exist."


class MethodNotAllowed(InvalidRequest):
    """The path does not accept this method."""

    status = 405
    error = "method_not_allowed"
    description = "This path doesn't accept this method."


class ContentTooLarge(InvalidRequest):
    """The body is larger than that of any valid request."""

    status = 413
    error = "content_too_large"
    description = "The request body is too large."


class UriTooLong(InvalidRequest):
    """The request's path and query are longer than any valid ones."""

    status = 414
    error = "uri_too_long"
    description = "The request's URL is too long."


class UnsupportedMediaType(InvalidRequest):
    """The `Content-Type` is not JSON."""

    status = 415
    error = "unsupported_media_type"
    description = "Send the body as JSON, with Content-Type: application/json."


class HeadersTooLarge(InvalidRequest):
    """The request line and headers are larger than any valid ones."""

    status = 431
    error = "headers_too_large"
    description = "The request's URL and headers are too large."


class ClientClosedRequest(InvalidRequest):
    """The client disconnected before the answer. Only the access log shows this status."""

    status = 499
    error = "client_closed_request"
    action = Action.RETRY
    description = "The client closed the connection before the answer was sent."


class CrossSiteRefused(InvalidRequest):
    """Another site sent the request, or may have caused a browser to send it."""

    status = 403
    error = "cross_site_request"
    description = (
        "This page can't make this request. Its origin must be in the setting ALLOWED_ORIGINS, and "
        "on the same site as the service."
    )


class LoginNotFound(AirtableOAuthError):
    """This browser has no pending login with this state."""

    status = 400
    error = "login_not_found"
    action = Action.RESTART_LOGIN
    description = (
        "No pending sign-in matches this request. It expired, was already used, or was started in "
        "another browser, or this browser blocked its cookie."
    )


class NotConnected(AirtableOAuthError):
    """There is no session, or the owner has no such connection."""

    status = 401
    error = "not_connected"
    action = Action.RESTART_LOGIN
    description = "Airtable isn't connected. Connect it first."


class ReconnectRequired(AirtableOAuthError):
    """The connection has ended. The user must grant access again.

    `reason` is `revoked`, `expired` or `rotation_lost`.
    """

    status = 401
    error = "reconnect_required"
    action = Action.RECONNECT
    description = "The connection to Airtable has ended. Reconnect to continue."

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__()


class ConnectionNotNamed(AirtableOAuthError):
    """The owner has several connections, and the request does not name one."""

    status = 400
    error = "connection_not_named"
    action = Action.FIX_CONFIG
    description = "You have several connections. Name one in the X-Airtable-Connection header."


class OtherUser(AirtableOAuthError):
    """A different Airtable user granted the reconnect."""

    status = 403
    error = "other_airtable_user"
    action = Action.RESTART_LOGIN
    description = (
        "A different Airtable user granted access this time. Sign in to Airtable with the account "
        "you connected before, then try again."
    )


class RateLimited(AirtableOAuthError):
    """Airtable's rate limit for this base was reached."""

    status = 429
    error = "rate_limited"
    action = Action.RETRY
    description = "Airtable's rate limit for this base was reached. Try again in a moment."

    def __init__(self, seconds: float) -> None:
        self.retry_after = max(1, math.ceil(seconds))
        super().__init__()


class TooManyUnderWay(RateLimited):
    """A connection has reached its limit of concurrent requests in this process."""

    description = "Too many requests in progress for this connection. Wait for one to finish."

    def __init__(self) -> None:
        super().__init__(1)


class AuthorizationError(AirtableOAuthError):
    """Airtable's redirect carried an error (RFC 6749, section 4.1.2.1), or no usable code."""

    status = 400
    error = "invalid_request"
    action = Action.RESTART_LOGIN
    description = "Airtable didn't grant access."

    def __init__(self, error: str, action: Action, description: str) -> None:
        self.error = error
        self.action = action
        super().__init__(description)


class AirtableError(AirtableOAuthError):
    """A request to Airtable failed: it gave no tokens, or no usable answer."""


class InvalidGrant(AirtableError):
    """The code or refresh token was used, has expired, was revoked or is another client's."""

    status = 400
    error = "invalid_grant"
    action = Action.RECONNECT
    description = (
        "Airtable no longer accepts this grant. It was already used, expired or was revoked."
    )


class TokenRequestRefused(AirtableError):
    """Airtable calls the token request malformed."""

    status = 400
    error = "invalid_request"
    action = Action.RECONNECT
    description = "Airtable rejected the token request."


class RefreshConflict(AirtableError):
    """Airtable's 409: this refresh token was used a moment ago, as a rule by another client."""

    status = 409
    error = "already_refreshed"
    action = Action.RECONNECT
    description = (
        "This refresh token was just used, probably by another client that has the new tokens."
    )


class ClientRefused(AirtableError):
    """Airtable rejects our client ID, our secret, or what we ask for."""

    status = 500
    error = "invalid_client"
    action = Action.FIX_CONFIG
    description = (
        "Airtable rejected this service's client ID, secret or configuration. Its operator must "
        "compare them with the integration's page in Airtable."
    )

    def __init__(self, error: str = "invalid_client", *, cause: str | None = None) -> None:
        self.error = error
        super().__init__(cause=cause)


class UpstreamError(AirtableError):
    """The answer is unusable, or the connection broke. Airtable may have acted on the request."""

    status = 502
    error = "airtable_error"
    action = Action.RETRY
    description = "Airtable gave no usable response."


class NotSent(UpstreamError):
    """The request was certainly not sent.

    Airtable could not be reached, or this process was suspended before the request.
    """

    error = "airtable_unreachable"
    description = "Couldn't reach Airtable."


class UpstreamTimeout(AirtableError):
    """Airtable gave no complete answer in time. It may have acted on the request."""

    status = 504
    error = "airtable_timeout"
    action = Action.RETRY
    description = "Airtable didn't respond in time."


class WebApiError(AirtableOAuthError):
    """Airtable's Web API answered with an error: see `airtable_oauth.raise_for_error`.

    `status` is Airtable's status if that is 4xx, else 502. `error` is Airtable's error type, such
    as `INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND`; without one it is `HTTP_` and Airtable's status.
    `message` is Airtable's message, if it sent one. It may quote the request, so it is not part of
    the answer.
    """

    status = 502
    error = "airtable_error"
    action = Action.RETRY
    description = "Airtable returned an error."

    def __init__(
        self,
        status: int,
        *,
        error: str,
        action: Action,
        description: str,
        message: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        self.status = status
        self.error = error
        self.action = action
        self.message = message
        self.retry_after = retry_after
        super().__init__(description)


class ForeignOrigin(AirtableOAuthError):
    """A host app used our client for an origin other than Airtable's Web API."""

    action = Action.FIX_CONFIG
    description = "To protect its token, this client sends requests only to Airtable's Web API."


class ServerError(AirtableOAuthError):
    """A bug in this package."""


class Unavailable(AirtableOAuthError):
    """The service cannot handle the request at the moment."""

    status = 503
    error = "temporarily_unavailable"
    retry_after = 5
    description = "The service can't handle this request right now. Try again in a few seconds."


class StoreUnavailable(Unavailable):
    """The store fails or does not answer in time, or others keep changing the same record."""

    error = "store_unavailable"
    description = "The service can't reach its store. Try again in a few seconds."


class TooManyLogins(Unavailable):
    """The store is bounded, as `memory://` is, and holds as many logins as it may."""

    error = "too_many_logins"
    retry_after = 60
    description = "Too many sign-ins are in progress. Try again in a minute."


class TokenEndpointBusy(Unavailable):
    """This process has too many token requests in progress. This one was not sent."""

    description = "Too many token requests are in progress. Try again in a few seconds."


class TooManyUploads(Unavailable):
    """This process has too many uploads in progress. This one was not read."""

    description = "Too many uploads are in progress. Try again in a few seconds."


class ClockSkew(Unavailable):
    """The store's clock and this machine's differ by more than a day."""

    error = "clock_skew"
    action = Action.FIX_CONFIG
    description = (
        "The clocks of the store and this machine differ by more than a day. Correct them, then "
        "run this again."
    )


class AccessUnavailable(Unavailable):
    """The access token cannot be used any longer, and the refresh has not succeeded yet.

    It has expired, or expires too soon for the caller, or Airtable has rejected it.
    """

    error = "access_unavailable"
    description = "Access couldn't be refreshed yet. Try again in a few seconds."

    def __init__(self, seconds: float = 5.0) -> None:
        self.retry_after = max(1, math.ceil(seconds))
        super().__init__()


class UnreadableRecord(Unavailable):
    """This process cannot read a record in the store."""

    error = "unreadable_record"
    action = Action.FIX_CONFIG
    retry_after = 60
    description = "A record in the service's store can't be read."


class UnknownRecordFormat(UnreadableRecord):
    """A newer version of this package wrote a record, or it was stored without encryption."""

    error = "unknown_record_format"
    description = (
        "A stored record has an unknown format. If a newer version of this service wrote it, the "
        "operator must update this process. If it was stored without encryption, the operator must "
        "remove it."
    )


class UnknownEncryptionKey(UnreadableRecord):
    """A record is encrypted with a key that is not configured."""

    error = "unknown_encryption_key"
    description = (
        "A stored record is encrypted with a key that this process doesn't have. The operator must "
        "add that key to the setting ENCRYPTION_KEYS again."
    )


class DamagedRecord(UnreadableRecord):
    """A record cannot be decrypted with the key that it names: it was changed, or moved."""

    error = "damaged_record"
    description = (
        "A record in the service's store was changed or moved, but not by the service. The "
        "operator must restore or remove it."
    )
