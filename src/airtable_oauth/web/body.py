"""Reads request bodies within limits."""

import asyncio

from fastapi import Request
from starlette.requests import ClientDisconnect

from airtable_oauth.errors import ContentTooLarge, InvalidRequest, UnsupportedMediaType

_SECONDS = 10.0


async def read_body(request: Request, most: int, seconds: float = _SECONDS) -> bytes:
    """Read a body of at most `most` bytes, within `seconds`.

    Raises:
        ContentTooLarge: it is larger.
        InvalidRequest: it did not arrive in time, or the client disconnected.
    """
    try:
        async with asyncio.timeout(seconds):
            body = bytearray()
            async for chunk in request.stream():
                body += chunk
                if len(body) > most:
                    raise ContentTooLarge
            return bytes(body)
    except TimeoutError:
        raise InvalidRequest("The request body didn't arrive in time.") from None
    except ClientDisconnect:
        raise InvalidRequest("The request body didn't arrive.") from None


def require_json(request: Request) -> None:
    """Check that the `Content-Type` of a request is JSON.

    Raises:
        UnsupportedMediaType: it is not, or it is missing.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise UnsupportedMediaType
