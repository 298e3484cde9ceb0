"""The settings of a command, and the integration that they describe."""

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
    """Run something with the integration that the settings describe."""
    settings = read_lasting_settings()
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


def read_lasting_settings() -> Settings:
    """The settings, with a store that other processes see."""
    settings = read_settings()
    if settings.store_url.get_secret_value().startswith("memory:"):
        raise click.ClickException(
            f"{PREFIX}STORE_URL: memory:// is seen by no process but the service's own"
        )
    return settings


def read_settings() -> Settings:
    """The settings. Ends the process with a line for each fault."""
    try:
        return Settings()
    except ValidationError as error:
        for fault in faults(error):
            click.echo(fault, err=True)
        raise SystemExit(1) from None
