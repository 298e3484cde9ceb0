"""`airtable-oauth pages`: serves the example pages."""

import click

from airtable_oauth.cli.options import PORT, tokens_option
from airtable_oauth.cli.server import require_free_port, run_server
from airtable_oauth.web.frontend import create_frontend


@click.command()
@click.option("--port", default=4200, show_default=True, type=PORT, help="Port to listen on.")
@click.option(
    "--api-url", default="http://localhost:3000", show_default=True, help="URL of the service."
)
@tokens_option
@click.option(
    "--airtable-api-url",
    default="https://api.airtable.com",
    show_default=True,
    help="URL of Airtable's Web API, or of the simulator. Pages with --tokens browser call it. If "
    "it is the simulator, pictures come from it too.",
)
def pages(port: int, api_url: str, airtable_api_url: str, tokens: str) -> None:
    """Serve the example pages on localhost. The service must run on localhost as well."""
    require_free_port("localhost", port)
    click.echo(f"Open http://localhost:{port}")
    run_pages(port=port, api_url=api_url, airtable_api_url=airtable_api_url, tokens=tokens)


def run_pages(*, port: int, api_url: str, airtable_api_url: str, tokens: str) -> None:
    """Serve the pages until the process is stopped."""
    app = create_frontend(
        public_url=f"http://localhost:{port}",
        api_url=api_url,
        airtable_api_url=airtable_api_url,
        tokens=tokens,
    )
    run_server(app, host="localhost", port=port, log_level="warning")
