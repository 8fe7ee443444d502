"""`kill -9` of `linklocal dev` at random moments of creates, patches and deletes; then the invariants.

In each round several clients change things, the process is killed while requests are in flight, the
database is looked at as the kill left it, and the next process on the same state folder is asked for
everything that was acknowledged. The seed is printed and can be given: LINKLOCAL_TEST_SEED.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
from cloud import Cloud, clients
from crash.invariants import check_database, node_revision
from ibm_vpc.vpc_v1 import InstancesPager
from live import Dev, start

CLIENTS = 3
ROUNDS = 15
ROUNDS_LONG = 100
MAX_LIFE = 1.2  # seconds of changes before the kill, at most
MAX_INSTANCES = (
    60  # more are deleted before a round: the subnet has 251 addresses, and a start its time
)


@dataclass
class Known:
    """What one instance must be, as far as the server acknowledged it."""

    id: str
    crn: str
    auto_link: bool | None
    settings: dict[str, Any]
    unsure: list[dict[str, Any] | None] = field(default_factory=list)  # None: deleted


class Client:
    """Changes its own instances one after the other, and remembers what was acknowledged."""

    def __init__(self, cloud: Cloud, seed: int, profile_id: str, prototype: dict[str, Any]) -> None:
        self.random = random.Random(seed)
        self.cloud = cloud
        self.profile_id = profile_id
        self.prototype = prototype
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {self._token()}"
        self.known: dict[str, Known] = {}
        self.in_flight = threading.Event()
        self.number = 0
        self.seed = seed

    def _token(self) -> str:
        return str(self.cloud.vpc.authenticator.token_manager.get_token())

    def _call(self, method: str, path: str, body: Any = None) -> requests.Response:
        self.in_flight.set()
        answer = self.session.request(
            method,
            f"{self.cloud.dev.api}/v1{path}",
            params={"version": "2026-10-06", "generation": "2"},
            json=body,
            timeout=20,
        )
        self.in_flight.clear()
        return answer

    def run(self) -> None:
        """Until the server is gone."""
        try:
            while True:
                self._step()
        except requests.RequestException:
            return

    def _step(self) -> None:
        alive = [k for k in self.known.values() if not k.unsure]
        choice = self.random.random()
        if choice < 0.45 or not alive:
            self._create()
        elif choice < 0.8:
            self._patch(self.random.choice(alive))
        else:
            self._delete(self.random.choice(alive))

    def _create(self) -> None:
        self.number += 1
        auto_link = self.random.choice([None, True, False])
        settings = {
            "enabled": self.random.random() < 0.5,
            "protocol": self.random.choice(["http", "https"]),
            "response_hop_limit": self.random.randint(1, 64),
        }
        body = {
            **self.prototype,
            "name": f"k{self.seed}-{self.number}",
            "metadata_service": settings,
        }
        if auto_link is not None:
            target = {"id": self.profile_id}
            body["default_trusted_profile"] = {"auto_link": auto_link, "target": target}
        answer = self._call("POST", "/instances", body)
        assert answer.status_code == 201, answer.text
        made = answer.json()
        self.known[made["id"]] = Known(made["id"], made["crn"], auto_link, settings)

    def _patch(self, known: Known) -> None:
        change = {"response_hop_limit": self.random.randint(1, 64)}
        if self.random.random() < 0.5:
            change["enabled"] = self.random.random() < 0.5
        after = {**known.settings, **change}
        known.unsure.append(after)
        answer = self._call("PATCH", f"/instances/{known.id}", {"metadata_service": change})
        assert answer.status_code == 200, answer.text
        known.settings = after
        known.unsure.clear()

    def _delete(self, known: Known) -> None:
        known.unsure.append(None)
        answer = self._call("DELETE", f"/instances/{known.id}")
        assert answer.status_code == 204, answer.text
        del self.known[known.id]


@dataclass
class Acknowledged:
    """What a killed server had promised: each instance's state, and the profile that links are to."""

    instances: dict[str, Known]
    profile_id: str
    in_flight: bool  # whether a request was under way when it was killed


