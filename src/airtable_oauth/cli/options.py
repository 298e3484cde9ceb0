"""Options that several commands share."""

import click

PORT = click.IntRange(1, 65535)
tokens_option = click.option(
    "--tokens",
    type=click.Choice(["server", "browser"]),
    default="server",
    show_default=True,
    help="Where the pages' tokens are stored: in the service (sessions) or in the browser tab.",
)
