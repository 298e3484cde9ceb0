"""Requests per second, measured side by side: medians and ratios.

The rows of a group take turns in one run. One process on one core serves. `wrk`, with 32
connections, and an Airtable that answers at once share the other core. Noise of the machine affects
all rows alike, so compare rows and ratios, not numbers of different runs. nginx is faster than
`wrk` and this Airtable, so its row is a lower bound.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import click

from tests.bench.maintenance import print_maintenance
from tests.bench.peers import CLIENT_CORE, GROUPS, STARTS, Group, Row, Servers
from tests.bench.processes import descendants, resident

_START = "start"
_MAINTENANCE = "maintenance"
_WARM_UP_SECONDS = 1
"""Before each measurement, because a server that was idle is slow at first."""


@click.command(help=__doc__)
@click.option("--rounds", default=5, show_default=True, help="Rounds; the median counts.")
@click.option("--seconds", default=4, show_default=True, help="Seconds for each row and round.")
@click.option(
    "--only", type=click.Choice([*GROUPS, _START, _MAINTENANCE]), help="Measure only this."
)
@click.option("--connections", default=10_000, show_default=True, help="For `maintenance`.")
def main(rounds: int, seconds: int, only: str | None, connections: int) -> None:
    """Measure, and print tables."""
    chosen = [only] if only else [*GROUPS, _START, _MAINTENANCE]
    groups = [_measured(name, rounds, seconds) for name in chosen if name in GROUPS]
    if groups:
        _print(groups)
    if _START in chosen:
        _print_starts(rounds)
    if _MAINTENANCE in chosen:
        with ExitStack() as processes, tempfile.TemporaryDirectory() as directory:
            print_maintenance(Servers(processes, Path(directory)), connections)


def _measured(name: str, rounds: int, seconds: int) -> Group:
    """Start a group's servers, and measure its rows in turn."""
    with ExitStack() as processes, tempfile.TemporaryDirectory() as directory:
        group = GROUPS[name](Servers(processes, Path(directory)))
        for number in range(rounds):
            click.echo(f"{name}: round {number + 1} of {rounds}", err=True)
            for row in group.rows:
                if group.rate:
                    row.latencies.append(_measure_latency(row, group.rate, seconds))
                else:
                    _measure(row, _WARM_UP_SECONDS)
                    row.rates.append(_measure(row, seconds))
    return group


def _measure_latency(row: Row, rate: int, seconds: int) -> tuple[float, float]:
    """p50 and p99 in milliseconds, at a fixed rate of requests."""
    steady = [sys.executable, "-m", "tests.bench.steady", row.url, *row.arguments]
    ran = subprocess.run(
        ["taskset", "-c", CLIENT_CORE, *steady, str(rate), str(seconds)],
        capture_output=True,
        text=True,
        check=True,
    )
    middle, high = ran.stdout.split()
    return float(middle), float(high)


def _measure(row: Row, seconds: int) -> float:
    """Requests per second. In the connect flow, only requests of complete logins count."""
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
        raise click.ClickException(
            f"{row.name}: {size / count:.0f} bytes are too few for an answer"
        )
    return count / duration


def _print(groups: Sequence[Group]) -> None:
    click.echo(f"{'':38}{'requests/s':>10} {'lowest':>8} {'highest':>8} {'to Node':>9}")
    for group in groups:
        click.echo(group.title)
        if group.rate:
            _print_latencies(group)
            continue
        node = next((median(row.rates) for row in group.rows if row.is_node), None)
        for row in group.rows:
            rate, lowest, highest = median(row.rates), min(row.rates), max(row.rates)
            ratio = f" {rate / node:8.2f}x" if node else ""
            click.echo(f"  {row.name:36}{rate:10.0f} {lowest:8.0f} {highest:8.0f}{ratio}")


def _print_latencies(group: Group) -> None:
    click.echo(f"  {f'at {group.rate} requests/s':36}{'p50 ms':>10} {'p99 ms':>8}")
    for row in group.rows:
        middle, high = (median(values) for values in zip(*row.latencies, strict=True))
        click.echo(f"  {row.name:36}{middle:10.2f} {high:8.2f}")


def _print_starts(rounds: int) -> None:
    click.echo(f"{'Start':38}{'seconds':>10} {'MiB':>8}")
    for name, start in STARTS.items():
        measured = [_start(start) for _ in range(rounds)]
        seconds, size = (median(values) for values in zip(*measured, strict=True))
        click.echo(f"  {name:36}{seconds:10.2f} {size:8.0f}")


def _start(start: Callable[[Servers], str]) -> tuple[float, float]:
    """Seconds until the first answer, and the resident memory of all its processes then."""
    with ExitStack() as processes, tempfile.TemporaryDirectory() as directory:
        servers = Servers(processes, Path(directory))
        before, began = descendants(os.getpid()), time.perf_counter()
        start(servers)
        seconds = time.perf_counter() - began
        return seconds, sum(map(resident, descendants(os.getpid()) - before))


if __name__ == "__main__":
    main()
