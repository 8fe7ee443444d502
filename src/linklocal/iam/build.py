"""IAM put together: every object is made here, top to bottom, and handed over as one `Iam`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fastapi import APIRouter
from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal.clock import Clock
from linklocal.iam.api_keys.model import new_api_key_value
from linklocal.iam.api_keys.routes import api_key_routes
from linklocal.iam.api_keys.service import ApiKeyService
from linklocal.iam.authorities import Authorities, Which
from linklocal.iam.bootstrap import SetUp, bootstrap
from linklocal.iam.caller import BearerAuthenticator
from linklocal.iam.certificates import Certificates
from linklocal.iam.grants import Grants
from linklocal.iam.introspection import Introspector
from linklocal.iam.node_routes import node_routes, root_routes
from linklocal.iam.policies.routes import policy_routes
from linklocal.iam.policies.service import PolicyService
from linklocal.iam.roles import Roles
from linklocal.iam.secrets import Sealer, load_key_file
from linklocal.iam.signing_keys import SigningKeys
from linklocal.iam.token_routes import token_routes
from linklocal.iam.trusted_profiles.claim_rules import RuleService
from linklocal.iam.trusted_profiles.identities import IdentityService
from linklocal.iam.trusted_profiles.linking import LinkService
from linklocal.iam.trusted_profiles.routes import (
    identity_routes,
    link_routes,
    profile_routes,
    rule_routes,
)
from linklocal.iam.trusted_profiles.service import ProfileService
from linklocal.settings import Region
from linklocal.store.engine import Database


@dataclass(frozen=True, slots=True)
class Iam:
    """Everything that the roof, the console and the VPC API need of IAM."""

    database: Database
    clock: Clock
    sealer: Sealer
    signing_keys: SigningKeys
    authorities: Authorities
    roles: Roles
    authenticator: BearerAuthenticator
    grants: Grants
    certificates: Certificates
    api_keys: ApiKeyService
    profiles: ProfileService
    links: LinkService
    rules: RuleService
    identities: IdentityService
    introspector: Introspector
    policies: PolicyService

    async def bootstrap(self, connection: AsyncConnection, *, api_key: str | None = None) -> SetUp:
        """Set the database up, or find that it is: see `bootstrap.bootstrap`."""
        return await bootstrap(
            connection, self.signing_keys, self.authorities, self.clock, api_key=api_key
        )

    def new_api_key_value(self) -> str:
        """A random value for an API key."""
        return new_api_key_value()

    async def root_pem(self, which: Which) -> str:
        """The root certificate that guests (`tls`) or verifiers (`identity`) install."""
        async with self.database.read() as connection:
            return await self.authorities.root_pem(connection, which)

    @property
    def routers(self) -> list[APIRouter]:
        """All of IAM's routes; they need `app.state.authenticator` and `.node_authenticator`."""
        return iam_routes(self)


def build_iam(
    database: Database,
    clock: Clock,
    region: Region,
    *,
    key_file: Path,
    create_key_file: bool,
    dev: bool = False,
) -> Iam:
    """IAM over a database. Does no I/O but reading the key file, or making it with `create_key_file`.

    `dev` allows listeners' certificates for localhost. Raises OperatorError (the key file).
    """
    sealer = load_key_file(key_file, create=create_key_file)
    signing_keys = SigningKeys(database, sealer, clock)
    authorities = Authorities(sealer, clock, dev=dev)
    roles = Roles()
    return Iam(
        database=database,
        clock=clock,
        sealer=sealer,
        signing_keys=signing_keys,
        authorities=authorities,
        roles=roles,
        authenticator=BearerAuthenticator(signing_keys),
        grants=Grants(database, signing_keys, roles, sealer, clock, region),
        certificates=Certificates(database, authorities, clock, region),
        api_keys=ApiKeyService(database, roles, clock),
        profiles=ProfileService(database, roles, clock),
        links=LinkService(database, roles, clock),
        rules=RuleService(database, roles, clock),
        identities=IdentityService(database, roles),
        introspector=Introspector(database, signing_keys, clock, region),
        policies=PolicyService(database, roles, clock),
    )


def iam_routes(iam: Iam) -> list[APIRouter]:
    """The routers of an `Iam`."""
    return [
        token_routes(iam.database, iam.grants, iam.signing_keys, iam.introspector),
        api_key_routes(iam.api_keys),
        profile_routes(iam.profiles),
        link_routes(iam.links),
        rule_routes(iam.rules),
        identity_routes(iam.identities),
        policy_routes(iam.policies),
        node_routes(iam.grants, iam.certificates),
        root_routes(iam.database, iam.authorities),
    ]
