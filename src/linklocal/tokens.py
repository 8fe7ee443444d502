"""Every JWT of linklocal: claim types, keys, signing and verifying. The only module that speaks JOSE.

Three kinds, each with its own algorithm and keys, so that one can never pass for another:

identity token   RS256, signed by a node, describes an instance (metadata contract 3.1)
access token     RS256, signed by the server's IAM (control-plane contract 4.2)
node request     ES256, signed by a node's control key, for one request to the server

A function that takes a `Verified...` type cannot be handed an unchecked string. Verification always
checks signature, algorithm, expiry and the required claims; there is no way to ask for less.
"""

from __future__ import annotations

import base64
import hashlib
import json
import uuid
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Literal, NewType

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet, RSAKey

VerifiedIdentityToken = NewType("VerifiedIdentityToken", dict[str, Any])
VerifiedAccessToken = NewType("VerifiedAccessToken", dict[str, Any])
VerifiedNodeRequest = NewType("VerifiedNodeRequest", dict[str, Any])

RSA_BITS = 2048
NODE_REQUEST_LIFE = 60  # seconds
NODE_AUDIENCE = "linklocal-control"
# A token longer than this is refused before any cryptography: the largest honest one is under 4 KiB.
MAX_TOKEN_CHARS = 16_384


class TokenRefused(Exception):
    """The token is not valid here. `reason` is one of: malformed, key, signature, expired, early, claims.

    `age` is set for `expired` and `early`: seconds since the signer's clock issued it, by our clock.
    """

    def __init__(self, reason: str, detail: str = "", *, age: float | None = None) -> None:
        self.reason = reason
        self.detail = detail
        self.age = age
        super().__init__(f"{reason}: {detail}" if detail else reason)


class SigningKey:
    """A private key with its `kid`. `public_jwk()` is what others get; `private_pem()` must stay secret."""

    def __init__(self, kid: str, pem: bytes) -> None:
        self.kid = kid
        self._key: RSAKey | ECKey
        try:
            self._key = RSAKey.import_key(pem, {"kid": kid})
            self.algorithm = "RS256"
        except (JoseError, ValueError, TypeError):
            self._key = ECKey.import_key(pem, {"kid": kid})
            self.algorithm = "ES256"

    @classmethod
    def generate_rsa(cls, kid: str | None = None) -> SigningKey:
        """A fresh RS256 key (2048 bits). Without `kid` a random one is given."""
        key = RSAKey.generate_key(RSA_BITS, private=True)
        return cls(kid or uuid.uuid4().hex, key.as_pem(private=True))

    @classmethod
    def generate_ec(cls, kid: str | None = None) -> SigningKey:
        """A fresh ES256 key (P-256)."""
        key = ECKey.generate_key("P-256", private=True)
        return cls(kid or uuid.uuid4().hex, key.as_pem(private=True))

    def private_pem(self) -> bytes:
        return self._key.as_pem(private=True)

    def public_jwk(self) -> dict[str, Any]:
        """`{kty, n, e, kid, alg, use}` (or x, y, crv), without any private member."""
        jwk = dict(self._key.as_dict(private=False))
        return {**jwk, "kid": self.kid, "alg": self.algorithm, "use": "sig"}

    def sign(self, claims: dict[str, Any], *, typ: str = "JWT") -> str:
        """A compact JWT. Releases the GIL while it signs, so it may run in a thread."""
        header = {"alg": self.algorithm, "kid": self.kid, "typ": typ}
        return jwt.encode(header, claims, self._key, algorithms=[self.algorithm])


