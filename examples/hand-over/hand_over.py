"""Hand sockets in a network namespace of your own to linklocal's node, without root and without linklocal.

    unshare --user --map-root-user --net python3 hand_over.py /run/linklocal/node.sock INSTANCE COMMAND...

Only Python's own library is used: what starts virtual machines or containers does the same in its language.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from http.client import HTTPResponse
from typing import Any

ADDRESS = "169.254.169.254"
PORTS = {"http": 80, "https": 443}
TTL = "/proc/sys/net/ipv4/ip_default_ttl"


def listening(port: int) -> socket.socket:
    """A listening socket as the node wants it: TCP over IPv4, at the service's address, no SO_REUSEPORT."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((ADDRESS, port))
    sock.listen()
    return sock


def hand_over(node: str, instance: str, descriptors: dict[str, int]) -> tuple[int, dict[str, Any]]:
    """Ask the node to serve the instance on these descriptors; HTTP status and body of its answer.

    The node keeps duplicates: the caller's may be closed afterwards. The attachment ends with this process,
    or with the one whose pidfd is sent as `process`.
    """
    content = json.dumps({"instance": instance, "descriptors": list(descriptors)}).encode()
    head = (
        f"POST /v1/hand_over HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    request = head.encode() + content
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(node)
        sent = socket.send_fds(connection, [request], list(descriptors.values()))
        if sent < len(request):
            connection.sendall(request[sent:])
        with HTTPResponse(connection) as answer:
            answer.begin()
            return answer.status, json.loads(answer.read())


def main() -> int:
    node, instance, *command = sys.argv[1:]
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["ip", "address", "add", f"{ADDRESS}/32", "dev", "lo"], check=True)
    descriptors = {name: listening(port).detach() for name, port in PORTS.items()}
    # With it, resets that no socket sends keep to the instance's hop limit, too.
    descriptors["default_ttl"] = os.open(TTL, os.O_WRONLY)
    status, answer = hand_over(node, instance, descriptors)
    if status != 201:
        print(answer["error"], file=sys.stderr)
        return 1
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
