import re

from airtable_oauth.oauth import pkce


def test_challenge_of_the_rfc() -> None:
    """RFC 7636, appendix B, has this example."""
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    assert pkce.code_challenge(verifier) == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def test_verifier_uses_airtables_alphabet_to_its_full_length() -> None:
    """The RFC also allows `~`, but Airtable does not."""
    for _ in range(100):
        assert re.fullmatch(r"[A-Za-z0-9._-]{128}", pkce.code_verifier())


def test_verifier_carries_all_bits_of_its_randomness() -> None:
    """Different random bytes give different verifiers, and equal bytes give equal ones."""
    assert pkce.code_verifier(lambda n: b"\0" * n) == "A" * 128
    assert pkce.code_verifier(lambda n: b"\0" * (n - 1) + b"\1") == "A" * 127 + "B"


def test_state_has_at_least_256_bits_in_airtables_alphabet() -> None:
    """RFC 9700 requires it to be unguessable. Airtable requires 16 to 1024 characters."""
    asked: list[int] = []

    def random(count: int) -> bytes:
        asked.append(count)
        return bytes(range(count))

    assert re.fullmatch(r"[A-Za-z0-9._-]{16,1024}", pkce.state(random))
    assert sum(asked) * 8 >= 256


def test_states_and_verifiers_never_repeat() -> None:
    """They come from the operating system's random generator."""
    assert len({pkce.state() for _ in range(1000)}) == 1000
    assert len({pkce.code_verifier() for _ in range(1000)}) == 1000
