"""Who may become a node, and which requests are a node's."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fakes.clock import FakeClock
from fakes.fleet import REGION, Host, rsa_key
from sqlalchemy import delete, func, select, update

from linklocal import tokens
from linklocal.document import NODE_REVOKED, NODE_UNKNOWN
from linklocal.errors import Conflict, Invalid, NotAuthenticated
from linklocal.fleet import nodes as fleet_nodes
from linklocal.fleet.enrolment import (
    Enrolled,
    NodeAuthenticator,
    NodeCaller,
    create_join_token,
    enrol,
)
from linklocal.fleet.tables import join_tokens, node_requests, nodes
from linklocal.store.engine import Database

PATH = "/internal/v1/status"
BODY = {"applied_revision": 1}


async def token(database: Database, clock: FakeClock, name: str | None = None) -> str:
    async with database.transaction() as connection:
        made = await create_join_token(connection, now=clock.now(), node_name=name)
    return made.token


async def join(
    database: Database, clock: FakeClock, host: Host, join_token: str, **changes: Any
) -> Enrolled:
    body = {**host.enrolment(join_token), **changes}
    async with database.transaction() as connection:
        made = await enrol(connection, **body, region=REGION, now=clock.now())
    host.joined(made)
    return made


# --- join tokens and enrolment -------------------------------------------------------------------


async def test_a_join_token_is_not_stored(database: Database, clock: FakeClock) -> None:
    made = await token(database, clock)

    async with database.read() as connection:
        row = (await connection.execute(select(join_tokens))).one()
    assert made not in str(row)
    assert len(made) > 40


async def test_a_node_is_known_by_the_key_id_that_it_is_told(
    database: Database, clock: FakeClock
) -> None:
    host = Host("one")
    made = await join(database, clock, host, await token(database, clock))

    assert (made.name, made.region) == ("one", REGION)
    assert made.identity_kid.startswith("VSI-CR_us-south_")
    async with database.read() as connection:
        keys = await fleet_nodes.identity_keys(connection)
        node = await fleet_nodes.find(connection, REGION, "one")
    assert [key["kid"] for key in keys] == [made.identity_kid]
    assert keys[0]["n"] == rsa_key().public_jwk()["n"]
    assert node is not None
    assert (node.id, node.version, node.last_seen_at) == (made.node_id, "1.0", clock.now())


async def test_a_join_token_enrols_one_node(database: Database, clock: FakeClock) -> None:
    join_token = await token(database, clock)
    await join(database, clock, Host("one"), join_token)

    with pytest.raises(NotAuthenticated, match="used"):
        await join(database, clock, Host("two"), join_token)


async def test_of_two_hosts_with_one_token_at_once_one_joins(
    database: Database, clock: FakeClock
) -> None:
    join_token = await token(database, clock)
    results = await asyncio.gather(
        *(join(database, clock, Host(f"h{n}"), join_token) for n in range(5)),
        return_exceptions=True,
    )

    assert sum(isinstance(result, Enrolled) for result in results) == 1
    assert sum(isinstance(result, NotAuthenticated) for result in results) == 4


async def test_a_lost_answer_can_be_asked_for_again(database: Database, clock: FakeClock) -> None:
    host = Host("one")
    join_token = await token(database, clock)
    first = await join(database, clock, host, join_token)
    clock.advance(7200)

    assert await join(database, clock, host, join_token) == first


@pytest.mark.parametrize("seconds", [3599, 3600])
async def test_a_join_token_expires(database: Database, clock: FakeClock, seconds: int) -> None:
    join_token = await token(database, clock)
    clock.advance(seconds)
    if seconds < 3600:
        await join(database, clock, Host("one"), join_token)
        return
    with pytest.raises(NotAuthenticated, match="node join-token"):
        await join(database, clock, Host("one"), join_token)


async def test_expired_join_tokens_are_pruned(database: Database, clock: FakeClock) -> None:
    await token(database, clock)
    used = await token(database, clock)
    await join(database, clock, Host("one"), used)
    clock.advance(3601)
    await token(database, clock)

    async with database.read() as connection:
        assert await connection.scalar(select(func.count()).select_from(join_tokens)) == 2


async def test_a_join_token_may_be_for_one_name(database: Database, clock: FakeClock) -> None:
    join_token = await token(database, clock, "one")
    with pytest.raises(NotAuthenticated, match="named one"):
        await join(database, clock, Host("two"), join_token)

    await join(database, clock, Host("one"), join_token)


async def test_a_name_is_free_again_when_its_node_is_revoked(
    database: Database, clock: FakeClock
) -> None:
    first = await join(database, clock, Host("one"), await token(database, clock))
    join_token = await token(database, clock)
    with pytest.raises(Conflict, match="node revoke one"):
        await join(database, clock, Host("one"), join_token)

    async with database.transaction() as connection:
        assert await fleet_nodes.revoke(connection, first.node_id, now=clock.now())
        assert not await fleet_nodes.revoke(connection, first.node_id, now=clock.now())
    clock.advance(1)
    second = await join(database, clock, Host("one"), join_token)

    async with database.read() as connection:
        found = await fleet_nodes.find(connection, REGION, "one")
        old = await fleet_nodes.find(connection, REGION, first.node_id)
        listed = await fleet_nodes.list_nodes(connection, REGION)
        keys = await fleet_nodes.identity_keys(connection)
    assert found is not None
    assert old is not None
    assert found.id == second.node_id
    assert old.revoked_at is not None
    assert [node.id for node in listed] == [first.node_id, second.node_id]
    assert [key["kid"] for key in keys] == [second.identity_kid]


async def test_a_refused_enrolment_leaves_the_token_usable(
    database: Database, clock: FakeClock
) -> None:
    join_token = await token(database, clock)
    first = Host("one")
    await join(database, clock, first, await token(database, clock))
    with pytest.raises(Conflict, match="another node's") as raised:
        await join(database, clock, Host("two", first.control), join_token)
    assert raised.value.problems[0].target is not None
    assert raised.value.problems[0].target.name == "control_jwk.kid"

    await join(database, clock, Host("two"), join_token)


async def test_both_keys_are_checked(database: Database, clock: FakeClock) -> None:
    join_token = await token(database, clock)
    swapped = {
        "control_jwk": rsa_key().public_jwk(),
        "identity_jwk": tokens.SigningKey.generate_ec().public_jwk(),
    }
    with pytest.raises(Invalid) as raised:
        await join(database, clock, Host("one"), join_token, **swapped)
    targets = [problem.target.name for problem in raised.value.problems if problem.target]
    assert targets == ["control_jwk", "identity_jwk"]

    private = {**rsa_key().public_jwk(), "d": "AQAB"}
    with pytest.raises(Invalid, match="private"):
        await join(database, clock, Host("one"), join_token, identity_jwk=private)
    for kid in ("", "a" * 65, "a\0", "é"):
        misnamed = {**Host("one").control.public_jwk(), "kid": kid}
        with pytest.raises(Invalid, match=r"control_jwk\.kid"):
            await join(database, clock, Host("one"), join_token, control_jwk=misnamed)


async def test_an_identity_key_cannot_take_the_name_of_another(
    database: Database, clock: FakeClock
) -> None:
    """The server gives the `kid`, whatever the node calls its key."""
    first = await join(database, clock, Host("one"), await token(database, clock))
    stolen = {**rsa_key().public_jwk(), "kid": first.identity_kid}
    second = await join(
        database, clock, Host("two"), await token(database, clock), identity_jwk=stolen
    )

    assert second.identity_kid != first.identity_kid


# --- signed requests -----------------------------------------------------------------------------


class Door:
    """An authenticator and one host, with everything about one request to be varied."""

    def __init__(self, database: Database, clock: FakeClock, host: Host) -> None:
        self.database = database
        self.clock = clock
        self.host = host
        self.authenticator = NodeAuthenticator(database, clock)

    def header(self, **changes: Any) -> tuple[bytes, str]:
        values = {"method": "POST", "path": PATH, "now": self.clock.now(), "body": BODY, **changes}
        body, headers = self.host.sign(**values)
        return body, headers["Authorization"]

    async def knock(self, body: bytes, authorization: str | None) -> NodeCaller:
        return await self.authenticator.authenticate(
            authorization, method="POST", path=PATH, body=body
        )

    async def refused(self, body: bytes, authorization: str | None) -> tuple[str, str]:
        with pytest.raises(NotAuthenticated) as raised:
            await self.knock(body, authorization)
        problem = raised.value.problems[0]
        return problem.code, problem.message


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def door(database: Database, clock: FakeClock) -> Door:
    return Door(database, clock, await Host("one").join(database, clock.now()))


async def test_a_signed_request_is_its_nodes(door: Door) -> None:
    assert await door.knock(*door.header()) == NodeCaller(door.host.node_id, "one", REGION)


async def test_a_request_is_accepted_once(door: Door) -> None:
    request = door.header()
    await door.knock(*request)

    assert "accepted before" in (await door.refused(*request))[1]


async def test_of_the_same_request_many_times_at_once_one_is_accepted(door: Door) -> None:
    request = door.header()
    results = await asyncio.gather(
        *(door.knock(*request) for _ in range(8)), return_exceptions=True
    )

    assert sum(isinstance(result, NodeCaller) for result in results) == 1


async def test_a_replay_is_remembered_as_long_as_its_token_lives(door: Door) -> None:
    request = door.header()
    await door.knock(*request)
    door.clock.advance(64)
    await door.knock(*door.header())
    assert "accepted before" in (await door.refused(*request))[1]

    door.clock.advance(121)
    await door.knock(*door.header())
    async with door.database.read() as connection:
        assert await connection.scalar(select(func.count()).select_from(node_requests)) == 1


@pytest.mark.parametrize(
    "changes",
    [{"method": "GET"}, {"path": "/internal/v1/events"}, {"body": {"applied_revision": 2}}],
)
async def test_a_token_is_for_one_request(door: Door, changes: dict[str, Any]) -> None:
    body, _ = door.header()
    _, authorization = door.header(**changes)

    assert (await door.refused(body, authorization))[0] == "unauthenticated"


@pytest.mark.parametrize(
    "authorization", [None, "", "Node", "Node ", "Bearer abc", "Node a.b.c", "Node é.é.é"]
)
async def test_anything_else_is_refused(door: Door, authorization: str | None) -> None:
    assert (await door.refused(b"", authorization))[0] == "unauthenticated"


@pytest.mark.parametrize(("skew", "said"), [(-90, "90 s behind"), (45, "45 s ahead of")])
async def test_a_wrong_clock_is_named_with_its_skew(door: Door, skew: int, said: str) -> None:
    request = door.header()
    door.clock.advance(-skew)

    code, message = await door.refused(*request)
    assert code == "unauthenticated"
    assert said in message
    assert "set the node's clock" in message


async def test_an_unknown_key_is_no_nodes(door: Door) -> None:
    stranger = Host("two", node_id=door.host.node_id)
    body, headers = stranger.sign("POST", PATH, door.clock.now(), BODY)

    assert (await door.refused(body, headers["Authorization"]))[0] == NODE_UNKNOWN


async def test_a_key_id_that_no_database_holds_is_refused(door: Door) -> None:
    stranger = Host("two", tokens.SigningKey.generate_ec("a\0b"), door.host.node_id)
    body, headers = stranger.sign("POST", PATH, door.clock.now(), BODY)

    assert (await door.refused(body, headers["Authorization"]))[0] == "unauthenticated"


async def test_a_key_with_the_id_of_another_is_no_nodes(door: Door) -> None:
    """Found by `kid`, then verified: the signature decides."""
    forged = tokens.SigningKey.generate_ec(door.host.control.kid)
    stranger = Host("two", forged, door.host.node_id)
    body, headers = stranger.sign("POST", PATH, door.clock.now(), BODY)

    assert (await door.refused(body, headers["Authorization"]))[0] == "unauthenticated"


async def test_a_node_cannot_speak_for_another(door: Door) -> None:
    other = await Host("two").join(door.database, door.clock.now())
    other.node_id = door.host.node_id
    body, headers = other.sign("POST", PATH, door.clock.now(), BODY)

    assert "names another node" in (await door.refused(body, headers["Authorization"]))[1]


async def test_a_revoked_node_is_refused_at_once(door: Door) -> None:
    await door.knock(*door.header())
    async with door.database.transaction() as connection:
        await fleet_nodes.revoke(connection, door.host.node_id, now=door.clock.now())

    code, message = await door.refused(*door.header())
    assert code == NODE_REVOKED
    assert "join token" in message


async def test_a_key_that_was_replaced_counts_no_more(door: Door) -> None:
    """What is remembered of a node is compared with the database at every request."""
    await door.knock(*door.header())
    kid = door.host.control.kid
    new = tokens.SigningKey.generate_ec(kid)
    async with door.database.transaction() as connection:
        changed = update(nodes).values(control_jwk=new.public_jwk())
        await connection.execute(changed.where(nodes.c.control_kid == kid))

    assert (await door.refused(*door.header()))[0] == NODE_UNKNOWN
    door.host.control = new
    assert (await door.knock(*door.header())).node_id == door.host.node_id


async def test_a_node_that_is_gone_is_unknown_at_once(door: Door) -> None:
    await door.knock(*door.header())
    async with door.database.transaction() as connection:
        await connection.execute(delete(nodes).where(nodes.c.id == door.host.node_id))

    assert (await door.refused(*door.header()))[0] == NODE_UNKNOWN


async def test_only_the_nodes_own_key_learns_that_it_is_revoked(door: Door) -> None:
    async with door.database.transaction() as connection:
        await fleet_nodes.revoke(connection, door.host.node_id, now=door.clock.now())
    forged = tokens.SigningKey.generate_ec(door.host.control.kid)
    body, headers = Host("x", forged, door.host.node_id).sign("POST", PATH, door.clock.now(), BODY)

    assert (await door.refused(body, headers["Authorization"]))[0] == "unauthenticated"


async def test_refused_requests_are_not_remembered(door: Door) -> None:
    body, _ = door.header()
    await door.refused(body, door.header(method="GET")[1])

    async with door.database.read() as connection:
        assert await connection.scalar(select(func.count()).select_from(node_requests)) == 0
        assert await connection.scalar(select(func.count()).select_from(nodes)) == 1
