"""`airtable-oauth keys`: makes keys, and replaces the encryption key."""

import asyncio
import base64
import secrets
import sys
import time
from collections.abc import Iterator

import click

from airtable_oauth.cli.environment import read_shared_settings
from airtable_oauth.cli.errors import click_error
from airtable_oauth.encoding import base64url
from airtable_oauth.errors import (
    DamagedRecord,
    StoreUnavailable,
    UnknownEncryptionKey,
    UnknownRecordFormat,
)
from airtable_oauth.factories import encrypted_store, open_store
from airtable_oauth.settings import PREFIX, WEBHOOK_SECRET_PREFIX, Settings
from airtable_oauth.stores.encrypted import EncryptedStore
from airtable_oauth.stores.resealing import Resealing, reseal_all

_KEY_BYTES = 32
_REMEDIES = {
    UnknownEncryptionKey.error: f"add the missing key to {PREFIX}ENCRYPTION_KEYS again.",
    UnknownRecordFormat.error: (
        "a newer version wrote this data (update this one), or it is not encrypted (remove it)."
    ),
    DamagedRecord.error: "data was changed or moved outside the service; restore or remove it.",
}


@click.group()
def keys() -> None:
    """Create and rotate keys. To replace the encryption key, see `keys rotate --help`."""


@keys.command()
def new() -> None:
    """Print a new key for AIRTABLE_OAUTH_ENCRYPTION_KEYS, and nothing else."""
    click.echo(base64url(secrets.token_bytes(_KEY_BYTES)))


@keys.command()
def webhook() -> None:
    """Print a new secret for AIRTABLE_OAUTH_WEBHOOK_SECRET, and nothing else."""
    click.echo(WEBHOOK_SECRET_PREFIX + base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode())


@keys.command()
def rotate() -> None:
    """Encrypt every stored record with the first key. The service may keep running.

    \b
    Replace a key in this order. In steps 1, 2 and 4, restart every process
    before the next step; you may restart them one after the other.
      1. AIRTABLE_OAUTH_ENCRYPTION_KEYS=old,new   all processes can decrypt with new
      2. AIRTABLE_OAUTH_ENCRYPTION_KEYS=new,old   all processes encrypt with new
      3. airtable-oauth keys rotate               run it with new,old
      4. AIRTABLE_OAUTH_ENCRYPTION_KEYS=new       only if step 3 exited with 0

    Reads the records of this AIRTABLE_OAUTH_NAME until a pass finds nothing left to do. Exit status
    0 means that there are records, and all of them are encrypted with the first key. On exit
    status 1, keep the old key and run this again.
    """  # noqa: D301 (click keeps the line breaks of a paragraph with this control character)
    settings = read_shared_settings()
    run = asyncio.run(_reseal(settings))
    click.echo(
        f"{run.seen} records: {run.resealed} re-encrypted with the first key, {run.left_alone} "
        f"already encrypted with it, {run.changed} changed by another process and read again, "
        f"{run.unreadable.total()} unreadable."
    )
    if run.complete:
        click.echo("Every record is encrypted with the first key.")
        return
    for line in _why_incomplete(run, settings):
        click.echo(line, err=True)
    raise SystemExit(1)


async def _reseal(settings: Settings) -> Resealing:
    try:
        store = encrypted_store(open_store(settings), settings)
    except ModuleNotFoundError as error:
        raise click.ClickException(str(error)) from None
    assert isinstance(store, EncryptedStore)  # noqa: S101 (only memory:// has no keys)
    try:
        return await reseal_all(store, settings.name, progress=_Progress())
    except StoreUnavailable as error:
        raise click_error(error, "Run this again to continue.") from None
    finally:
        await store.close()


class _Progress:
    """Prints progress to stderr: every second on a terminal, every ten seconds elsewhere."""

    def __init__(self) -> None:
        self._seconds = 1 if sys.stderr.isatty() else 10
        self._next = time.monotonic() + self._seconds

    def __call__(self, run: Resealing) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + self._seconds
            click.echo(f"{run.seen} records read, {run.resealed} re-encrypted so far", err=True)


def _why_incomplete(run: Resealing, settings: Settings) -> Iterator[str]:
    if not run.seen:
        yield (
            f"No records were found for {PREFIX}NAME={settings.name} in this store, so nothing was "
            f"verified. Check that {PREFIX}STORE_URL and {PREFIX}NAME match the service's."
        )
        return
    yield "NOT every record is encrypted with the first key. Keep every key."
    for error, count in sorted(run.unreadable.items()):
        records = "1 record" if count == 1 else f"{count} records"
        yield f"{records} cannot be read ({error}): {_REMEDIES.get(error, '')}"
    for key in run.unreadable_keys:
        yield f"  {key}"
    if not run.verified:
        yield (
            "A process still writes records with another key. Restart every process with the same "
            "first key, then run this again."
        )
