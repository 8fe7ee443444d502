"""The node's link to its server: joining, following the watch stream, reporting what is applied.

It puts what the stream says into `Desired` and rings; it never touches a listener. What each answer of
the server means for the node is decided here, case by case:

    unreachable, silent, 5xx   serve on, try again with backoff (`backoff.py`)
    the clocks differ          the same, and the skew is a fault
    node_unknown               serve on; join anew if there is a join token, else the same
    node_revoked               serve nothing, forget the documents, ask again every five minutes
    any other refusal          serve on, ask again every 15 s at most
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable

import structlog

from linklocal.clock import Clock
from linklocal.document import NODE_UNKNOWN, Change
from linklocal.errors import OperatorError
from linklocal.ids import InstanceId
from linklocal.node.backoff import Backoff
from linklocal.node.control_client import ControlClient
from linklocal.node.desired import Desired
from linklocal.node.identity import Enrolment, IdentityStore, NodeSigner, signing_key
from linklocal.node.server_answers import NodeRevoked, ServerRefused, ServerUnavailable
from linklocal.node.snapshot import UNREADABLE, is_file_name
from linklocal.node.status import Status

REPORT_SECONDS = 15.0  # the server calls a node silent after 45 s
REVOKED_SECONDS = 300.0

log = structlog.get_logger(__name__)


class Link:
    """One node's link. `run` and `report` are its two tasks; `ring` wakes whoever applies changes."""

    def __init__(
        self,
        client: ControlClient,
        identity: IdentityStore,
        signer: NodeSigner,
        desired: Desired,
        status: Status,
        clock: Clock,
        new_backoff: Callable[[], Backoff],
        *,
        name: str,
        join_token: str | None,
        ring: Callable[[], None],
        report_seconds: float = REPORT_SECONDS,
        revoked_seconds: float = REVOKED_SECONDS,
    ) -> None:
        self._client = client
        self._identity = identity
        self._signer = signer
        self._desired = desired
        self._status = status
        self._clock = clock
        self._backoff = new_backoff()
        self._report_backoff = new_backoff()
        self._name = name
        self._join_token = join_token
        self._ring = ring
        self._report_seconds = report_seconds
        self._revoked_seconds = revoked_seconds
        self._report_due = asyncio.Event()

    # --- joining -------------------------------------------------------------------------------

    async def join(self) -> None:
        """Be a node of the server: from an earlier run, or with the join token.

        Waits for a server that is away. Raises OperatorError when there is no token, when the server
        refuses it, or when the state folder cannot be written.
        """
        known = self._identity.enrolment()
        if known is not None and known.revoked and self._join_token is not None:
            log.info("Joining anew after a revocation", node=known.name)
            self._identity.forget()
            self._client.use_keys(self._identity.keys())
            known = None
        if known is not None:
            self._take_enrolment(known)
            return
        if self._join_token is None:
            raise not_joined()
        while True:
            try:
                await self._enrol(self._join_token)
            except ServerUnavailable as error:
                self._unheard(str(error))
                await asyncio.sleep(self._backoff.next())
            except ServerRefused as error:
                raise OperatorError(
                    f"The server does not let this node join: {error}",
                    "Make a new token with `linklocal node join-token`, and check --name.",
                ) from error
            else:
                self._backoff.reset()
                return

    async def _enrol(self, join_token: str) -> None:
        enrolment = await self._client.enrol(join_token, self._name)
        try:
            await asyncio.to_thread(self._identity.save, enrolment)
        except OSError as error:
            raise OperatorError(
                f"The state folder cannot be written: {error.strerror}.",
                "Make room or mend its rights, then start the node again.",
            ) from error
        log.info("Joined", node=enrolment.name, node_id=enrolment.node_id)
        self._take_enrolment(enrolment)

    def _take_enrolment(self, enrolment: Enrolment) -> None:
        self._client.enrolment = enrolment
        self._signer.use(
            signing_key(self._identity.keys(), enrolment, enrolment.region), enrolment.region
        )
        status = self._status
        status.name, status.node_id = enrolment.name, enrolment.node_id
        status.region, status.revoked = enrolment.region, enrolment.revoked

    # --- following -----------------------------------------------------------------------------

    async def run(self) -> None:
        """Join, then follow the stream until cancelled. Raises OperatorError as `join` does."""
        await self.join()
        may_join_again = self._join_token is not None
        while True:
            wait: float | None = None
            try:
                await self._follow()
                self._unheard("the server ended the stream")
            except ServerUnavailable as error:
                self._unheard(str(error))
            except NodeRevoked as error:
                await self._revoked(error)
                wait = self._revoked_seconds
            except ServerRefused as error:
                self._unheard(f"the server refuses this node: {error}")
                if error.problem.code == NODE_UNKNOWN and may_join_again:
                    may_join_again = False
                    await self._join_again()
                    wait = 0.0
            finally:
                self._status.connected = False
            await asyncio.sleep(self._backoff.next() if wait is None else wait)

    async def _follow(self) -> None:
        """One stream, from where the last one ended to its own end."""
        after = self._desired.after
        async with self._client.watch(after) as lines:
            self._desired.begin_stream()
            if after == 0:
                self._status.unreadable.clear()
            async for line in lines:
                up_to_date = self._take(line)
                # Only now is it certain that the server has spoken, and to a node that it knows.
                if self._status.revoked:
                    await self._pardoned()
                self._heard()
                if up_to_date:
                    self._backoff.reset()

    def _take(self, line: bytes) -> bool:
        """One line. Whether the server is up to date with us now. Raises ServerUnavailable."""
        try:
            change = Change.from_line(line)
        except UNREADABLE as error:
            self._take_unreadable(line, error)
            return False
        if change.type == "reset":
            self._status.unreadable.clear()
        named = change.document.instance_id if change.document else change.instance_id
        if named is not None:
            if not is_file_name(named):
                raise ServerUnavailable("the stream named something that is no instance id")
            self._status.unreadable.pop(named, None)
        try:
            due = self._desired.apply(change)
        except ValueError as error:
            raise ServerUnavailable(f"the stream sent {error}") from error
        if due:
            self._ring()
        return change.type in ("synced", "heartbeat")

    def _take_unreadable(self, line: bytes, error: Exception) -> None:
        """A document that this node cannot read (a newer server's) must not hold up the others."""
        instance_id = _instance_in(line)
        if instance_id is None:
            raise ServerUnavailable("the stream sent a line that cannot be read") from error
        text = f"{type(error).__name__}: {error}"
        log.error("Document not readable", instance=instance_id, error=text)
        self._status.unreadable[instance_id] = text
        self._desired.name(instance_id)

    def _heard(self) -> None:
        status = self._status
        status.contact = self._clock.now()
        status.clock_skew = self._client.clock_skew
        if not status.connected:
            log.info("Connected", after=self._desired.after)
            status.connected, status.server_fault = True, None
            self.report_soon()
        if status.refusing:
            self._ring()

    def _unheard(self, why: str) -> None:
        if self._status.server_fault != why:
            log.warning("Server not heard", error=why)
        self._status.server_fault = why
        self._status.clock_skew = self._client.clock_skew

    async def _join_again(self) -> None:
        """The server has never heard of this node (a new database): join with the same keys."""
        try:
            await self._enrol(self._join_token or "")
        except (ServerUnavailable, ServerRefused) as error:
            self._unheard(f"the server does not know this node, nor takes its join token: {error}")
        else:
            self._status.applied_revision = 0
            self._desired.restart()

    async def _revoked(self, error: NodeRevoked) -> None:
        self._status.server_fault = str(error)
        if self._status.revoked:
            return
        log.error("This node is revoked and serves nothing", error=str(error))
        self._status.revoked = True
        await self._mark(True)
        self._desired.forget()
        self._ring()

    async def _pardoned(self) -> None:
        log.warning("This node is revoked no more")
        self._status.revoked = False
        await self._mark(False)

    async def _mark(self, revoked: bool) -> None:
        enrolment = self._client.enrolment
        if enrolment is None:
            return
        try:
            self._client.enrolment = await asyncio.to_thread(
                self._identity.mark_revoked, enrolment, revoked
            )
            self._status.note("node.json", None)
        except OSError as error:
            self._status.note("node.json", f"cannot be written: {error.strerror}")

    # --- reporting -----------------------------------------------------------------------------

    def report_soon(self) -> None:
        """There is something new to tell the server."""
        self._report_due.set()

    async def report(self) -> None:
        """Tell the server what is applied, when it changes and every 15 s, until cancelled."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._report_seconds):
                    await self._report_due.wait()
            self._report_due.clear()
            if not self._status.connected:
                continue  # the next stream begins with a report
            try:
                await self._client.report(self._status.report())
                self._report_backoff.reset()
            except (ServerUnavailable, ServerRefused) as error:
                log.debug("Status not reported", error=str(error))
                await asyncio.sleep(self._report_backoff.next())
                self._report_due.set()


def not_joined() -> OperatorError:
    """This node was never let in, and has nothing to be let in with."""
    return OperatorError(
        "This node has not joined a server, and has no join token.",
        "Make one on the server with `linklocal node join-token`, and start the node with "
        "--join-token TOKEN.",
        exit_code=2,
    )


def _instance_in(line: bytes) -> InstanceId | None:
    """The instance that an unreadable line is about, if that much can be read."""
    try:
        data = json.loads(line)
        instance_id = data["document"]["instance_id"]
    except UNREADABLE:
        return None
    if not isinstance(instance_id, str) or not is_file_name(instance_id):
        return None
    return InstanceId(instance_id)
