"""Tables of IAM: accounts, users, resource groups, keys, trusted profiles, policies, server secrets."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from linklocal.store.engine import metadata
from linklocal.store.json import Json, Timestamp

accounts = Table(
    "accounts",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("name", String(255), nullable=False),
    Column("created_at", Timestamp, nullable=False),
)

users = Table(
    "users",
    metadata,
    Column("iam_id", String(64), primary_key=True),  # IBMid-...
    Column("account_id", ForeignKey("accounts.id"), nullable=False),
    Column("email", String(255), nullable=False),
    Column("created_at", Timestamp, nullable=False),
)

resource_groups = Table(
    "resource_groups",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("account_id", ForeignKey("accounts.id"), nullable=False),
    Column("name", String(63), nullable=False),
    Column("is_default", Boolean, nullable=False),
    UniqueConstraint("account_id", "name"),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", String(64), primary_key=True),  # ApiKey-<uuid>
    Column("account_id", ForeignKey("accounts.id"), nullable=False),
    Column("iam_id", String(64), nullable=False),
    Column("name", String(255), nullable=False),
    Column("description", Text, nullable=False, default="", server_default=""),
    Column("key_sha256", String(64), nullable=False, unique=True),  # of a random key of 256 bits
    Column("locked", Boolean, nullable=False, default=False),
    Column("disabled", Boolean, nullable=False, default=False),
    Column("expires_at", Timestamp, nullable=True),
    Column("action_when_leaked", String(16), nullable=False, default="none"),
    Column("entity_tag", String(64), nullable=False),
    Column("created_by", String(64), nullable=False),
    Column("created_at", Timestamp, nullable=False),
    Column("modified_at", Timestamp, nullable=False),
)

trusted_profiles = Table(
    "trusted_profiles",
    metadata,
    Column("id", String(64), primary_key=True),  # Profile-<uuid>
    Column("account_id", ForeignKey("accounts.id"), nullable=False),
    Column("name", String(255), nullable=False),
    Column("description", Text, nullable=False, default="", server_default=""),
    Column("email", String(255), nullable=True),
    Column("entity_tag", String(64), nullable=False),
    Column("created_by", String(64), nullable=False),
    Column("created_at", Timestamp, nullable=False),
    Column("modified_at", Timestamp, nullable=False),
    UniqueConstraint("account_id", "name"),
)

profile_links = Table(
    "profile_links",
    metadata,
    Column("id", String(64), primary_key=True),  # link-<uuid>
    Column("profile_id", ForeignKey("trusted_profiles.id", ondelete="CASCADE"), nullable=False),
    Column("name", String(255), nullable=True),
    Column("cr_type", String(16), nullable=False),
    Column("crn", String(512), nullable=False),
    Column("link", Json, nullable=False),  # as given: crn, namespace, name, component_*
    Column("auto", Boolean, nullable=False, default=False),  # made with the instance
    Column("entity_tag", String(64), nullable=False),
    Column("created_at", Timestamp, nullable=False),
    Column("modified_at", Timestamp, nullable=False),
    UniqueConstraint("profile_id", "cr_type", "crn"),
    Index("ix_profile_links_crn", "crn"),
)

profile_identities = Table(
    "profile_identities",  # users who may assume the profile
    metadata,
    Column(
        "profile_id",
        ForeignKey("trusted_profiles.id", ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("type", String(16), primary_key=True),
    Column("identifier", String(512), primary_key=True),  # `iam_id` of the user
    Column("description", Text, nullable=False, default="", server_default=""),
)

claim_rules = Table(
    "claim_rules",
    metadata,
    Column("id", String(64), primary_key=True),  # ClaimRule-<uuid>
    Column("profile_id", ForeignKey("trusted_profiles.id", ondelete="CASCADE"), nullable=False),
    Column("name", String(255), nullable=True),
    Column("type", String(32), nullable=False),  # Profile-CR | Profile-SAML
    Column("cr_type", String(16), nullable=True),
    Column("realm_name", String(255), nullable=True),
    Column("expiration", Integer, nullable=False),
    Column("conditions", Json, nullable=False),  # [{claim, operator, value}], value JSON-encoded
    Column("entity_tag", String(64), nullable=False),
    Column("created_at", Timestamp, nullable=False),
    Column("modified_at", Timestamp, nullable=False),
    Index("ix_claim_rules_profile_id", "profile_id"),
)

policies = Table(
    "policies",  # which subject has which role on which service
    metadata,
    Column("id", String(64), primary_key=True),
    Column("account_id", ForeignKey("accounts.id"), nullable=False),
    # `iam_id` of a user or profile (`iam-Profile-...`), or the id of an API key, which then has these
    # roles in place of its user's.
    Column("subject", String(64), nullable=False),
    Column("roles", Json, nullable=False),  # ["Viewer", ...]
    Column("service", String(64), nullable=True),  # None: all services of the account
    Column("resource", Json, nullable=False),  # other resource attributes, as given
    Column("description", Text, nullable=False, default="", server_default=""),
    Column("entity_tag", String(64), nullable=False),
    Column("created_by", String(64), nullable=False),
    Column("created_at", Timestamp, nullable=False),
    Column("modified_at", Timestamp, nullable=False),
    Index("ix_policies_subject", "subject"),
)

secrets = Table(
    "secrets",  # private keys of the server, encrypted with the key file; replicas share them
    metadata,
    Column("id", String(64), primary_key=True),
    Column("kind", String(32), nullable=False),  # access-token-key | tls-ca | identity-ca | ...
    Column("public", Json, nullable=False),  # JWK or PEM
    Column("sealed", Text, nullable=False),
    Column("created_at", Timestamp, nullable=False),
    Column("retired_at", Timestamp, nullable=True),  # no longer signs
    Column("expires_at", Timestamp, nullable=True),  # no longer published
)
