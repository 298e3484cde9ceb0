"""`airtable-oauth simulator`: runs a simulated Airtable."""

import click

from airtable_oauth.cli.options import PORT
from airtable_oauth.cli.server import require_free_port, run_server

DEMO_CLIENT_ID = "demo-client"
DEMO_SCOPES = "data.records:read data.records:write schema.bases:read user.email:read"
DEMO_SECRET = "demo-secret"  # noqa: S105 (the simulator's; not a secret)
_ANY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104 (compared, not listened on)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=4300, show_default=True, type=PORT, help="Port to listen on.")
@click.option(
    "--client-id", default=DEMO_CLIENT_ID, show_default=True, help="The integration's client ID."
)
@click.option(
    "--client-secret",
    default=DEMO_SECRET,
    show_default=True,
    help="The integration's client secret. Empty for an integration without a secret.",
)
@click.option(
    "--redirect-uri",
    "redirect_uris",
    multiple=True,
    default=["http://localhost:4200/auth-callback"],
    show_default=True,
    help="A registered redirect URI. Can be repeated.",
)
@click.option(
    "--scopes", default=DEMO_SCOPES, show_default=True, help="The integration's enabled scopes."
)
@click.option(
    "--users",
    default=1,
    show_default=True,
    type=click.IntRange(1, 1000),
    help="Number of Airtable users. With several, the consent page lets you choose one.",
)
@click.option(
    "--control-host",
    "control_hosts",
    multiple=True,
    metavar="NAME[:PORT]",
    help="A host name, besides localhost, under which the page and the control API may be used. "
    "Can be repeated.",
)
@click.option(
    "--record-secrets",
    is_flag=True,
    help="Record tokens, codes and secrets unmasked, for tests that check where they go.",
)
def simulator(
    host: str,
    port: int,
    client_id: str,
    client_secret: str,
    redirect_uris: tuple[str, ...],
    scopes: str,
    users: int,
    control_hosts: tuple[str, ...],
    record_secrets: bool,  # noqa: FBT001 (an option)
) -> None:
    """Run a simulated Airtable for development: OAuth, a consent page, three sample bases.

    The page at / shows recent requests and has buttons that cause faults.
    """
    require_free_port(host, port)
    run_simulator(
        host=host,
        port=port,
        client_id=client_id,
        client_secret=client_secret,
        redirect_uris=redirect_uris,
        scopes=scopes,
        users=users,
        control_hosts=control_hosts,
        record_secrets=record_secrets,
        announced=True,
    )


def run_simulator(
    *,
    host: str,
    port: int,
    client_id: str,
    client_secret: str,
    redirect_uris: tuple[str, ...],
    scopes: str = DEMO_SCOPES,
    users: int = 1,
    control_hosts: tuple[str, ...] = (),
    record_secrets: bool = False,
    announced: bool = False,
) -> None:
    """Run the simulator until the process is stopped. `announced`: print its URL first."""
    _require_extra()
    from airtable_oauth.simulator import (  # noqa: PLC0415 (an extra)
        Integration,
        Simulator,
        some_users,
    )

    integration = Integration(
        client_id=client_id,
        client_secret=client_secret,
        redirect_uris=redirect_uris,
        scopes=tuple(scopes.split()),
    )
    own_url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    airtable = Simulator(
        [integration],
        users=some_users(users),
        url=None if host in _ANY_ADDRESS else own_url,
        control_hosts=control_hosts,
        record_secrets=record_secrets,
    )
    _warn_if_public(host, control_hosts)
    if announced:
        click.echo(f"Airtable simulator: {own_url}")
    run_server(airtable.app, host=host, port=port, log_level="warning")


def _require_extra() -> None:
    try:
        import airtable_oauth.simulator  # noqa: F401, PLC0415 (an extra)
    except ModuleNotFoundError as error:
        raise click.ClickException(
            f"the simulator needs {error.name}: pip install 'airtable-oauth[simulator]'"
        ) from None


def _warn_if_public(host: str, control_hosts: tuple[str, ...]) -> None:
    from airtable_oauth.simulator import is_loopback  # noqa: PLC0415 (an extra)

    if is_loopback(host):
        return
    others = f" and requests to {', '.join(control_hosts)}" if control_hosts else ""
    click.echo(
        f"Warning: the simulator listens on {host}. Every machine that can reach it can log in as "
        "its users and use its Web API. Its page and control API answer only this machine"
        f"{others}.",
        err=True,
    )
