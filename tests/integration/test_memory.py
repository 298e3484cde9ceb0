"""The memory of the process: many pending logins, and many malformed answers."""

import asyncio
from pathlib import Path

import httpx
import pytest

from tests.helpers import CSRF, begin, decide
from tests.processes import Stack, stack

pytestmark = [pytest.mark.integration, pytest.mark.heavy, pytest.mark.usefixtures("unmeasured")]

LOGINS = 6_000


def resident_bytes(service: Stack) -> int:
    status = Path(f"/proc/{service.process.pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024


async def begin_many(service: Stack, count: int) -> list[int]:
    """Begin logins, each as another browser. Returns the statuses."""
    left = iter(range(count))
    statuses: list[int] = []

    async def work(client: httpx.AsyncClient) -> None:
        for _ in left:
            answer = await client.get("/authorization-url")
            client.cookies.clear()
            statuses.append(answer.status_code)

    async with httpx.AsyncClient(base_url=service.api, timeout=30) as client:
        await asyncio.gather(*(work(client) for _ in range(4)))
    return statuses


async def test_flood_costs_less_than_a_kilobyte_each_and_breaks_no_login(tmp_path: Path) -> None:
    """A login from before the flood still finishes. Past the limit, new logins are refused."""
    with stack(tmp_path, MAX_PENDING_LOGINS=str(LOGINS), LOG_LEVEL="warning") as service:
        await begin_many(service, 500)
        async with httpx.AsyncClient(base_url=service.api) as browser:
            url = await begin(browser)
            before = resident_bytes(service)
            statuses = await begin_many(service, LOGINS)
            weight = (resident_bytes(service) - before) / statuses.count(200)
            assert statuses.count(200) == LOGINS - 501
            assert statuses.count(503) == 501
            assert weight < 1000, f"{weight:.0f} bytes each"
            async with httpx.AsyncClient() as person:
                parameters = await decide(person, url)
            answer = await browser.post("/token-exchange", json=parameters, headers=CSRF)
            assert answer.status_code == 200, answer.text
            assert (await browser.get("/authorization-url")).status_code == 200


async def test_bad_answers_leave_the_memory_flat(tmp_path: Path) -> None:
    """Airtable sends three hundred decompression bombs, endless brackets and huge bodies."""
    faults = [
        {"junk": "megabytes", "times": 1000},
        {"junk": "megabytes", "gzip": True, "times": 1000},
        {"junk": "brackets", "times": 1000},
    ]
    with stack(tmp_path, LOG_LEVEL="warning") as service:
        async with (
            httpx.AsyncClient(base_url=service.api, timeout=30) as client,
            httpx.AsyncClient(base_url=service.airtable) as airtable,
        ):

            async def bombard(times: int) -> None:
                for fault in faults:
                    await airtable.delete("/_simulator/faults")
                    await airtable.post("/_simulator/faults", json=fault)
                    for _ in range(times):
                        body = {"refresh_token": "r"}
                        answer = await client.post("/token-refresh", json=body)
                        assert answer.status_code == 502

            await bombard(10)
            before = resident_bytes(service)
            await bombard(100)
            assert resident_bytes(service) - before < 5_000_000