def live_and_be_killed(dev: Dev, seed: int) -> Acknowledged:
    """Changes from several clients, ended by SIGKILL at a random moment."""
    chance = random.Random(seed)
    cloud = clients(dev)
    profiles = cloud.iam.list_profiles(account_id=cloud.account_id).result["profiles"]
    profile = next(p for p in profiles if p["name"] == "other-profile")
    thin_out(cloud)
    prototype = cloud.prototype()
    workers = [Client(cloud, seed * 10 + n, profile["id"], prototype) for n in range(CLIENTS)]
    with ThreadPoolExecutor(CLIENTS) as pool:
        running = [pool.submit(worker.run) for worker in workers]
        time.sleep(chance.uniform(0.05, MAX_LIFE))  # the moment of the kill is the test's input
        dev.process.send_signal(signal.SIGKILL)
        in_flight = any(worker.in_flight.is_set() for worker in workers)
        dev.process.wait(10)
        for future in running:
            future.result(30)
    known = {k.id: k for worker in workers for k in worker.known.values()}
    return Acknowledged(known, profile["id"], in_flight)


def thin_out(cloud: Cloud) -> None:
    """Delete the older half of what earlier rounds left, once it is much."""
    made = [i for i in InstancesPager(client=cloud.vpc, limit=100).get_all() if i["name"] != "demo"]
    if len(made) > MAX_INSTANCES:
        for instance in sorted(made, key=lambda i: i["created_at"])[: len(made) // 2]:
            cloud.vpc.delete_instance(instance["id"])


def compare(dev: Dev, acknowledged: Acknowledged) -> None:
    """On a server that was started again: everything acknowledged is there, nothing else is half there."""
    cloud = clients(dev)
    links = {link["link"]["crn"] for link in cloud.links(acknowledged.profile_id)}
    for known in acknowledged.instances.values():
        check_one(cloud, known, links)
    wait_for_settled(cloud, dev)


def check_one(cloud: Cloud, known: Known, links: set[str]) -> None:
    answers = [known.settings, *known.unsure]
    response = requests.get(
        f"{cloud.dev.api}/v1/instances/{known.id}",
        params={"version": "2026-10-06", "generation": "2"},
        headers={"Authorization": f"Bearer {cloud.vpc.authenticator.token_manager.get_token()}"},
        timeout=10,
    )
    if response.status_code == 404 or response.json()["status"] == "deleting":
        assert None in answers, f"{known.id} was acknowledged and is gone"
        return
    assert response.json()["metadata_service"] in answers
    assert (known.crn in links) == (known.auto_link is True)


def wait_for_settled(cloud: Cloud, dev: Dev) -> None:
    """No instance stays in a transient state."""
    deadline = time.monotonic() + 20
    while not set(statuses := all_statuses(cloud)) <= {"running", "stopped"}:
        assert time.monotonic() < deadline, set(statuses)
        time.sleep(0.05)
    attached = dev.attachments()
    assert len(attached) == statuses.count("running")


def all_statuses(cloud: Cloud) -> list[str]:
    pager = InstancesPager(client=cloud.vpc, limit=100)
    return [instance["status"] for instance in pager.get_all()]


def play(state_dir: Path, rounds: int) -> None:
    seed = int(os.environ.get("LINKLOCAL_TEST_SEED", time.time_ns() % 10**6))
    print(f"seed {seed}, {rounds} rounds")
    hits, revision = 0, 0
    dev = start(state_dir)
    for n in range(rounds):
        acknowledged = live_and_be_killed(dev, seed + n)
        check_database(state_dir)  # as the kill left it: no start may have mended it
        dev = start(state_dir)
        compare(dev, acknowledged)
        hits += acknowledged.in_flight
        revision_before, revision = revision, node_revision(state_dir)
        assert revision >= revision_before  # a kill may come before the first change
    assert dev.stop() == 0
    check_database(state_dir)
    print(f"a request was in flight at {hits} of {rounds} kills")

    assert hits * 3 >= rounds


@pytest.mark.timeout(400)
def test_kill_at_random_moments(tmp_path: Path) -> None:
    play(tmp_path / "state", ROUNDS)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_kill_at_random_moments_long(tmp_path: Path) -> None:
    play(tmp_path / "state", ROUNDS_LONG)
