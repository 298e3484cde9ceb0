"""A product whose users connect their Airtable accounts.

Set the variables of AirtableOAuth in the environment, then run
`uvicorn fastapi_app.app:app --port 3000`.
"""

import secrets
from typing import Annotated, Any

import httpx
from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import HTTPBasic, HTTPBasicCredentials

from airtable_oauth import AirtableOAuth, Connection, Settings, raise_for_error

PASSWORDS = {"ann": "ann's secret", "bob": "bob's secret"}  # your user table

inbox: list[str] = []  # your mail server


def current_user(credentials: Annotated[HTTPBasicCredentials, Depends(HTTPBasic())]) -> str:
    """The user who sends the request. Your own login goes here."""
    password = PASSWORDS.get(credentials.username, "")
    if not password or not secrets.compare_digest(credentials.password.encode(), password.encode()):
        raise HTTPException(401, "Wrong name or password", {"WWW-Authenticate": "Basic"})
    return credentials.username


airtable = AirtableOAuth(Settings(), owner=current_user)

app = FastAPI(lifespan=airtable.lifespan)
app.include_router(airtable.router, prefix="/integrations/airtable")


@airtable.on_connected
async def welcome(connection: Connection) -> None:
    """Say hello, start a sync, or write to your database. The tokens are already stored."""
    again = " again" if connection.reconnected else ""
    inbox.append(f"{connection.owner}: Airtable is connected{again}")


@airtable.on_reconnect_required
async def ask(connection: Connection) -> None:
    """Ask the user to reconnect: only the user can do so."""
    inbox.append(f"{connection.owner}: please reconnect Airtable ({connection.reason})")


@app.get("/bases")
async def bases(
    client: Annotated[httpx.AsyncClient, Depends(airtable.current_client)],
) -> list[str]:
    """The names of the bases that the user has shared."""
    answer = raise_for_error(await client.get("/v0/meta/bases"))
    return [base["name"] for base in answer.json()["bases"]]


@app.get("/account")
async def account(
    user: Annotated[str, Depends(current_user)],
    connection: Annotated[Connection, Depends(airtable.current_connection)],
) -> dict[str, Any]:
    """The data of a settings page."""
    email = connection.user.email if connection.user else None
    return {"user": user, "airtable": email, "status": connection.status}
