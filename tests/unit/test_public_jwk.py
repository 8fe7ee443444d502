"""Keys that somebody else hands over are reduced to their public members, or refused."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from fakes.fleet import rsa_key
from hypothesis import given
from hypothesis import strategies as st

from linklocal.tokens import PublicKeys, SigningKey, public_jwk

EC = SigningKey.generate_ec("ec")
Algorithm = Literal["RS256", "ES256"]


def test_only_public_members_are_kept() -> None:
    given_key = {**EC.public_jwk(), "x5u": "http://elsewhere", "use": "enc", "alg": "none"}

    assert public_jwk(given_key, "ES256") == EC.public_jwk()
    assert sorted(public_jwk(rsa_key().public_jwk(), "RS256")) == sorted(
        ["kty", "n", "e", "kid", "alg", "use"]
    )


def test_what_is_accepted_verifies() -> None:
    assert EC.kid in PublicKeys([public_jwk(EC.public_jwk(), "ES256")])


@pytest.mark.parametrize(
    ("changes", "algorithm"),
    [
        ({"kty": "RSA"}, "ES256"),
        ({"kty": "oct", "k": "AAAA"}, "ES256"),
        ({"crv": "P-384"}, "ES256"),
        ({"x": "AAAA"}, "ES256"),
        ({"x": "é"}, "ES256"),
        ({"y": None}, "ES256"),
        ({"y": "A" * 5000}, "ES256"),
        ({"d": "AAAA"}, "ES256"),
        ({}, "RS256"),
    ],
)
def test_other_elliptic_keys_are_refused(changes: dict[str, Any], algorithm: Algorithm) -> None:
    with pytest.raises(ValueError):
        public_jwk({**EC.public_jwk(), **changes}, algorithm)


@pytest.mark.parametrize(
    "changes", [{"e": "Aw"}, {"n": "AQAB"}, {"n": ""}, {"n": "!"}, {"p": "AQ"}, {"n": "A" * 1024}]
)
def test_other_rsa_keys_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        public_jwk({**rsa_key().public_jwk(), **changes}, "RS256")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner),
    max_leaves=4,
)


@given(
    st.dictionaries(st.sampled_from(["kty", "crv", "x", "y", "n", "e", "kid", "d"]), JSON),
    st.sampled_from(["RS256", "ES256"]),
)
def test_nothing_else_is_raised(changes: dict[str, Any], algorithm: Algorithm) -> None:
    base = EC if algorithm == "ES256" else rsa_key()
    try:
        public_jwk({**base.public_jwk(), **changes}, algorithm)
    except ValueError:
        return
    assert "d" not in changes
