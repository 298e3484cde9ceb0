import json

import pytest
from click.testing import CliRunner

from airtable_oauth.cli.main import main
from tests.cli.helpers import adopt_connection


def test_connections_are_listed_and_disconnected(persistent: dict[str, str]) -> None:
    """The list covers all owners or one, as text or as JSON, and never contains a token."""
    ann, bob = adopt_connection(persistent, "ann"), adopt_connection(persistent, "bob")
    run = CliRunner()
    everyone = run.invoke(main, ["connections", "list"], env=persistent)
    assert everyone.exit_code == 0, everyone.output
    assert everyone.output.splitlines()[0].split() == [
        *("ID", "STATUS", "RECONNECT", "BY", "AIRTABLE", "USER", "OWNER"),
    ]
    assert {line.split()[0] for line in everyone.output.splitlines()[1:]} == {ann, bob}
    anns = run.invoke(main, ["connections", "list", "--owner", "ann", "--json"], env=persistent)
    (connection,) = [json.loads(line) for line in anns.output.splitlines()]
    assert (connection["id"], connection["owner"]) == (ann, "ann")
    assert (connection["status"], connection["scopes"]) == ("connected", ["data.records:read"])
    gone = run.invoke(main, ["connections", "disconnect", ann], env=persistent)
    assert (gone.exit_code, gone.output) == (0, f"{ann} is disconnected.\n")
    again = run.invoke(main, ["connections", "disconnect", ann], env=persistent)
    assert again.exit_code == 1
    assert f"This store has no connection '{ann}'." in again.output
    left = run.invoke(main, ["connections", "list"], env=persistent)
    assert ann not in left.output
    assert bob in left.output
    for result in (everyone, anns, gone, again, left):
        assert "CANARY" not in result.output


@pytest.mark.parametrize("options", [[], ["--json"], ["--owner", "ann"]])
def test_empty_list_says_so(persistent: dict[str, str], options: list[str]) -> None:
    """Otherwise it could be mistaken for a list that was cut off. The output itself stays empty."""
    result = CliRunner().invoke(main, ["connections", "list", *options], env=persistent)
    assert result.exit_code == 0
    assert "No connection found under AIRTABLE_OAUTH_NAME=airtable" in result.stderr
    assert "No connection" not in result.stdout


def test_control_characters_of_an_owner_are_escaped(persistent: dict[str, str]) -> None:
    """A host chooses the ids of owners, so they may contain sequences that control a terminal."""
    adopt_connection(persistent, "ann\x1b[2J\nbob")
    output = CliRunner().invoke(main, ["connections", "list"], env=persistent).output
    assert r"ann\x1b[2J\nbob" in output
    assert len(output.splitlines()) == 2
