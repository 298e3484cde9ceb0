"""Every error that this package raises for a reason it knows. Each knows how to answer it.

AirtableOAuthError
├── InvalidRequest                 400  the request makes no sense
│   ├── InvalidInput               422  ... its fields do not
│   ├── InvalidPath                400  ... it asks the proxy for what is not below `v0/`
│   ├── NotFound                   404
│   ├── MethodNotAllowed           405
│   ├── ContentTooLarge            413
│   ├── UriTooLong                 414
│   ├── UnsupportedMediaType       415
│   ├── HeadersTooLarge            431
│   ├── ClientClosedRequest        499  the client left before it had an answer
│   └── CrossSiteRefused           403  it comes from another site, or could
├── LoginNotFound                  400  no login of this browser has that state
├── NotConnected                   401  no session, or no such connection of this owner's
├── ReconnectRequired              401  the connection to Airtable has ended
├── ConnectionNotNamed             400  the owner has several: the request must name one
├── OtherUser                      403  a reconnect was granted by another Airtable user
├── RateLimited                    429  Airtable has had enough for a moment
│   └── TooManyUnderWay            429  ... too many requests of this connection are under way
├── AuthorizationError             400  Airtable's redirect says no
├── AirtableError                       Airtable's token endpoint did not answer with tokens
│   ├── InvalidGrant               400  code or refresh token is spent, expired or foreign
│   ├── TokenRequestRefused        400  Airtable calls the request malformed
│   ├── RefreshConflict            409  this refresh token was used a moment ago
│   ├── ClientRefused              500  Airtable does not accept our client id, secret or set-up
│   ├── UpstreamError              502  an answer that makes no sense, or none at all
│   │   └── NotSent                502  the request certainly did not reach Airtable
│   └── UpstreamTimeout            504  no complete answer in time
├── WebApiError                    502  Airtable's Web API answered with an error; a 4xx stays 4xx
├── ForeignOrigin                  500  a host app's request would take the token elsewhere
├── ServerError                    500  a defect of ours
└── Unavailable                    503
    ├── StoreUnavailable           503  the store does not answer
    ├── TooManyLogins              503  the login cache is full
    ├── TokenEndpointBusy          503  too many token requests are under way
    ├── TooManyUploads             503  too many uploads are under way
    ├── ClockSkew                  503  the store's clock and this machine's disagree
    ├── AccessUnavailable          503  the access token has ended and could not be renewed yet
    └── UnreadableRecord           503  a record is there, and this process cannot read it
        ├── UnknownRecordFormat    503  ... a newer version of this package wrote it
        ├── UnknownEncryptionKey   503  ... it is encrypted with a key that is not configured
        └── DamagedRecord          503  ... it was changed outside the service
"""

import math
from enum import StrEnum
from typing import Self

from starlette.exceptions import HTTPException

CHALLENGE = 'Session realm="airtable"'
"""The `WWW-Authenticate` of each 401 (RFC 9110, section 15.5.2). No browser knows the scheme, so
none opens a login dialog."""


class Action(StrEnum):
    """What to do about an error, for a program as for a person."""

    RETRY = "retry"
    """The same request may work in a moment."""
    RESTART_LOGIN = "restart_login"
    """This login is over: ask for a new authorization URL."""
    RECONNECT = "reconnect"
    """The connection to Airtable has ended: the user must grant access again."""
    FIX_CONFIG = "fix_config"
    """Whoever runs the service, or wrote its client, must change something."""


class AirtableOAuthError(HTTPException):
    """The root: carries the whole answer.

    `status` is the HTTP status, `error` the code for programs (RFC 6749 or Airtable's where one
    exists), `description` the sentence for people. None of it holds anything that a caller sent.

    It is Starlette's `HTTPException`: in a route of a host app, too, it becomes an answer with the
    right status.
    """

    status: int = 500
    error: str = "server_error"
    action: Action = Action.RETRY
    description: str = "Something went wrong on our side."
    retry_after: int | None = None
    """Seconds to wait before the next try, for `Retry-After`."""
    return_to: str | None = None
    """Where the user was when the login began, if the client said so."""
    cause: str | None = None
    """Why, for the log: the type and code of the exception below, or the status and error code of
    Airtable's answer. It never holds a message, which could quote a secret; see `causes.cause_of`.
    It is not part of an answer."""

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
        """The same error as the end of a login, which can only start again: its state is spent."""
        self.return_to = return_to
        if self.action is not Action.FIX_CONFIG:
            self.action = Action.RESTART_LOGIN
        return self


class InvalidRequest(AirtableOAuthError):
    """The request makes no sense."""

    status = 400
    error = "invalid_request"
    action = Action.FIX_CONFIG
    description = "The request is malformed."


class InvalidInput(InvalidRequest):
    """The request's fields do not hold what the documentation asks for."""

    status = 422


