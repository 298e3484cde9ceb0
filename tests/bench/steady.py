"""Requests pages at a fixed rate, and prints p50 and p99 of their latency in milliseconds.

`python -m tests.bench.steady URL COOKIE RATE SECONDS`. A request is due at its time, whether
earlier ones have been answered or not, and its latency counts from then. Without a cookie, the URL
is Airtable's or that of a proxy that needs none.
"""

import asyncio
import sys
import time

import aiohttp
import uvloop

from tests.bench.servers import ACCESS_TOKEN, PAGE

_BASES = 900


def main() -> None:
    """Measure, and print the result."""
    url, cookie, rate, seconds = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    latencies = sorted(uvloop.run(_measure(url, cookie, rate, seconds)))
    middle, high = (latencies[int(len(latencies) * share)] for share in (0.5, 0.99))
    sys.stdout.write(f"{middle * 1000:.3f} {high * 1000:.3f}\n")


async def _measure(url: str, cookie: str, rate: int, seconds: int) -> list[float]:
    headers = {"Cookie": cookie} if cookie else {"Authorization": f"Bearer {ACCESS_TOKEN}"}
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, headers=headers) as client:
        prefix = await _prefix(client, url)
        requests = []
        began = time.perf_counter()
        for number in range(rate * seconds):
            due = began + number / rate
            await asyncio.sleep(max(0, due - time.perf_counter()))
            base = f"app{number % _BASES + 1:014d}"
            requests.append(
                asyncio.create_task(_get(client, f"{url}{prefix}/v0/{base}/tblBench", due))
            )
        latencies = await asyncio.gather(*requests)
    return latencies[rate:]  # the first second warms up


async def _prefix(client: aiohttp.ClientSession, url: str) -> str:
    """Airtable itself has the path without a prefix."""
    async with client.get(f"{url}/v0/app{0:014d}/tblBench") as answer:
        return "" if answer.status == 200 else "/airtable"


async def _get(client: aiohttp.ClientSession, url: str, due: float) -> float:
    async with client.get(url) as answer:
        if await answer.read() != PAGE:
            raise ValueError(f"{answer.status} is not the page")
    return time.perf_counter() - due


if __name__ == "__main__":
    main()
