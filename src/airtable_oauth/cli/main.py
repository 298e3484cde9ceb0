"""The `airtable-oauth` command. Each subcommand has its own module."""

import click

from airtable_oauth.cli.check import check
from airtable_oauth.cli.connections import connections
from airtable_oauth.cli.demo import demo
from airtable_oauth.cli.keys import keys
from airtable_oauth.cli.pages import pages
from airtable_oauth.cli.refresh_idle import refresh_idle
from airtable_oauth.cli.serve import serve
from airtable_oauth.cli.simulator import simulator


@click.group(
    commands=[check, connections, demo, keys, pages, refresh_idle, serve, simulator],
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="airtable-oauth")
def main() -> None:
    """Connect an app to Airtable: OAuth 2.0 with PKCE."""