class InvalidPath(InvalidRequest):
    """The proxy is asked for something that is not plainly below `v0/`."""

    description = "Ask for paths of Airtable's Web API: v0/…, each segment plain."


class NotFound(InvalidRequest):
    """No such path."""

    status = 404
    error = "not_found"
    description = "There is nothing at this path."


class MethodNotAllowed(InvalidRequest):
    """The path does not take this method."""

    status = 405
    error = "method_not_allowed"
    description = "This path does not take this method."


class ContentTooLarge(InvalidRequest):
    """The body is larger than any valid request."""

    status = 413
    error = "content_too_large"
    description = "The request body is too large."


class UriTooLong(InvalidRequest):
    """The request's path and query are longer than any valid ones."""

    status = 414
    error = "uri_too_long"
    description = "The request's path and query are too long."


class UnsupportedMediaType(InvalidRequest):
    """The body does not say that it is JSON."""

    status = 415
    error = "unsupported_media_type"
    description = "Send the body as JSON, with Content-Type: application/json."


class HeadersTooLarge(InvalidRequest):
    """The request's head is larger than any valid one."""

    status = 431
    error = "headers_too_large"
    description = "The request's URL and headers are too large."


class ClientClosedRequest(InvalidRequest):
    """The client left before it had an answer; only the access log shows this status."""

    status = 499
    error = "client_closed_request"
    action = Action.RETRY
    description = "The client closed the connection before it had an answer."


class CrossSiteRefused(InvalidRequest):
    """The request comes from another site, or could have been caused by one."""

    status = 403
    error = "cross_site_request"
    description = (
        "Requests from this origin, or of this kind, are not accepted. The setting "
        "ALLOWED_ORIGINS lists the origins of pages that may call."
    )


class LoginNotFound(AirtableOAuthError):
    """No login of this browser is waiting for that state."""

    status = 400
    error = "login_not_found"
    action = Action.RESTART_LOGIN
    description = (
        "No login of this browser is waiting for this state: it has ended, expired, or was begun "
        "elsewhere, or the browser did not keep its cookie."
    )


class NotConnected(AirtableOAuthError):
    """There is no session, or no such connection of this owner's."""

    status = 401
    error = "not_connected"
    action = Action.RESTART_LOGIN
    description = "Airtable is not connected here: connect it first."


class ReconnectRequired(AirtableOAuthError):
    """The connection has ended; only the user can begin a new one.

    `reason` says why: `revoked`, `expired` or `rotation_lost`.
    """

    status = 401
    error = "reconnect_required"
    action = Action.RECONNECT
    description = "The connection to Airtable has ended: access must be granted again."

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__()


class ConnectionNotNamed(AirtableOAuthError):
    """The owner has several connections, and the request says for none of them that it is meant."""

    status = 400
    error = "connection_not_named"
    action = Action.FIX_CONFIG
    description = "There are several connections: name one in the header X-Airtable-Connection."


class OtherUser(AirtableOAuthError):
    """A reconnect was granted by another Airtable user than before."""

    status = 403
    error = "other_airtable_user"
    action = Action.RESTART_LOGIN
    description = (
        "Access was granted by another Airtable user than before. Sign in to Airtable as the user "
        "whom this connection belongs to, and try again."
    )


class RateLimited(AirtableOAuthError):
    """Airtable has had enough requests to this base for a moment."""

    status = 429
    error = "rate_limited"
    action = Action.RETRY
    description = "Airtable takes no more requests to this base for a moment."

    def __init__(self, seconds: float) -> None:
        self.retry_after = max(1, math.ceil(seconds))
        super().__init__()


class TooManyUnderWay(RateLimited):
    """A connection has as many requests under way in this process as one may have."""

    description = "Too many requests of this connection are under way. Wait until one has ended."

    def __init__(self) -> None:
        super().__init__(1)


class AuthorizationError(AirtableOAuthError):
    """Airtable's redirect carried an error (RFC 6749, section 4.1.2.1)."""

    status = 400
    error = "invalid_request"
    action = Action.RESTART_LOGIN
    description = "Airtable did not grant access."

    def __init__(self, error: str, action: Action, description: str) -> None:
        self.error = error
        self.action = action
        super().__init__(description)


class AirtableError(AirtableOAuthError):
    """Airtable's token endpoint did not answer with tokens."""


class InvalidGrant(AirtableError):
    """The code or refresh token is spent, expired, revoked or another client's."""

    status = 400
    error = "invalid_grant"
    action = Action.RECONNECT
    description = "Airtable no longer accepts this grant: it was used, has expired or was revoked."


class TokenRequestRefused(AirtableError):
    """Airtable calls the token request malformed."""

    status = 400
    error = "invalid_request"
    action = Action.RECONNECT
    description = "Airtable did not accept the request for tokens."