def public_jwk(jwk: dict[str, Any], algorithm: Literal["RS256", "ES256"]) -> dict[str, Any]:
    """A public key that somebody handed over, reduced to its public members and checked.

    RS256: RSA of 2048-4096 bits with exponent 65537. ES256: a point on P-256. Keeps `kid` if it is text.
    Raises ValueError with a sentence for whoever sent it.
    """
    kty, names = ("RSA", ("n", "e")) if algorithm == "RS256" else ("EC", ("crv", "x", "y"))
    if jwk.get("kty") != kty or not all(isinstance(jwk.get(name), str) for name in names):
        raise ValueError(f"a key for {algorithm} is a JWK with `kty` {kty} and {', '.join(names)}")
    if any(name in jwk for name in ("d", "p", "q", "dp", "dq", "qi", "k")):
        raise ValueError("the key is private: send its public half")
    if any(len(jwk[name]) > 1024 for name in names):
        raise ValueError("the key is too large")
    public: dict[str, Any] = {"kty": kty, **{name: jwk[name] for name in names}}
    if algorithm == "ES256" and public["crv"] != "P-256":
        raise ValueError("a key for ES256 is on the curve P-256")
    try:
        key = (RSAKey if algorithm == "RS256" else ECKey).import_key(public)
    except (JoseError, ValueError, TypeError) as error:
        raise ValueError("the key cannot be read") from error
    if isinstance(key, RSAKey) and (
        public["e"] != "AQAB" or not 2048 <= key.public_key.key_size <= 4096
    ):
        raise ValueError("an RSA key has 2048 to 4096 bits and the exponent 65537")
    if isinstance(jwk.get("kid"), str):
        public["kid"] = jwk["kid"]
    return {**public, "alg": algorithm, "use": "sig"}


class PublicKeys:
    """Public keys to verify with, chosen by `kid`. Built from JWKs; immutable."""

    def __init__(self, jwks: Iterable[dict[str, Any]]) -> None:
        self._jwks = tuple(jwks)
        self._set = KeySet.import_key_set({"keys": [dict(j) for j in self._jwks]})
        self._kids = frozenset(j["kid"] for j in self._jwks)

    def as_jwks(self) -> dict[str, Any]:
        """`{"keys": [...]}`."""
        return {"keys": [dict(j) for j in self._jwks]}

    def __contains__(self, kid: object) -> bool:
        return kid in self._kids


def unverified_header(token: str) -> dict[str, Any]:
    """The header of a token that nobody has checked: good for choosing a key by `kid`, nothing else.

    Raises TokenRefused("malformed").
    """
    if len(token) > MAX_TOKEN_CHARS or token.count(".") != 2:
        raise TokenRefused("malformed")
    head = token.split(".", 1)[0]
    try:
        data = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    except (ValueError, RecursionError) as error:
        raise TokenRefused("malformed") from error
    if not isinstance(data, dict) or not isinstance(data.get("kid"), str):
        raise TokenRefused("malformed", "no kid")
    return data


