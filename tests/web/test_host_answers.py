"""The answers of the library's routes in a host app, and the order of the host's dependencies."""

from typing import Annotated

import pytest
from fastapi import Depends, HTTPException

from airtable_oauth.app import create_app
from airtable_oauth.errors import CrossSiteRefused, NotConnected, UnknownEncryptionKey
from airtable_oauth.settings import PREFIX
from airtable_oauth.simulator import Fault
from airtable_oauth.stores.memory import MemoryStore
from tests.helpers import FakeClock, make_settings, make_simulator
from tests.test_hosts import Host, Stranger


@pytest.fixture
def our_host(store: MemoryStore, clock: FakeClock) -> Host:
    return Host(make_simulator(users=3), store, clock)


async def test_every_401_has_a_challenge_that_opens_no_dialog(our_host: Host) -> None:
    """RFC 9110, section 15.5.2. Browsers open a dialog only for Basic, Digest and NTLM."""
    ann = our_host.user(our_host.app(our_host.integration()), "ann")
    answers = [await ann.get("/session"), await ann.client.get("/bases")]
    await ann.connect()
    our_host.simulator.faults.add(Fault(path="/v0/meta/bases", status=401, body="{}", times=2))
    answers.append(await ann.get("/airtable/v0/meta/bases"))
    for answer in answers:
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == 'Session realm="airtable"'
    assert NotConnected().headers == {"WWW-Authenticate": 'Session realm="airtable"'}


async def test_login_data_is_asked_after_the_owner(our_host: Host) -> None:
    """For an unknown caller, the host's login data is not computed at all."""
    asked = []

    async def data() -> str:
        asked.append("data")
        return "x"

    async def owner() -> str:
        asked.append("owner")
        return "ann"

    async def stranger() -> str:
        raise HTTPException(401, "Who are you?")

    known = our_host.user(our_host.app(our_host.integration(owner=owner, login_data=data)), None)
    assert (await known.begin()).status_code == 200
    assert asked == ["owner", "data"]
    unknown = our_host.integration(owner=stranger, login_data=data, settings={"name": "other"})
    assert (await our_host.user(our_host.app(unknown), None).begin()).status_code == 401
    assert asked == ["owner", "data"]


async def test_host_answers_what_its_login_data_raises(our_host: Host) -> None:
    """The host's exception handlers also handle what its login data dependency raises."""

    async def data(name: Annotated[str, Depends(lambda: "ann")]) -> str:
        raise Stranger(name)

    ann = our_host.user(our_host.app(our_host.integration(login_data=data)), "ann")
    answer = await ann.begin()
    assert (answer.status_code, answer.json()) == (418, {"host": "says no"})


def test_errors_name_a_setting_without_a_prefix() -> None:
    """A host may use another prefix for its environment variables."""
    for error in (CrossSiteRefused, UnknownEncryptionKey):
        assert PREFIX not in error.description
    paths = create_app(make_settings()).openapi()["paths"]
    assert PREFIX not in str(paths)
