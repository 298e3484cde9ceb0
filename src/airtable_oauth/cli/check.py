"""`airtable-oauth check`: what is right, what is wrong, and what to do about it."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from typing import Any

import click
import httpx
from pydantic import ValidationError

from airtable_oauth.cli.client_check import check_client
from airtable_oauth.cli.findings import Finding, Level, ok
from airtable_oauth.cli.settings_check import check_settings, runs_every_check
from airtable_oauth.cli.store_check import check_store
from airtable_oauth.encoding import base64url
from airtable_oauth.factories import open_store
from airtable_oauth.settings import Settings, faults
from airtable_oauth.stores import Store

_STAND_INS = {
    "client_id": "unknown",
    "redirect_uri": "https://app.example.com/",
    "scopes": "unknown",
    "encryption_keys": base64url(bytes(range(32))),
    "webhook_secret": "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
}
"""Valid values for malformed settings that have no valid default. No check looks at them."""
_STORE_FIELDS = {
    *("name", "store_url", "store_timeout", "store_pool_size", "encryption_keys"),
    "max_pending_logins",
}
_CLIENT_FIELDS = {
    *("client_id", "client_secret", "redirect_uri", "scopes", "airtable_url"),
    "upstream_timeout",
}
_SKIPPED = Finding(
    Level.WARNING,
    "some checks did not run, because they need settings that are malformed or missing. Correct "
    "those, then run this again",
)


@click.command()
@click.option(
    "--online",
    is_flag=True,
    help="Also send Airtable a made-up code, to see whether it accepts the client ID and secret.",
)
def check(online: bool) -> None:  # noqa: FBT001 (an option)
    """Check the settings and the store. Prints one line for each finding.

    Writes a small record to the store, reads it back and deletes it. You may run this in
    production.

    The output holds no secret, so you can paste it into an issue. Exit status 1 means that there is
    a fault.
    """
    if not asyncio.run(_report(online=online)):
        raise SystemExit(1)


async def _report(*, online: bool) -> bool:
    """Print the findings. Returns whether none of them is a fault."""
    healthy = True
    async for finding in examine_environment(os.environ, online=online):
        click.echo(str(finding))
        healthy = healthy and finding.level is not Level.FAULT
    return healthy


async def examine_environment(
    environment: Mapping[str, str],
    *,
    online: bool = False,
    settings: type[Settings] = Settings,
    transport: httpx.AsyncBaseTransport | None = None,
) -> AsyncIterator[Finding]:
    """Check the settings that this process would read.

    A malformed setting skips only the checks that depend on it.
    """
    malformed: dict[str, Any] = {}
    while isinstance(read := _read(settings, malformed), ValidationError):
        for line in faults(read):
            yield Finding(Level.FAULT, line)
        fields = _fields(read)
        if not fields - malformed.keys():  # no stand-in fits a field that a subclass added
            yield _SKIPPED
            return
        malformed |= {name: _stand_in(settings, name) for name in fields}
    stream = examine(
        read, environment, online=online, malformed=set(malformed), transport=transport
    )
    async for finding in stream:
        yield finding


def _read(settings: type[Settings], stand_ins: Mapping[str, Any]) -> Settings | ValidationError:
    try:
        return settings(**stand_ins)
    except ValidationError as error:
        return error


def _fields(error: ValidationError) -> set[str]:
    return {str(each["loc"][0]) for each in error.errors(include_url=False, include_input=False)}


def _stand_in(settings: type[Settings], field: str) -> Any:
    return _STAND_INS.get(field, settings.model_fields[field].default)


async def examine(
    settings: Settings,
    environment: Mapping[str, str],
    *,
    online: bool = False,
    store: Store | None = None,
    malformed: Collection[str] = (),
    transport: httpx.AsyncBaseTransport | None = None,
    clock: Callable[[], float] = time.time,
) -> AsyncIterator[Finding]:
    """Check these settings, then the store, and with `online` the client ID and secret.

    Skips the checks that need one of the `malformed` fields.
    """
    if not malformed:
        yield ok("every setting is well-formed")
    for finding in check_settings(settings, environment, malformed):
        yield finding
    if _STORE_FIELDS.isdisjoint(malformed):
        async for finding in _store_findings(settings, store, clock):
            yield finding
    if online and _CLIENT_FIELDS.isdisjoint(malformed):
        yield await check_client(settings, transport)
    needed = _STORE_FIELDS | _CLIENT_FIELDS if online else _STORE_FIELDS
    if not (needed.isdisjoint(malformed) and runs_every_check(malformed)):
        yield _SKIPPED


async def _store_findings(
    settings: Settings, store: Store | None, clock: Callable[[], float]
) -> AsyncIterator[Finding]:
    try:
        async for finding in check_store(settings, store or open_store(settings), clock):
            yield finding
    except ModuleNotFoundError as error:
        yield Finding(Level.FAULT, str(error))
