"""What a host app's log says about a failed request to the library's routes."""

import pytest

from airtable_oauth.simulator import Fault
from airtable_oauth.stores.memory import MemoryStore
from tests.helpers import FakeClock, make_simulator
from tests.log_lines import log_lines
from tests.test_hosts import Host
from tests.test_logs import service
from tests.world import FaultyStore


@pytest.fixture
def our_host(store: MemoryStore, clock: FakeClock) -> Host:
    return Host(make_simulator(users=3), store, clock)


@pytest.mark.parametrize("path", ["/authorization-url", "/session"])
async def test_host_finds_a_failed_request_by_the_id_of_its_error_body(
    our_host: Host, path: str
) -> None:
    """A host app has no access log of the library's. The incident line has the same id."""
    store = FaultyStore(our_host.store, down=True)
    app = our_host.app(our_host.integration(store=store, unencrypted=True))
    ann = our_host.user(app, "ann")
    with log_lines() as lines:
        answer = await ann.get(path)
        assert answer.status_code == 503
        store.down = False
        assert (await ann.get("/session")).status_code == 401  # not a failure: not logged
    [incident, failed] = lines
    assert incident["request_id"] == failed["request_id"] == answer.json()["request_id"]
    assert "does not work" in incident["event"]
    assert failed["level"] == "warning"
    assert (failed["status"], failed["error"]) == (503, "store_unavailable")
    assert (failed["route"], failed["path"]) == (path, f"/integrations/airtable{path}")


async def test_host_log_has_a_5xx_that_airtable_answered(our_host: Host) -> None:
    """The proxy passes the answer on, and logs it with the connection."""
    ann = our_host.user(our_host.app(our_host.integration()), "ann")
    connection = (await ann.connect())["id"]
    our_host.simulator.faults.add(Fault(path="/v0/meta/bases", status=503, body="{}"))
    with log_lines() as lines:
        assert (await ann.get("/airtable/v0/meta/bases")).status_code == 503
    [failed] = lines.access()
    assert (failed["cause"], failed["connection"]) == ("HTTP 503", connection)


async def test_service_logs_a_failed_request_once(clock: FakeClock) -> None:
    """The access log already has the line."""
    store = FaultyStore(MemoryStore(clock=clock), down=True)
    with log_lines() as lines:
        async with service(make_simulator(), clock, store) as browser:
            assert (await browser.get("/authorization-url")).status_code == 503
    assert len(lines.access()) == 1
