import re

import pytest

from airtable_oauth import errors
from airtable_oauth.errors import Action, AirtableOAuthError, InvalidGrant, LoginNotFound


def every_error(
    root: type[AirtableOAuthError] = AirtableOAuthError,
) -> list[type[AirtableOAuthError]]:
    return [root, *(below for child in root.__subclasses__() for below in every_error(child))]


def test_tree_at_the_top_of_the_file_is_the_tree() -> None:
    """The tree lists each class once, with its status."""
    drawn = dict(re.findall(r"([A-Z]\w+)\s+(\d{3})\b", errors.__doc__ or ""))
    abstract = {"AirtableOAuthError", "AirtableError"}
    real = {
        kind.__name__: str(kind.status) for kind in every_error() if kind.__name__ not in abstract
    }
    assert drawn == real


@pytest.mark.parametrize("kind", every_error())
def test_every_error_tells_people_something(kind: type[AirtableOAuthError]) -> None:
    """It has a description that is a sentence, an error code, and an action."""
    assert kind.description.endswith(".")
    assert re.fullmatch(r"[a-z_]+", kind.error)
    assert kind.action in Action


def test_login_that_ended_starts_again() -> None:
    """Its state is spent, so neither a retry nor a reconnect can help."""
    ended = InvalidGrant().ending_login("/bases")
    assert (ended.action, ended.return_to) == (Action.RESTART_LOGIN, "/bases")


def test_configuration_error_stays_one_at_the_end_of_a_login() -> None:
    """Starting again does not help."""
    assert errors.ClientRefused().ending_login(None).action is Action.FIX_CONFIG


def test_ending_a_login_changes_one_error_only() -> None:
    """The class keeps its action."""
    InvalidGrant().ending_login(None)
    assert InvalidGrant().action is Action.RECONNECT
    assert LoginNotFound().return_to is None
