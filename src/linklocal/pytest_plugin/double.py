"""What a test holds: the running server (`Linklocal`), its instances and the faults it puts into force.

A client of the server like any other program: the VPC API, and the routes that `linklocal dev` has for
tests. IBM's SDKs are imported when they are first used.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import httpx

from linklocal.node.local_api import fetch

if TYPE_CHECKING:
    from ibm_vpc import VpcV1

REQUEST_SECONDS = 30.0
RUNNING_SECONDS = 30.0
POLL_SECONDS = 0.01
PROFILE = "demo-profile"  # of the seed; may read the VPC API
TESTING = "/linklocal/v1"


class Refused(AssertionError):
    """The server refused what the test asked of it; the message is the server's."""


@dataclass(frozen=True, slots=True)
class Instance:
    """A running instance. `url` is where its metadata service answers: 169.254.169.254 of a real one."""

    id: str
    name: str
    crn: str
    url: str


@dataclass(slots=True)
class Fault:
    """A fault in force. As a context manager it is removed at the end of the block."""

    id: str
    kind: str
    _double: Linklocal = field(repr=False)

    @property
    def applied(self) -> int:
        """How many calls have met it; raises LookupError when it is gone."""
        for fault in self._double.faults():
            if fault["id"] == self.id:
                return int(fault["applied"])
        raise LookupError(f"the fault {self.kind} is not in force any more")

    def remove(self) -> None:
        """End it; one that is gone already, because its count was used up, is no error."""
        self._double.request("DELETE", f"{TESTING}/faults/{self.id}", gone=True)

    def __enter__(self) -> Fault:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


