"""The package's errors, as click shows them."""

import click

from airtable_oauth.errors import AirtableOAuthError


def click_error(error: AirtableOAuthError, advice: str = "") -> click.ClickException:
    """One line: the description, the cause if it is known, and the advice."""
    cause = "" if error.cause is None else f"Cause: {error.cause}."
    return click.ClickException(" ".join(filter(None, (error.description, cause, advice))))
