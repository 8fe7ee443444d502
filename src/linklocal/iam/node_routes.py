"""`/internal/v1/...` for nodes: IAM tokens and certificates on behalf of their instances; `/ca/...`.

Parses and answers; `grants.py` and `certificates.py` decide. Errors have the VPC envelope with the codes
of the metadata contract, which nodes pass on to the instance.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import Field

from linklocal.clock import rfc3339_s
from linklocal.fleet.enrolment import CurrentNode
from linklocal.iam.access_tokens import GRANT_COMPUTE_RESOURCE, issuer_of
from linklocal.iam.authorities import Authorities, Which
from linklocal.iam.certificates import Certificates
from linklocal.iam.exchange import By, ProfileSelector
from linklocal.iam.grants import Grants
from linklocal.iam.http import Answer, Body, base_url
from linklocal.iam.login import Login
from linklocal.store.engine import Database

# What a guest can make a node send; the services say what is wrong with it.
GuestText = Annotated[str, Field(max_length=65_536)]


class SelectorBody(Body):
    by: By
    value: Annotated[str, Field(max_length=4096)]


class ExchangeBody(Body):
    identity_token: GuestText
    profile: SelectorBody | None = None


class CertificateBody(Body):
    identity_token: GuestText
    csr: GuestText
    expires_in: int = 3600


class ListenerBody(Body):
    csr: GuestText
    localhost: bool = False


class ExchangeAnswer(Answer):
    access_token: str
    issued_at: str
    expires_at: str
    profile_id: str


class CertificatesAnswer(Answer):
    certificates: list[str]
    issued_at: str
    expires_at: str


def node_routes(grants: Grants, certificates: Certificates) -> APIRouter:
    """`iam_tokens`, `certificates`, `tls_certificate`; every request is signed by a node."""
    router = APIRouter(prefix="/internal/v1", include_in_schema=False)

    @router.post(
        "/iam_tokens", operation_id="exchange_identity_token", response_model=ExchangeAnswer
    )
    async def iam_tokens(request: Request, node: CurrentNode, body: ExchangeBody) -> JSONResponse:
        named = body.profile
        selector = None if named is None else ProfileSelector(named.by, named.value)
        request.state.login = Login(GRANT_COMPUTE_RESOURCE)
        token = await grants.for_instance(
            body.identity_token,
            selector,
            node_id=node.node_id,
            issuer=issuer_of(base_url(request)),
        )
        request.state.login = Login(
            GRANT_COMPUTE_RESOURCE, token.iam_id, profile_id=token.profile_id
        )
        return JSONResponse(
            {
                "access_token": token.value,
                "issued_at": rfc3339_s(token.issued_at),
                "expires_at": rfc3339_s(token.expires_at),
                "profile_id": token.profile_id,
            }
        )

    @router.post(
        "/certificates",
        operation_id="create_identity_certificate",
        response_model=CertificatesAnswer,
    )
    async def identity_certificate(node: CurrentNode, body: CertificateBody) -> JSONResponse:
        issued = await certificates.for_instance(
            body.identity_token, body.csr, body.expires_in, node_id=node.node_id
        )
        return JSONResponse(
            {
                "certificates": issued.certificates,
                "issued_at": rfc3339_s(issued.issued_at),
                "expires_at": rfc3339_s(issued.expires_at),
            }
        )

    @router.post(
        "/tls_certificate",
        operation_id="create_listener_certificate",
        response_model=CertificatesAnswer,
    )
    async def tls_certificate(node: CurrentNode, body: ListenerBody) -> JSONResponse:
        issued = await certificates.for_listener(body.csr, localhost=body.localhost)
        return JSONResponse(
            {
                "certificates": issued.certificates,
                "issued_at": rfc3339_s(issued.issued_at),
                "expires_at": rfc3339_s(issued.expires_at),
            }
        )

    return router


def root_routes(database: Database, authorities: Authorities) -> APIRouter:
    """`/ca/tls.pem` and `/ca/identity.pem`: root certificates, for everybody."""
    router = APIRouter(prefix="/ca", tags=["certificates"])
    documented: dict[int | str, dict[str, Any]] = {
        200: {"content": {"application/x-pem-file": {"schema": {"type": "string"}}}}
    }

    @router.get(
        "/{which}.pem",
        operation_id="get_root_certificate",
        response_class=Response,
        responses=documented,
    )
    async def root(which: Which) -> Response:
        async with database.read() as connection:
            pem = await authorities.root_pem(connection, which)
        return Response(pem, media_type="application/x-pem-file")

    return router