def unverified_instance(token: str) -> str:
    """The instance that an unchecked identity token names: good for finding whose key must verify it.

    Raises TokenRefused("malformed").
    """
    unverified_header(token)
    body = token.split(".")[1]
    try:
        data = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        instance = data["iaas"]["instanceID"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise TokenRefused("malformed", "not an identity token") from error
    if not isinstance(instance, str):
        raise TokenRefused("malformed", "`iaas.instanceID` is not text")
    return instance


def _verify(
    token: str,
    keys: PublicKeys,
    algorithm: str,
    required: Iterable[str],
    now: datetime,
    leeway: int,
) -> dict[str, Any]:
    if unverified_header(token)["kid"] not in keys:
        raise TokenRefused("key", "signed with a key that is not known here")
    try:
        claims = jwt.decode(token, keys._set, algorithms=[algorithm]).claims
    except (JoseError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise TokenRefused("signature", type(error).__name__) from error
    if not isinstance(claims, dict):
        raise TokenRefused("malformed", "claims are not an object")
    for name in ("iat", "exp"):
        value = claims.get(name)
        if isinstance(value, bool) or not isinstance(value, int):
            raise TokenRefused("claims", f"`{name}` is not an integer")
    seconds = now.timestamp()
    if seconds >= claims["exp"] + leeway:
        raise TokenRefused("expired", age=seconds - claims["iat"])
    if claims["iat"] > seconds + max(leeway, 5):
        ahead = claims["iat"] - seconds
        raise TokenRefused("early", f"issued {ahead:.0f} s in the future", age=-ahead)
    missing = [name for name in required if name not in claims]
    if missing:
        raise TokenRefused("claims", f"without {', '.join(missing)}")
    return claims


# --- identity tokens ---------------------------------------------------------------------------


def identity_issuer(region: str) -> str:
    """`VSI-CR_us-south`: `iss` of identity tokens and the beginning of their `kid`."""
    return f"VSI-CR_{region}"


def identity_kid(region: str, key_id: str) -> str:
    """`VSI-CR_<region>_<key id>` (metadata contract 3.1)."""
    return f"{identity_issuer(region)}_{key_id}"


def identity_claims(
    *,
    region: str,
    epoch: int,
    claims: dict[str, Any],
    now: datetime,
    expires_in: int,
    nonce: str | None = None,
) -> dict[str, Any]:
    """Claims of one identity token (metadata contract 3.1).

    `claims` is `InstanceDocument.claims`; `epoch` its `tokens_valid_after`, carried in the second,
    opaque member of `aud` because `iat` has whole seconds only.
    """
    issued = int(now.timestamp())
    issuer = identity_issuer(region)
    out = {
        "iss": issuer,
        "aud": [issuer, f"{uuid.uuid4()}_{epoch}"],
        "iat": issued,
        "exp": issued + expires_in,
        **claims,
    }
    if nonce is not None:
        out["nonce"] = nonce
    return out


def verify_identity_token(token: str, keys: PublicKeys, now: datetime) -> VerifiedIdentityToken:
    """Check signature (RS256), expiry and shape of an identity token. Raises TokenRefused.

    Does **not** check whose instance it is, nor its epoch: the caller compares `identity_instance` with
    the listener's instance and `identity_epoch` with the document's (or placement's).
    """
    claims = _verify(token, keys, "RS256", ("iss", "aud", "iaas"), now, leeway=0)
    iaas, audience = claims["iaas"], claims["aud"]
    if not isinstance(iaas, dict) or not isinstance(iaas.get("instanceID"), str):
        raise TokenRefused("claims", "`iaas.instanceID` is missing")
    if not (isinstance(audience, list) and len(audience) == 2 and audience[0] == claims["iss"]):
        raise TokenRefused("claims", "`aud`")
    if not str(audience[1]).rpartition("_")[2].isdigit():
        raise TokenRefused("claims", "`aud`")
    return VerifiedIdentityToken(claims)


def identity_instance(token: VerifiedIdentityToken) -> str:
    """The instance that the token was issued to."""
    return str(token["iaas"]["instanceID"])


def identity_epoch(token: VerifiedIdentityToken) -> int:
    """The start epoch in which the token was issued."""
    return int(str(token["aud"][1]).rpartition("_")[2])


# --- access tokens -----------------------------------------------------------------------------


def verify_access_token(token: str, keys: PublicKeys, now: datetime) -> VerifiedAccessToken:
    """Check signature (RS256), expiry and required claims of an IAM access token. Raises TokenRefused."""
    claims = _verify(token, keys, "RS256", ("iss", "iam_id", "id", "account", "jti"), now, leeway=0)
    account = claims["account"]
    if not isinstance(account, dict) or not isinstance(account.get("bss"), str):
        raise TokenRefused("claims", "`account.bss`")
    return VerifiedAccessToken(claims)


# --- node requests -----------------------------------------------------------------------------


def body_hash(body: bytes) -> str:
    """SHA-256 of a request body, hex: binds a node request's token to its body."""
    return hashlib.sha256(body).hexdigest()


def sign_node_request(
    key: SigningKey, *, node_id: str, method: str, path: str, body: bytes, now: datetime
) -> str:
    """A 60 s token for exactly one request: method, path (without query) and body are bound."""
    issued = int(now.timestamp())
    return key.sign(
        {
            "iss": node_id,
            "aud": NODE_AUDIENCE,
            "iat": issued,
            "exp": issued + NODE_REQUEST_LIFE,
            "jti": uuid.uuid4().hex,
            "method": method,
            "path": path,
            "body": body_hash(body),
        },
        typ="node-request+jwt",
    )


def verify_node_request(
    token: str, keys: PublicKeys, *, method: str, path: str, body: bytes, now: datetime
) -> VerifiedNodeRequest:
    """Check a node request's token against the very request it came with. Raises TokenRefused.

    Does **not** check revocation or replay of `jti`: `fleet/enrolment.py` does.
    """
    claims = _verify(
        token, keys, "ES256", ("iss", "aud", "jti", "method", "path", "body"), now, leeway=5
    )
    wanted = {"aud": NODE_AUDIENCE, "method": method, "path": path, "body": body_hash(body)}
    for name, value in wanted.items():
        if claims[name] != value:
            raise TokenRefused("claims", f"`{name}` is of another request")
    if claims["exp"] - claims["iat"] > NODE_REQUEST_LIFE:
        raise TokenRefused("claims", "lives too long")
    return VerifiedNodeRequest(claims)
