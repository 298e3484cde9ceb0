"""Turns error answers of Airtable's Web API into exceptions, for a host's own routes.

Source: Airtable's reference, "Errors", and the bodies that it sends:
`{"error": {"type", "message"}}`, `{"error": "NOT_FOUND"}` and `{"errors": [{"error", "message"}]}`.
"""

import json
import re
from typing import Any

import httpx

from airtable_oauth.errors import Action, WebApiError

_TYPE = re.compile(r"[A-Z][A-Z0-9_]{0,99}")
_SECONDS = re.compile(r"[0-9]{1,6}")
_HINTS = {
    401: "It rejected this connection's access token, even after a refresh.",
    403: "The user's role, scopes or shared bases don't allow this, or the item doesn't exist.",
    404: "This path or item doesn't exist.",
    429: "Too many requests: try again in a moment.",
}
_ACTIONS = {401: Action.RECONNECT, 408: Action.RETRY, 429: Action.RETRY}
_MOST_MESSAGE = 1000


def raise_for_error(response: httpx.Response) -> httpx.Response:
    """Return a successful answer of Airtable's Web API; raise `errors.WebApiError` for any other.

    ```python
    answer = raise_for_error(await client.get("/v0/meta/bases"))
    ```

    In a route, the exception becomes the answer: Airtable's status if it is 4xx, else 502, with
    Airtable's `Retry-After`. If the body was not read, as with `client.stream`, only the status and
    `Retry-After` are used.

    Raises:
        errors.WebApiError: the status is not 2xx. `error` is Airtable's error type; without
            one it is `HTTP_` and the status.
    """
    if response.is_success:
        return response
    status = response.status_code
    kind, message = _error_of(response)
    answered = " ".join(filter(None, (f"Airtable answered {status}", kind)))
    raise WebApiError(
        status if _is_refusal(status) else 502,
        error=kind or f"HTTP_{status}",
        action=_action_for(status, kind or ""),
        description=f"{answered}. {_HINTS.get(status, '')}".rstrip(),
        message=message,
        retry_after=_retry_after(response),
    )


def _error_of(response: httpx.Response) -> tuple[str | None, str | None]:
    """Return Airtable's error type and message, each None if the body does not have it."""
    try:
        body = json.loads(response.content)
    except (httpx.StreamError, ValueError, RecursionError):
        return None, None
    found = _first_error(body)
    if isinstance(found, str):
        return _type(found), None
    if not isinstance(found, dict):
        return None, None
    message = found.get("message")
    return (
        _type(found.get("type") or found.get("error")),
        message[:_MOST_MESSAGE] if isinstance(message, str) else None,
    )


def _first_error(body: Any) -> Any:
    if not isinstance(body, dict):
        return None
    several = body.get("errors")
    return several[0] if isinstance(several, list) and several else body.get("error")


def _type(value: Any) -> str | None:
    return value if isinstance(value, str) and _TYPE.fullmatch(value) else None


def _action_for(status: int, kind: str) -> Action:
    if "BILLING_LIMIT" in kind:  # the monthly limit: waiting a moment does not help
        return Action.FIX_CONFIG
    return _ACTIONS.get(status, Action.FIX_REQUEST if _is_refusal(status) else Action.RETRY)


def _is_refusal(status: int) -> bool:
    return 400 <= status < 500  # noqa: PLR2004


def _retry_after(response: httpx.Response) -> int | None:
    """Airtable's `Retry-After` in seconds; None if it is absent or a date."""
    value = response.headers.get("Retry-After", "")
    return int(value) if _SECONDS.fullmatch(value) else None
