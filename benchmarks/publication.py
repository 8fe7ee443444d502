"""From the API's response until a guest can read it: new volumes, floating ips, renames. And what a rename
costs that a thousand instances show.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import httpx
import uvloop
from cloud_api import ZONE, Api, dev
from keepalive import Guest
from live import Dev
from machine import CLIENT_CORE, cpu_seconds, median, on_core, quantile
from servers import VERSION, port_of

INSTANCES = 1000
CHANGES = 200  # of each kind; half of those that come and go are to come
RENAMES = 5
MOST_WAIT = 60.0

_INSTANCE = "/metadata/v1/instance"
_KEYS = "/metadata/v1/keys"
_VOLUMES = "/metadata/v1/instance/volume_attachments"
_INTERFACES = "/metadata/v1/instance/network_interfaces"


@dataclass(frozen=True, slots=True)
class Reader:
    """A guest with a token of its own. It connects anew each time: idle connections are cut."""

    port: int
    headers: dict[str, str]

    @classmethod
    async def of(cls, port: int) -> Reader:
        guest = await Guest.connect(port)
        token = await guest.token()
        guest.close()
        return cls(port, {"Authorization": f"Bearer {token}"})

    async def until(self, path: str, text: str, there: bool = True) -> None:
        """Read `path` over and over until `text` is in the answer, or no longer. Raises OSError."""
        guest = await Guest.connect(self.port)
        async with asyncio.timeout(MOST_WAIT):
            while True:
                status, body = await guest.call("GET", f"{path}?{VERSION}", self.headers)
                if status != 200:
                    raise OSError(f"GET {path}: {status} {body[:200]!r}")
                if (text.encode() in body) is there:
                    break
        guest.close()


@dataclass(frozen=True, slots=True)
class Crowd:
    """One instance with a VPC and a key of its own, and a thousand with another key that they share."""

    api: Api
    lone: Reader
    lone_id: str
    lone_key: str
    crowd: list[Reader]
    crowd_key: str


@dataclass(frozen=True, slots=True)
class Rename:
    """Seconds to the response, its server CPU; seconds until the last instance has shown the new name.

    `held`: the longest that another instance's read took meanwhile.
    """

    response: float
    cpu: float
    shown: float
    all_cpu: float
    held: float


def publications(folder: Path, seconds: float) -> Iterator[str]:
    """One change at a time for one instance; then renames that one instance shows, and a thousand."""
    del seconds
    state = folder / "state"
    with dev(state) as server, on_core(CLIENT_CORE):
        delays, one, many = uvloop.run(_measure(server, state))
    for title, times in delays.items():
        yield (
            f"{title}: response -> readable p50 {quantile(times, 0.5) * 1e3:.1f} ms  "
            f"p99 {quantile(times, 0.99) * 1e3:.1f} ms  ({len(times)} changes)"
        )
    for count, renames in ((1, one), (INSTANCES, many)):
        yield f"rename of a key of {count:,} instance{'s' if count > 1 else ''}: {_told(renames)}"
    each = median([r.all_cpu for r in many]) / INSTANCES * 1e3
    alone = median([r.all_cpu for r in one]) * 1e3
    yield (
        f"CPU for each of {INSTANCES:,} documents {each:.2f} ms, for a single one {alone:.1f} ms: "
        f"RATIO {each / alone:.2f}"
    )


def _told(renames: list[Rename]) -> str:
    return (
        f"median of {len(renames)}: response after {median([r.response for r in renames]):.3f} s "
        f"(CPU {median([r.cpu for r in renames]):.3f} s), every instance has shown it "
        f"{median([r.shown for r in renames]):.3f} s after the request "
        f"(CPU {median([r.all_cpu for r in renames]):.3f} s, its read included); "
        f"longest read of another instance meanwhile {median([r.held for r in renames]):.3f} s"
    )


async def _measure(
    server: Dev, state: Path
) -> tuple[dict[str, list[float]], list[Rename], list[Rename]]:
    async with httpx.AsyncClient(base_url=server.api, timeout=120) as client:
        crowd = await _crowd(await Api.of(server, client), state)
        delays = await _changes(crowd)
        one, many = [], []
        for number in range(RENAMES):  # in turns
            pid = server.process.pid
            one.append(await _rename(crowd, pid, crowd.lone_key, [crowd.lone], number))
            many.append(await _rename(crowd, pid, crowd.crowd_key, crowd.crowd, number))
    return delays, one, many


async def _crowd(api: Api, state: Path) -> Crowd:
    from linklocal.node.local_api import attachments_of

    keys = [await _key(api, name) for name in ("lone", "crowd")]
    (lone,) = await api.create(1, "lone", keys=[{"id": keys[0]}])
    ids = await api.create(INSTANCES, "crowd", keys=[{"id": keys[1]}])
    await api.until_served(state, INSTANCES + 1)
    listed = await attachments_of(state / "node")
    ports = {item["instance"]: port_of(item["address"]) for item in listed}
    readers = [await Reader.of(ports[id]) for id in [lone, *ids]]
    return Crowd(api, readers[0], lone, keys[0], readers[1:], keys[1])


async def _key(api: Api, name: str) -> str:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    public = Ed25519PrivateKey.generate().public_key()
    text = public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    body = {"name": name, "type": "ed25519", "public_key": text}
    return str((await api.request("POST", "/v1/keys", body))["id"])


async def _changes(crowd: Crowd) -> dict[str, list[float]]:
    """Seconds from each response until the lone instance's socket shows it, by what was changed."""
    api, id = crowd.api, crowd.lone_id
    instance = await api.request("GET", f"/v1/instances/{id}")
    vpc = f"/v1/vpcs/{instance['vpc']['id']}"
    vni = instance["primary_network_attachment"]["virtual_network_interface"]["id"]
    zone = {"zone": {"name": ZONE}}
    ip = await api.request("POST", "/v1/floating_ips", {**zone, "name": "front"})
    volume = {"name": "data", "capacity": 10, "profile": {"name": "general-purpose"}, **zone}
    volume_id = (await api.request("POST", "/v1/volumes", volume))["id"]
    delays: dict[str, list[float]] = {}

    async def change(
        title: str, method: str, path: str, body: Any, shown: str, text: str, there: bool = True
    ) -> Any:
        answer = await api.request(method, path, body)
        begin = perf_counter()
        await crowd.lone.until(shown, text, there)
        delays.setdefault(title, []).append(perf_counter() - begin)
        return answer

    attachments, made = f"/v1/instances/{id}/volume_attachments", ""
    for number in range(CHANGES):
        name = {"name": f"renamed-{number}"}
        quoted = f'"{name["name"]}"'
        key = f"/v1/keys/{crowd.lone_key}"
        await change("instance renamed", "PATCH", f"/v1/instances/{id}", name, _INSTANCE, quoted)
        await change("key renamed", "PATCH", key, name, _KEYS, quoted)
        await change("VPC renamed", "PATCH", vpc, name, _INSTANCE, quoted)
        path, there = f"/v1/floating_ips/{ip['id']}", number % 2 == 0
        body: Any = {"target": {"id": vni} if there else None}
        await change(
            "floating ip bound, loosed", "PATCH", path, body, _INTERFACES, ip["address"], there
        )
        if there:
            body = {"volume": {"id": volume_id}, "name": "more"}
            answer = await change(
                "volume attached, detached", "POST", attachments, body, _VOLUMES, volume_id
            )
            made = f"{attachments}/{answer['id']}"
        else:
            await change(
                "volume attached, detached", "DELETE", made, None, _VOLUMES, volume_id, False
            )
    return delays


async def _rename(
    crowd: Crowd, pid: int, key_id: str, readers: list[Reader], number: int
) -> Rename:
    name = f"again-{len(readers)}-{number}"
    bystander = crowd.lone if readers is crowd.crowd else crowd.crowd[0]
    held = asyncio.create_task(_longest_read(bystander))
    cpu, begin = cpu_seconds(pid), perf_counter()
    await crowd.api.request("PATCH", f"/v1/keys/{key_id}", {"name": name})
    response, response_cpu = perf_counter() - begin, cpu_seconds(pid) - cpu
    for reader in readers:
        await reader.until(_KEYS, f'"{name}"')
    shown, shown_cpu = perf_counter() - begin, cpu_seconds(pid) - cpu
    held.cancel()
    (longest,) = await asyncio.gather(held)
    return Rename(response, response_cpu, shown, shown_cpu, longest)


async def _longest_read(reader: Reader) -> float:
    """Read every 5 ms until cancelled; the seconds that the slowest one took."""
    longest = 0.0
    try:
        while True:
            begin = perf_counter()
            await reader.until(_INSTANCE, "")
            longest = max(longest, perf_counter() - begin)
            await asyncio.sleep(0.005)
    except asyncio.CancelledError:
        return longest
