"""From verified claims to a caller, and what the OpenAPI document says of routes that need one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from fastapi import FastAPI

from linklocal.iam.access_tokens import GRANT_ASSUME, profile_claims, user_claims
from linklocal.iam.caller import CurrentCaller, caller_of
from linklocal.iam.token_routes import client_id_of
from linklocal.tokens import VerifiedAccessToken

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def test_a_user() -> None:
    claims = user_claims(
        issuer="i", account_id="a", iam_id="IBMid-1", email="e@x", api_key_id="ApiKey-1",
        client_id="bx", now=NOW,
    )  # fmt: skip
    caller = caller_of(VerifiedAccessToken(claims))

    assert (caller.kind, caller.iam_id, caller.api_key_id) == ("user", "IBMid-1", "ApiKey-1")
    assert (caller.profile_id, caller.instance_crn) == (None, None)
    assert (claims["realmid"], claims["identifier"]) == ("IBMid", "1")


@pytest.mark.parametrize(
    ("actor", "instance_crn"),
    [({"sub": "crn:v1:x"}, "crn:v1:x"), ({"sub": "e@x"}, None), ({}, None)],
)
def test_a_profile(actor: dict[str, Any], instance_crn: str | None) -> None:
    claims = profile_claims(
        issuer="i", account_id="a", profile_id="Profile-1", grant_type=GRANT_ASSUME, now=NOW,
        actor=actor,
    )  # fmt: skip
    caller = caller_of(VerifiedAccessToken(claims))

    assert (caller.kind, caller.iam_id, caller.profile_id) == (
        "profile",
        "iam-Profile-1",
        "Profile-1",
    )
    assert caller.instance_crn == instance_crn


def test_routes_that_need_a_caller_say_so_in_the_document() -> None:
    app = FastAPI()

    @app.get("/x")
    async def route(caller: CurrentCaller) -> None: ...

    document = app.openapi()
    assert document["paths"]["/x"]["get"]["security"] == [{"iam": []}]
    assert document["components"]["securitySchemes"]["iam"]["scheme"] == "bearer"


@pytest.mark.parametrize(
    ("header", "client"),
    [
        (None, None),
        ("Basic Yng6Yng=", "bx"),
        ("basic Yng6Yng=", "bx"),
        ("Basic", None),
        ("Basic é", None),
        ("Basic /////w==", None),
        ("Basic Ong=", None),
        ("Bearer Yng6Yng=", None),
    ],
)
def test_the_client_id_of_basic_authentication(header: str | None, client: str | None) -> None:
    assert client_id_of(header) == client
