"""Tables of networks: VPCs, subnets, security groups, reserved ips, interfaces, floating ips.

`network_attachments` and `network_interfaces` belong to instances but live here, with the addresses
they hold. `interface_id` in `interface_security_groups`, and `target_id` of reserved and floating ips,
is the id of a virtual network interface or of a (legacy) network interface.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    UniqueConstraint,
)

from linklocal.store.engine import metadata
from linklocal.store.json import Json, Timestamp

vpcs = Table(
    "vpcs",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("account_id", ForeignKey("accounts.id"), nullable=False),
    Column("region", String(63), nullable=False),
    Column("name", String(63), nullable=False),
    Column("crn", String(255), nullable=False, unique=True),
    Column("version", Integer, nullable=False, default=1),  # for the ETag
    Column("classic_access", Boolean, nullable=False, default=False),
    Column("default_network_acl", Json, nullable=False),  # {id, name}
    Column("default_routing_table", Json, nullable=False),  # {id, name}
    Column(
        "address_prefixes", Json, nullable=False
    ),  # [{id, name, cidr, zone, is_default, created_at}]
    Column("resource_group_id", ForeignKey("resource_groups.id"), nullable=False),
    Column("created_at", Timestamp, nullable=False),
    UniqueConstraint("account_id", "region", "name"),
)

security_groups = Table(
    "security_groups",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("account_id", ForeignKey("accounts.id"), nullable=False),
    Column("region", String(63), nullable=False),
    Column("vpc_id", ForeignKey("vpcs.id"), nullable=False),
    Column("name", String(63), nullable=False),
    Column("crn", String(255), nullable=False, unique=True),
    Column("is_default", Boolean, nullable=False),
    Column("rules", Json, nullable=False),
    Column("resource_group_id", ForeignKey("resource_groups.id"), nullable=False),
    Column("created_at", Timestamp, nullable=False),
    UniqueConstraint("account_id", "region", "name"),
    Index("ix_security_groups_vpc_id", "vpc_id"),
)

subnets = Table(
    "subnets",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("account_id", ForeignKey("accounts.id"), nullable=False),
    Column("region", String(63), nullable=False),
    Column("zone", String(63), nullable=False),
    Column("vpc_id", ForeignKey("vpcs.id"), nullable=False),
    Column("name", String(63), nullable=False),
    Column("crn", String(255), nullable=False, unique=True),
    Column("ipv4_cidr_block", String(18), nullable=False),
    Column("resource_group_id", ForeignKey("resource_groups.id"), nullable=False),
    Column("created_at", Timestamp, nullable=False),
    UniqueConstraint("account_id", "region", "name"),
    Index("ix_subnets_vpc_id", "vpc_id"),
)

reserved_ips = Table(
    "reserved_ips",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("subnet_id", ForeignKey("subnets.id"), nullable=False),
    Column("address", String(15), nullable=False),
    Column(
        "address_number", BigInteger, nullable=False
    ),  # the address as an integer, to find the next free one
    Column("name", String(63), nullable=False),
    Column("owner", String(16), nullable=False),  # user | provider
    Column("auto_delete", Boolean, nullable=False),
    Column("target_id", String(64), nullable=True),
    Column("created_at", Timestamp, nullable=False),
    UniqueConstraint("subnet_id", "address"),
    UniqueConstraint("subnet_id", "name"),
    Index("ix_reserved_ips_target_id", "target_id"),
)

virtual_network_interfaces = Table(
    "virtual_network_interfaces",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("account_id", ForeignKey("accounts.id"), nullable=False),
    Column("region", String(63), nullable=False),
    Column("zone", String(63), nullable=False),
    Column("name", String(63), nullable=False),
    Column("crn", String(255), nullable=False, unique=True),
    Column("version", Integer, nullable=False, default=1),  # for the ETag
    Column("subnet_id", ForeignKey("subnets.id"), nullable=False),
    Column("primary_ip_id", ForeignKey("reserved_ips.id"), nullable=False),
    Column("mac_address", String(17), nullable=False),
    Column("allow_ip_spoofing", Boolean, nullable=False),
    Column("auto_delete", Boolean, nullable=False),
    Column("enable_infrastructure_nat", Boolean, nullable=False),
    Column("protocol_state_filtering_mode", String(16), nullable=False),
    Column("resource_group_id", ForeignKey("resource_groups.id"), nullable=False),
    Column("created_at", Timestamp, nullable=False),
    UniqueConstraint("account_id", "region", "name"),
    Index("ix_virtual_network_interfaces_subnet_id", "subnet_id"),
)

network_attachments = Table(
    "network_attachments",
    metadata,
    Column("id", String(64), primary_key=True),
    # An instance's id or a bare metal server's, as `server_kind` says: so it has no foreign key.
    Column("instance_id", String(64), nullable=False),
    Column("server_kind", String(24), nullable=False, server_default="instance"),
    Column("position", Integer, nullable=False),  # 0 is the primary one
    Column("name", String(63), nullable=False),
    Column(
        "virtual_network_interface_id",
        ForeignKey("virtual_network_interfaces.id"),
        nullable=False,
        unique=True,
    ),
    Column("created_at", Timestamp, nullable=False),
    UniqueConstraint("instance_id", "name"),
    UniqueConstraint("instance_id", "position"),
)

network_interfaces = Table(
    "network_interfaces",  # the older kind, without a virtual network interface
    metadata,
    Column("id", String(64), primary_key=True),
    Column("instance_id", ForeignKey("instances.id"), nullable=False),
    Column("position", Integer, nullable=False),
    Column("name", String(63), nullable=False),
    Column("subnet_id", ForeignKey("subnets.id"), nullable=False),
    Column("primary_ip_id", ForeignKey("reserved_ips.id"), nullable=False),
    Column("allow_ip_spoofing", Boolean, nullable=False),
    Column("created_at", Timestamp, nullable=False),
    UniqueConstraint("instance_id", "name"),
    UniqueConstraint("instance_id", "position"),
    Index("ix_network_interfaces_subnet_id", "subnet_id"),
)

interface_security_groups = Table(
    "interface_security_groups",
    metadata,
    Column("interface_id", String(64), primary_key=True),
    Column("security_group_id", ForeignKey("security_groups.id"), primary_key=True),
    Index("ix_interface_security_groups_security_group_id", "security_group_id"),
)

floating_ips = Table(
    "floating_ips",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("account_id", ForeignKey("accounts.id"), nullable=False),
    Column("region", String(63), nullable=False),
    Column("zone", String(63), nullable=False),
    Column("name", String(63), nullable=False),
    Column("crn", String(255), nullable=False, unique=True),
    Column("address", String(15), nullable=False, unique=True),
    Column("target_id", String(64), nullable=True),
    Column("resource_group_id", ForeignKey("resource_groups.id"), nullable=False),
    Column("created_at", Timestamp, nullable=False),
    UniqueConstraint("account_id", "region", "name"),
    Index("ix_floating_ips_target_id", "target_id"),
)
