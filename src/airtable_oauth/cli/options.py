"""What the options of several commands have in common."""

import click

PORT = click.IntRange(1, 65535)
tokens_option = click.option(
    "--tokens",
    type=click.Choice(["server", "browser"]),
    default="server",
    show_default=True,
    help="Where the pages have tokens kept: by the service (sessions), or in their tab.",
)
