"""Errors of the package, as lines in a terminal."""

import click

from airtable_oauth.errors import AirtableOAuthError


def click_error(error: AirtableOAuthError, advice: str = "") -> click.ClickException:
    """What happened, its cause if that is known, and what to do."""
    cause = "" if error.cause is None else f"Cause: {error.cause}."
    return click.ClickException(" ".join(filter(None, (error.description, cause, advice))))
