"""Tests of the app as Ann uses it, with a simulated Airtable."""

import importlib

import httpx
import pytest

from airtable_oauth.testing import AirtableSimulator, Fault

pytestmark = pytest.mark.anyio


async def connect(browser: httpx.AsyncClient, airtable: AirtableSimulator) -> None:
    begun = await browser.get("/integrations/airtable/authorization-url")
    callback = airtable.grant(begun.json()["authorizationUrl"])
    answer = await browser.post(
        "/integrations/airtable/session", json=callback, headers={"X-CSRF": "1"}
    )
    assert answer.status_code == 201


async def test_bases_need_a_connection(browser: httpx.AsyncClient) -> None:
    """Without the right password, the app answers 401, too."""
    assert (await browser.get("/bases")).status_code == 401
    assert (await browser.get("/bases", auth=("ann", "wrong"))).status_code == 401


async def test_second_click_on_connect_changes_nothing(
    browser: httpx.AsyncClient, airtable_simulator: AirtableSimulator
) -> None:
    """Ann still has one connection to her Airtable account, and every page works."""
    app = importlib.import_module("fastapi_app.app")
    await connect(browser, airtable_simulator)
    await connect(browser, airtable_simulator)
    assert (await browser.get("/bases")).status_code == 200
    assert app.inbox[-1] == "ann: Airtable is connected again"


async def test_error_of_airtable_is_the_answer(
    browser: httpx.AsyncClient,
    airtable_simulator: AirtableSimulator,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Ann has just deleted the base. The worker continues with the other users."""
    worker = importlib.import_module("fastapi_app.worker")
    await connect(browser, airtable_simulator)
    fault = Fault("/v0/meta/bases", status=404, body='{"error": "NOT_FOUND"}', times=2)
    airtable_simulator.faults.add(fault)
    answer = await browser.get("/bases")
    assert (answer.status_code, "NOT_FOUND" in answer.json()["detail"]) == (404, True)
    await worker.count()
    assert capsys.readouterr().out == "ann: NOT_FOUND\n"


async def test_connect_browse_and_end(
    browser: httpx.AsyncClient,
    airtable_simulator: AirtableSimulator,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Expired tokens are refreshed. When the grant is revoked, Ann is asked to reconnect."""
    app, worker = (importlib.import_module(f"fastapi_app.{name}") for name in ("app", "worker"))
    await connect(browser, airtable_simulator)
    assert (await browser.get("/bases")).json()[0] == "Product launch"
    airtable_simulator.clock.advance(3600)
    assert (await browser.get("/bases")).status_code == 200
    assert (await browser.get("/account")).json() == {
        "user": "ann",
        "airtable": "mina@example.com",
        "status": "connected",
    }
    await worker.count()
    assert capsys.readouterr().out == "ann: 3 bases\n"

    airtable_simulator.vault.revoke_all()
    assert (await browser.get("/bases")).status_code == 401
    assert app.inbox[-2:] == [
        "ann: Airtable is connected",
        "ann: please reconnect Airtable (revoked)",
    ]
    await worker.renew()
    await worker.count()
    assert capsys.readouterr().out == ""
