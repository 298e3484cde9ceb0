import pytest

from airtable_oauth.stores.url import fault_of, postgres_target
from tests.helpers import make_settings

KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"


@pytest.mark.parametrize(
    "url",
    [
        "memory://",
        "sqlite:///store.db",
        "sqlite:////var/lib/store.db",
        "redis://:p@host:6379/1?ssl_cert_reqs=required&health_check_interval=30",
        "postgresql://u:p@host/name?sslmode=verify-full&sslrootcert=/ca.pem&sslcert=/c&sslkey=/k",
        "postgresql://u:p@host/name?sslmode=require&channel_binding=require",
        "postgres://u:p@host:5432/name?connect_timeout=10&application_name=a&options=-c%20x%3Dy",
        "postgresql://u:p@host/name?target_session_attrs=read-write&keepalives=1&ssl=require",
    ],
)
def test_url_is_accepted(url: str) -> None:
    """These are the forms that hosting providers print."""
    assert fault_of(url) is None
    make_settings(store_url=url, encryption_keys=KEY)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mysql://CANARY", "must begin with one of memory://"),
        ("sqlite://", "must name a file"),
        ("sqlite:///", "must name a file"),
        ("sqlite:///:memory:", "use memory://"),
        ("sqlite:///file:CANARY?mode=memory&uri=true", "use memory://"),
        ("sqlite:///CANARY.db?timeout=5", "must not have parameters"),
        ("postgresql://", "must be a URL with a host name"),
        ("postgresql://u:p@host:99999/CANARY", "must be a URL with a host name"),
        ("postgresql://host/n?pgbouncer=CANARY", "has the parameter pgbouncer, which"),
        ("postgresql://host/n?require_auth=CANARY", "has the parameter require_auth, which"),
        ("postgresql://host/n?CANARY%0A=1", "has a parameter with an unusual name, which"),
        ("postgresql://host/n?sslmode=CANARY", "invalid value for the parameter sslmode"),
        ("postgresql://host/n?ssl=CANARY", "invalid value for the parameter ssl"),
        (
            "postgresql://host/n?connect_timeout=CANARY",
            "invalid value for the parameter connect_timeout",
        ),
        (
            "postgresql://host/n?target_session_attrs=CANARY",
            "invalid value for the parameter target_session_attrs",
        ),
        ("redis://host?max_connections=CANARY", "has the parameter max_connections, which"),
        ("redis://host?db=CANARY", "invalid value for the parameter db"),
    ],
)
def test_url_is_refused_without_showing_it(url: str, words: str) -> None:
    """Checking the URL first matters because drivers quote it in their own errors."""
    with pytest.raises(ValueError, match="store_url") as raised:
        make_settings(store_url=url, encryption_keys=KEY)
    assert words in str(raised.value)
    assert "CANARY" not in str(raised.value)


def test_parameters_are_translated_for_asyncpg() -> None:
    """The driver lacks `connect_timeout`, and sends parameters it does not know to the server."""
    target = postgres_target(
        "postgres://u:p%40@host:1/name?ssl=require&channel_binding=require&connect_timeout=7"
    )
    assert target.dsn == "postgresql://u:p%40@host:1/name?sslmode=require"
    assert target.connect_timeout == 7
    assert postgres_target("postgresql://host/name?connect_timeout=0").connect_timeout is None
    both = "postgresql://host/name?sslmode=verify-full&ssl=prefer"
    assert postgres_target(both).dsn == "postgresql://host/name?sslmode=verify-full"
