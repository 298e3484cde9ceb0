"""Requests a second, side by side in one run: rounds in turn, medians, ratios.

One process on one core serves, `wrk` with 32 connections on the other asks. The machine's noise
falls on all rows alike, so compare rows and ratios, not numbers between runs.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import click

from airtable_oauth.settings import PREFIX
from tests.helpers import free_port
from tests.processes import wait_for

_HERE = Path(__file__).parent
_SERVER_CORE, _CLIENT_CORE = "0", "1"


@dataclass
class Row:
    """One thing measured."""

    name: str
    url: str
    script: str
    rates: list[float] = field(default_factory=list)


@click.command(help=__doc__)
@click.option("--rounds", default=5, show_default=True, help="Rounds; the median counts.")
@click.option("--seconds", default=4, show_default=True, help="Seconds for each row and round.")
def main(rounds: int, seconds: int) -> None:
    """Measure, and print a table."""
    with ExitStack() as processes, tempfile.TemporaryDirectory() as directory:
        airtable = processes.enter_context(_process("tests.bench.servers", "token", core="1"))
        service = processes.enter_context(
            _process("airtable_oauth", "serve", airtable=airtable, directory=directory)
        )
        fastapi = processes.enter_context(_process("tests.bench.servers", "fastapi"))
        starlette = processes.enter_context(_process("tests.bench.servers", "starlette"))
        rows = [
            Row("authorization URL", f"{service}/authorization-url", "get.lua"),
            Row("a bare FastAPI route", f"{fastapi}/authorization-url", "get.lua"),
            Row("a bare Starlette route", f"{starlette}/authorization-url", "get.lua"),
            Row("connect flow (URL, exchange)", service, "connect.lua"),
        ]
        for row in rows:
            _measure(row, 1)  # warms up
        for number in range(rounds):
            click.echo(f"round {number + 1} of {rounds}", err=True)
            for row in rows:
                row.rates.append(_measure(row, seconds))
    _print(rows)


@contextmanager
def _process(
    module: str, *arguments: str, core: str = _SERVER_CORE, directory: str = "", airtable: str = ""
) -> Iterator[str]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    where = [str(port)] if module.startswith("tests") else ["--port", str(port)]
    settings = {
        "CLIENT_ID": "bench",
        "CLIENT_SECRET": "bench-secret",
        "REDIRECT_URI": "http://localhost:4200/auth-callback",
        "SCOPES": "data.records:read schema.bases:read",
        "PUBLIC_URL": url,
        "AIRTABLE_URL": airtable,
        "MAX_PENDING_LOGINS": "100000000",
        "LOGIN_TTL": "30",
        "LOG_LEVEL": "warning",
    }
    process = subprocess.Popen(
        ["taskset", "-c", core, sys.executable, "-m", module, *arguments, *where],
        env=os.environ | {PREFIX + name: value for name, value in settings.items()},
        cwd=directory or None,
    )
    try:
        if "token" not in arguments:
            wait_for(url)
        yield url
    finally:
        process.terminate()
        process.wait()


def _measure(row: Row, seconds: int) -> float:
    """Requests a second; of the connect flow, logins a second times the two requests of each."""
    ran = subprocess.run(
        [
            *("taskset", "-c", _CLIENT_CORE, "wrk", "--threads", "1", "--connections", "32"),
            *("--duration", str(seconds), "--script", str(_HERE / row.script), row.url),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    result = next(line for line in ran.stdout.splitlines() if line.startswith("RESULT"))
    count, duration, failures = (float(value) for value in result.split()[1:])
    if failures:
        raise click.ClickException(f"{row.name}: {failures:.0f} requests failed")
    return count * (2 if row.script == "connect.lua" else 1) / duration


def _print(rows: list[Row]) -> None:
    bare = median(rows[1].rates)
    click.echo(f"{'':30} {'requests/s':>10} {'lowest':>8} {'highest':>8} {'to FastAPI':>11}")
    for row in rows:
        rate = median(row.rates)
        click.echo(
            f"{row.name:30} {rate:10.0f} {min(row.rates):8.0f} {max(row.rates):8.0f} "
            f"{rate / bare:10.2f}x"
        )


if __name__ == "__main__":
    main()
