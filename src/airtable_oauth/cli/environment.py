"""Reads the settings of a command, and runs the integration that they describe."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import click
from pydantic import ValidationError

from airtable_oauth.cli.errors import click_error
from airtable_oauth.errors import AirtableOAuthError
from airtable_oauth.integration import AirtableOAuth
from airtable_oauth.settings import PREFIX, Settings, faults

T = TypeVar("T")


def run_with_integration(work: Callable[[AirtableOAuth], Awaitable[T]]) -> T:
    """Start the integration, and return the result of `work` on it.

    Raises:
        click.ClickException: the integration failed, other processes cannot see the store, or
            the store's driver is not installed.
    """
    settings = read_shared_settings()
    try:
        return asyncio.run(_run(work, settings))
    except AirtableOAuthError as error:
        raise click_error(error) from None
    except ModuleNotFoundError as error:
        raise click.ClickException(str(error)) from None


async def _run(work: Callable[[AirtableOAuth], Awaitable[T]], settings: Settings) -> T:
    airtable = AirtableOAuth(settings)
    async with airtable.lifespan():
        return await work(airtable)


def read_shared_settings() -> Settings:
    """Read the settings. The store must be visible to other processes, so not `memory://`."""
    settings = read_settings()
    if settings.store_url.get_secret_value().startswith("memory:"):
        raise click.ClickException(
            f"{PREFIX}STORE_URL: memory:// is visible only inside the service's own process. Use a "
            "store that processes share, such as sqlite:////var/lib/airtable-oauth/store.db"
        )
    return settings


def read_settings() -> Settings:
    """Read the settings. If any are wrong, print one line each and exit with status 1."""
    try:
        return Settings()
    except ValidationError as error:
        for fault in faults(error):
            click.echo(fault, err=True)
        raise SystemExit(1) from None
