"""Bodies that several routes have."""

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from airtable_oauth.oauth.protocol import Callback
from airtable_oauth.vault.model import Connection, Reason, Status

_Parameter = Annotated[str, Field(min_length=1, max_length=4096)]


class ApiModel(BaseModel):
    """The base of the API's models. OpenAPI shows the docstrings of their fields."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class AuthorizationUrl(ApiModel):
    """Where to send the browser."""

    authorizationUrl: Annotated[  # noqa: N815 (the name that the Node service gave it)
        str, Field(examples=["https://airtable.com/oauth2/v1/authorize?client_id=…"])
    ]


class CallbackParameters(ApiModel):
    """The query of Airtable's redirect, as it came: `code` and `state`, or `error` and `state`."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    state: Annotated[str, Field(min_length=1, max_length=1024)]
    code: _Parameter | None = None
    error: _Parameter | None = None
    error_description: Annotated[str, Field(max_length=4096)] | None = None

    def callback(self) -> Callback:
        """What the login needs of it."""
        return Callback(state=self.state, code=self.code, error=self.error)


class AirtableUser(ApiModel):
    """Who granted access."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    email: str | None
    """Null without the scope `user.email:read`."""


class ConnectionHealth(ApiModel):
    """The health of a connection. Times are RFC 3339, UTC."""

    status: Literal[Status.CONNECTED, Status.REFRESHING, Status.RECONNECT_REQUIRED]
    reason: Reason | None
    """Why the connection must be reconnected; null if it need not be."""
    user: AirtableUser | None
    """The user who granted access; null if Airtable did not say."""
    scopes: list[str]
    """The scopes that were granted."""
    missing_scopes: list[str]
    """The scopes that this service asks for and that were not granted."""
    expires_at: datetime
    """When the access token expires. The service refreshes the token when it is used."""
    reconnect_by: datetime | None
    """When the connection ends if it is not used; null if Airtable does not say."""

    @classmethod
    def of(cls, connection: Connection, scopes: Collection[str], **more: Any) -> Self:
        """What this model shows of a connection.

        `scopes` are those that the service asks for, `more` a subclass's own fields. Those that are
        None are left out.
        """
        granted = connection.scopes
        fields: dict[str, Any] = {
            "id": connection.id,
            "status": connection.status,
            "reason": connection.reason,
            "user": connection.user,
            "scopes": list(granted),
            "missing_scopes": [scope for scope in scopes if scope not in granted],
            "expires_at": utc(connection.expires_at),
            "reconnect_by": connection.reconnect_by and utc(connection.reconnect_by),
        }
        return cls.model_validate(
            fields | {name: value for name, value in more.items() if value is not None}
        )


class SessionHealth(ConnectionHealth):
    """The health of a session's connection."""

    session_ends_at: datetime
    """When this browser's session ends if it is not used. The user must then connect again."""


class OwnedConnection(ConnectionHealth):
    """A connection of a host's user, and its health."""

    id: str
    """For the header `X-Airtable-Connection`, and for `?connection=` to reconnect it."""


def utc(seconds: float) -> datetime:
    """Seconds since 1970 as a time."""
    return datetime.fromtimestamp(int(seconds), UTC)
