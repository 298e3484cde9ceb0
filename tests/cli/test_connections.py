import json

from click.testing import CliRunner

from airtable_oauth.cli.main import main
from tests.cli.helpers import adopted


def test_connections_are_listed_and_disconnected(lasting: dict[str, str]) -> None:
    """All of them or an owner's, for people and for programs; tokens nowhere."""
    ann, bob = adopted(lasting, "ann"), adopted(lasting, "bob")
    run = CliRunner()
    everybody = run.invoke(main, ["connections", "list"], env=lasting)
    assert everybody.exit_code == 0, everybody.output
    assert everybody.output.splitlines()[0].split() == [
        *("ID", "STATUS", "RECONNECT", "BY", "AIRTABLE", "USER", "OWNER"),
    ]
    assert {line.split()[0] for line in everybody.output.splitlines()[1:]} == {ann, bob}
    anns = run.invoke(main, ["connections", "list", "--owner", "ann", "--json"], env=lasting)
    (connection,) = [json.loads(line) for line in anns.output.splitlines()]
    assert (connection["id"], connection["owner"]) == (ann, "ann")
    assert (connection["status"], connection["scopes"]) == ("connected", ["data.records:read"])
    gone = run.invoke(main, ["connections", "disconnect", ann], env=lasting)
    assert (gone.exit_code, gone.output) == (0, f"{ann} is disconnected.\n")
    again = run.invoke(main, ["connections", "disconnect", ann], env=lasting)
    assert again.exit_code == 1
    assert f"This store has no connection '{ann}'." in again.output
    left = run.invoke(main, ["connections", "list"], env=lasting)
    assert ann not in left.output
    assert bob in left.output
    for result in (everybody, anns, gone, again, left):
        assert "CANARY" not in result.output


def test_names_of_others_move_no_cursor(lasting: dict[str, str]) -> None:
    """An owner's id is what a host says; a terminal must not obey it."""
    adopted(lasting, "ann\x1b[2J\nbob")
    output = CliRunner().invoke(main, ["connections", "list"], env=lasting).output
    assert r"ann\x1b[2J\nbob" in output
    assert len(output.splitlines()) == 2