class RefreshConflict(AirtableError):
    """Airtable's 409: this refresh token was used a moment ago; another client has its pair."""

    status = 409
    error = "already_refreshed"
    action = Action.RECONNECT
    description = "This refresh token was used a moment ago; its successor went to another client."


class ClientRefused(AirtableError):
    """Airtable does not accept us: client id, secret or what the integration is allowed to do."""

    status = 500
    error = "invalid_client"
    action = Action.FIX_CONFIG
    description = (
        "Airtable does not accept this service's client id, secret or set-up. The person who runs "
        "it must compare them with the integration's page in Airtable."
    )

    def __init__(self, error: str = "invalid_client", *, cause: str | None = None) -> None:
        self.error = error
        super().__init__(cause=cause)


class UpstreamError(AirtableError):
    """Airtable's answer makes no sense, or the connection broke. What it did is unknown."""

    status = 502
    error = "airtable_error"
    action = Action.RETRY
    description = "Airtable did not give a usable answer."


class NotSent(UpstreamError):
    """Airtable could not be reached: the request was certainly not sent."""

    error = "airtable_unreachable"
    description = "Airtable could not be reached."


class UpstreamTimeout(AirtableError):
    """Airtable gave no complete answer in time. What it did is unknown."""

    status = 504
    error = "airtable_timeout"
    action = Action.RETRY
    description = "Airtable did not answer in time."


class WebApiError(AirtableOAuthError):
    """Airtable's Web API answered with an error: see `airtable_oauth.raise_for_error`.

    `status` is Airtable's own if that is 4xx, else 502. `error` is Airtable's error type, such as
    `INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND`. `message` is Airtable's own sentence, if it sent one:
    it may quote what was sent, so it is not part of the answer.
    """

    status = 502
    error = "airtable_error"
    action = Action.RETRY
    description = "Airtable answered with an error."

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
    """A request through our client is meant for another origin than Airtable's Web API."""

    action = Action.FIX_CONFIG
    description = "This client talks to Airtable's Web API only: nobody else gets its token."


class ServerError(AirtableOAuthError):
    """A defect of ours."""


class Unavailable(AirtableOAuthError):
    """The service cannot do this at the moment."""

    status = 503
    error = "temporarily_unavailable"
    retry_after = 5
    description = "The service cannot do this at the moment."


class StoreUnavailable(Unavailable):
    """The store does not answer, or not in time."""

    error = "store_unavailable"
    description = "The service cannot reach its store at the moment."


class TooManyLogins(Unavailable):
    """The bounded login cache is full."""

    error = "too_many_logins"
    retry_after = 60
    description = "Too many logins are under way; try again in a minute."


class TokenEndpointBusy(Unavailable):
    """Too many token requests are under way in this process; this one was not sent."""

    description = "Too many token requests are under way. Try again in a few seconds."


class TooManyUploads(Unavailable):
    """Too many uploads are under way in this process; this one was not read."""

    description = "Too many uploads are under way. Try again in a few seconds."


class ClockSkew(Unavailable):
    """The store's clock and this machine's disagree by a day or more."""

    error = "clock_skew"
    action = Action.FIX_CONFIG
    description = (
        "The store's clock and this machine's clock disagree by more than a day. Set both, then "
        "run this again."
    )


class AccessUnavailable(Unavailable):
    """The access token has ended, and it is not known yet whether it could be renewed."""

    error = "access_unavailable"
    description = "The access to Airtable could not be renewed yet; nothing is lost so far."

    def __init__(self, seconds: float = 5.0) -> None:
        self.retry_after = max(1, math.ceil(seconds))
        super().__init__()


class UnreadableRecord(Unavailable):
    """A record is in the store, and this process cannot read it. It is never taken for absent."""

    error = "unreadable_record"
    action = Action.FIX_CONFIG
    retry_after = 60
    description = "A record in the service's store cannot be read."


class UnknownRecordFormat(UnreadableRecord):
    """A newer version of this package wrote a record, or it was stored without encryption."""

    error = "unknown_record_format"
    description = (
        "A record has a format that this process does not know: a newer version of this service "
        "wrote it, or it was stored without encryption. The person who runs the service must "
        "update this process."
    )


class UnknownEncryptionKey(UnreadableRecord):
    """A record is encrypted with a key that is not among the configured ones."""

    error = "unknown_encryption_key"
    description = (
        "A record was encrypted with a key that this process does not have. The person who runs "
        "the service must put it back into the setting ENCRYPTION_KEYS."
    )


class DamagedRecord(UnreadableRecord):
    """A record names a configured key, and does not authenticate with it."""

    error = "damaged_record"
    description = (
        "A record was changed, or moved to another key of the store, outside this service. The "
        "person who runs the service must restore or remove it."
    )