class Linklocal:
    """A running server. Everything that a test needs to reach it is an attribute."""

    def __init__(self, ready: dict[str, Any], state_dir: Path) -> None:
        self.ready = ready  # the ready file of `linklocal dev`
        self.state_dir = state_dir
        self.api = str(ready["api"])  # base URL; the VPC API is below /v1, IAM at the base
        self.api_key = str(ready["api_key"])  # an Administrator's
        self.account_id = str(ready["account_id"])
        self.region = str(ready["region"])
        self.ca_cert = Path(ready["ca_cert"])  # root of instances with secure access
        self._http = httpx.Client(base_url=self.api, timeout=REQUEST_SECONDS)
        self._names = itertools.count(1)
        self._vpc: VpcV1 | None = None

    @property
    def authorization(self) -> dict[str, str]:
        """The header of a call as Administrator, for HTTP clients of the test's own."""
        return {"Authorization": self._http.headers["Authorization"]}

    def __enter__(self) -> Linklocal:
        form = {"grant_type": "urn:ibm:params:oauth:grant-type:apikey", "apikey": self.api_key}
        token = self.request("POST", "/identity/token", data=form)["access_token"]
        self._http.headers["Authorization"] = f"Bearer {token}"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.close()

    def request(self, method: str, path: str, *, gone: bool = False, **arguments: Any) -> Any:
        """The decoded answer of a call as Administrator, None when it is empty. Raises Refused.

        `gone`: 404 is no refusal. `arguments` are those of `httpx.Client.request`.
        """
        answer = self._http.request(method, path, **arguments)
        if answer.status_code == 401 and path != "/identity/token":
            self.__enter__()  # the token has had its hour
            answer = self._http.request(method, path, **arguments)
        if answer.is_error and not (gone and answer.status_code == 404):
            raise Refused(f"{method} {path}: {answer.status_code} {_message(answer)}")
        return answer.json() if answer.content else None

    @property
    def vpc(self) -> VpcV1:
        """IBM's client of the VPC API, as Administrator."""
        if self._vpc is None:
            from ibm_cloud_sdk_core.authenticators import IAMAuthenticator
            from ibm_vpc import VpcV1

            self._vpc = VpcV1(authenticator=IAMAuthenticator(self.api_key, url=self.api))
            self._vpc.set_service_url(f"{self.api}/v1")
        return self._vpc

    # --- instances -----------------------------------------------------------------------------

    def create_instance(
        self,
        name: str | None = None,
        *,
        trusted_profile: str | None = PROFILE,
        metadata_service: dict[str, Any] | None = None,
        **members: Any,
    ) -> Instance:
        """A running instance, its metadata service on.

        `trusted_profile`: name of the default one, which is linked; None: none. `metadata_service`:
        members besides `enabled`. `members`: others of the body of `POST /v1/instances`.
        """
        subnet = self._v1("GET", "/subnets")["subnets"][0]
        body: dict[str, Any] = {
            "name": name or f"test-{next(self._names)}",
            "image": {"id": self._image()},
            "profile": {"name": "bx2-2x8"},
            "zone": {"name": subnet["zone"]["name"]},
            "vpc": {"id": subnet["vpc"]["id"]},
            "primary_network_attachment": {
                "virtual_network_interface": {"subnet": {"id": subnet["id"]}}
            },
            "metadata_service": {"enabled": True, **(metadata_service or {})},
            **members,
        }
        if trusted_profile is not None:
            body["default_trusted_profile"] = {"target": {"id": self._profile(trusted_profile)}}
        return self.instance(self._v1("POST", "/instances", json=body)["id"])

    def instance(self, id: str) -> Instance:
        """The instance with this id, as soon as it is running. Raises Refused, or TimeoutError."""
        seen = self._until(
            lambda: self._v1("GET", f"/instances/{id}"), lambda one: one["status"] == "running"
        )
        attached = self._until(lambda: self._address(id), lambda url: url is not None)
        return Instance(id, seen["name"], seen["crn"], str(attached))

    def _until(self, ask: Callable[[], Any], good: Callable[[Any], bool]) -> Any:
        deadline = time.monotonic() + RUNNING_SECONDS
        while not good(found := ask()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"not so within {RUNNING_SECONDS:.0f} s, last seen: {found}")
            time.sleep(POLL_SECONDS)
        return found

    def _address(self, id: str) -> str | None:
        listed = fetch(self.state_dir / "node", "/v1/attachments")
        return next((item["address"] for item in listed if item["instance"] == id), None)

    def _image(self) -> str:
        images = self._v1("GET", "/images")["images"]
        return next(
            str(image["id"])
            for image in images
            if image["operating_system"]["architecture"] == "amd64"
            and image["status"] == "available"
        )

    def _profile(self, name: str) -> str:
        found = self.request("GET", "/v1/profiles", params={"account_id": self.account_id})
        for profile in found["profiles"]:
            if profile["name"] == name:
                return str(profile["id"])
        names = ", ".join(profile["name"] for profile in found["profiles"])
        raise Refused(f"There is no trusted profile {name!r}; there are {names}.")

    def _v1(self, method: str, path: str, **arguments: Any) -> Any:
        query = {"version": "2025-08-26", "generation": "2"}
        return self.request(method, f"/v1{path}", params=query, **arguments)

    # --- faults --------------------------------------------------------------------------------

    def fault(
        self,
        kind: str,
        *,
        instance: Instance | str | None = None,
        operation: str | None = None,
        count: int | None = None,
        seconds: float | None = None,
        retry_after: int | None = None,
    ) -> Fault:
        """Put a fault into force; docs/testing.md lists the kinds and operations. Raises Refused.

        `count`: how many calls meet it. Without it, it stays until it is removed or the test ends.
        """
        if isinstance(instance, Instance):
            instance = instance.id
        members = {
            "kind": kind,
            "instance": instance,
            "operation": operation,
            "count": count,
            "seconds": seconds,
            "retry_after": retry_after,
        }
        body = {name: value for name, value in members.items() if value is not None}
        made = self.request("POST", f"{TESTING}/faults", json=body)
        return Fault(made["id"], made["kind"], self)

    def faults(self) -> list[dict[str, Any]]:
        """The faults in force, as `GET /linklocal/v1/faults` shows them."""
        found: list[dict[str, Any]] = self.request("GET", f"{TESTING}/faults")["faults"]
        return found

    # --- between tests -------------------------------------------------------------------------

    def take_checkpoint(self) -> None:
        """Remember the state; `restore_checkpoint` brings it back."""
        self.request("PUT", f"{TESTING}/checkpoint")

    def restore_checkpoint(self) -> None:
        """Bring back what was remembered, and remove all faults."""
        self.request("POST", f"{TESTING}/checkpoint/restore")

    # --- the program under test ----------------------------------------------------------------

    @contextmanager
    def sdk(self, instance: Instance | None = None) -> Iterator[dict[str, str]]:
        """Inside the block IBM's SDKs reach this server, in programs that know nothing of it.

        With `instance` they run on it: `VPCInstanceAuthenticator` finds its metadata service. Yields the
        environment variables that were set, for other processes.
        """
        from linklocal.pytest_plugin.sdk import pointed

        metadata = None if instance is None else instance.url
        context: AbstractContextManager[dict[str, str]] = pointed(self.api, self.api_key, metadata)
        with context as variables:
            yield variables


def _message(answer: httpx.Response) -> str:
    try:
        body = answer.json()
    except ValueError:
        return answer.text[:200]
    errors = body.get("errors") or [{"message": body.get("errorMessage", answer.text[:200])}]
    return " ".join(str(error["message"]) for error in errors)
