"""A program on an instance, as far as a socket goes: asks its metadata service and waits for changes."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import httpx
from live import Dev

SECONDS = 30.0
VERSION = {"version": "2025-08-26"}
FLAVOR = {"Metadata-Flavor": "ibm"}


def until(what: Callable[[], bool], seconds: float = SECONDS) -> None:
    """Wait for something that another process does; there is no event to wait for."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


class Guest:
    """One instance's own metadata socket."""

    def __init__(self, dev: Dev, instance_id: str) -> None:
        self._tls = ssl.create_default_context(cafile=dev.ready["ca_cert"])
        address = urlsplit(dev.address(instance_id))
        self._host, self._port = address.hostname or "", address.port or 0

    def token(self, protocol: str) -> int:
        """The status of a token request by this protocol; 0 when it is not spoken here."""
        try:
            # Certificates of `dev` name localhost.
            url = f"{protocol}://localhost:{self._port}/identity/v1/token"
            with httpx.Client(verify=self._tls, timeout=5) as client:
                return client.put(url, params=VERSION, headers=FLAVOR).status_code
        except httpx.TransportError:
            return 0

    def read(self) -> dict[str, object]:
        """The instance's own view of itself, by http."""
        base = f"http://{self._host}:{self._port}"
        with httpx.Client(timeout=5) as client:
            made = client.put(f"{base}/identity/v1/token", params=VERSION, headers=FLAVOR)
            bearer = {"Authorization": f"Bearer {made.json()['access_token']}"}
            answer = client.get(f"{base}/metadata/v1/instance", params=VERSION, headers=bearer)
        assert answer.status_code == 200, answer.text
        view: dict[str, object] = answer.json()
        return view

    def default_profile(self) -> int:
        """The status of asking for an IAM token of the default trusted profile."""
        base = f"http://{self._host}:{self._port}"
        with httpx.Client(timeout=5) as client:
            made = client.put(f"{base}/identity/v1/token", params=VERSION, headers=FLAVOR)
            bearer = {"Authorization": f"Bearer {made.json()['access_token']}"}
            return client.post(
                f"{base}/identity/v1/iam_tokens", params=VERSION, headers=bearer
            ).status_code

    def answer_ttl(self) -> int:
        """The TTL of a packet that the service sends (root: reads raw packets)."""
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP) as raw:
            raw.settimeout(5)
            with socket.create_connection((self._host, self._port), timeout=5):
                while True:
                    packet = raw.recv(200)
                    head = (packet[0] & 15) * 4
                    if int.from_bytes(packet[head : head + 2], "big") == self._port:
                        return packet[8]
