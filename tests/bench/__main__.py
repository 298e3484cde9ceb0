"""Requests a second, side by side in one run: the rows of a group in turn, medians, ratios.

One process on one core serves, `wrk` with 32 connections on the other asks, and shares it with an
Airtable that answers at once. The machine's noise falls on all rows alike, so compare rows and
ratios, not numbers between runs. nginx outruns what it is measured with: its row is a lower bound.
"""

import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import click

from tests.bench.peers import CLIENT_CORE, GROUPS, Group, Row, Servers

_WARM_UP_SECONDS = 1
"""Before each measurement: what has idled meanwhile is slow to come back."""


@click.command(help=__doc__)
@click.option("--rounds", default=5, show_default=True, help="Rounds; the median counts.")
@click.option("--seconds", default=4, show_default=True, help="Seconds for each row and round.")
@click.option("--only", type=click.Choice(list(GROUPS)), help="One group of rows.")
def main(rounds: int, seconds: int, only: str | None) -> None:
    """Measure, and print a table."""
    chosen = [only] if only else list(GROUPS)
    _print([_measured(name, rounds, seconds) for name in chosen])


def _measured(name: str, rounds: int, seconds: int) -> Group:
    """A group whose rows have had their turns; its servers run no longer than that."""
    with ExitStack() as processes, tempfile.TemporaryDirectory() as directory:
        group = GROUPS[name](Servers(processes, Path(directory)))
        for number in range(rounds):
            click.echo(f"{name}: round {number + 1} of {rounds}", err=True)
            for row in group.rows:
                _measure(row, _WARM_UP_SECONDS)
                row.rates.append(_measure(row, seconds))
    return group


def _measure(row: Row, seconds: int) -> float:
    """Requests a second; of the connect flow, those of whole logins."""
    ran = subprocess.run(
        [
            *("taskset", "-c", CLIENT_CORE, "wrk", "--threads", "1", "--connections", "32"),
            *("--duration", str(seconds), "--script", row.script, row.url, *row.arguments),
        ],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=True,
    )
    result = next(line for line in ran.stdout.splitlines() if line.startswith("RESULT"))
    count, duration, failures, size = (float(value) for value in result.split()[1:])
    if failures:
        raise click.ClickException(f"{row.name}: {failures:.0f} requests failed")
    if size < count * row.answer_bytes:
        raise click.ClickException(f"{row.name}: {size / count:.0f} bytes are no answer")
    return count / duration


def _print(groups: Sequence[Group]) -> None:
    click.echo(f"{'':38}{'requests/s':>10} {'lowest':>8} {'highest':>8} {'to Node':>9}")
    for group in groups:
        click.echo(group.title)
        node = next((median(row.rates) for row in group.rows if row.is_node), None)
        for row in group.rows:
            rate, lowest, highest = median(row.rates), min(row.rates), max(row.rates)
            ratio = f" {rate / node:8.2f}x" if node else ""
            click.echo(f"  {row.name:36}{rate:10.0f} {lowest:8.0f} {highest:8.0f}{ratio}")


if __name__ == "__main__":
    main()
