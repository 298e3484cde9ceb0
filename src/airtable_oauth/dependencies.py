"""What routes work with: the services of an integration, and the parameters they share."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Query
from pydantic import AfterValidator

from airtable_oauth.airtable import Airtable
from airtable_oauth.cookies import LoginCookies
from airtable_oauth.login import Logins, UnboundLogins
from airtable_oauth.settings import Settings
from airtable_oauth.stores import Store


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that a request may need, made once per integration."""

    settings: Settings
    store: Store
    airtable: Airtable
    logins: Logins
    unbound_logins: UnboundLogins
    login_cookies: LoginCookies


def _local_path(text: str) -> str:
    if (
        not text.startswith("/")
        or text.startswith("//")
        or "\\" in text
        or any(character <= " " or character == "\x7f" for character in text)
    ):
        raise ValueError("not a local path")
    return text


ReturnTo = Annotated[
    Annotated[str, AfterValidator(_local_path)] | None,
    Query(
        max_length=2048,
        description="A local path that comes back when the login ends.",
        examples=["/bases?sort=name"],
    ),
]
