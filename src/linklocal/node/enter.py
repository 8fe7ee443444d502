"""Becoming a program inside an instance, without root: `enter`. For development, on the host of a `dev`.

    this process ── unshare ──> user, network and mount namespace of the guest ── exec ──> the command
      ├─ relay.py, forked before: connections to the server go through it, nothing else gets out
      └─ a short-lived process: service namespace, veth, and both listening sockets in it, which
         this process hands to the node (`handed.py`) before the command runs

The process stays the same one, so that signals, terminal, job control and exit status are the command's
own, and the node ties the attachment to it. Everything ends with it: namespaces, files, relay. The
command has the user's own rights, and none in the namespaces unless it is root's.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import shutil
import signal
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

from linklocal.document import MetadataService
from linklocal.errors import OperatorError
from linklocal.node import inside, local_api, namespaces, relay
from linklocal.node.handed import DEFAULT_TTL
from linklocal.node.hosts import ADDRESS
from linklocal.node.rtnetlink import Netlink
from linklocal.node.sockets import listening_socket

_NEW_MOUNTS, _NEW_USERS, _NEW_NETWORK = 0x00020000, 0x10000000, 0x40000000  # CLONE_NEW...
_TTL = "/proc/sys/net/ipv4/ip_default_ttl"
_RELAYED = "127.0.0.1"
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Dev:
    """A running `linklocal dev` of this user: its state folder, and the server's URL."""

    state_dir: Path
    api: str

    @property
    def node(self) -> Path:
        return self.state_dir / "node"


def find_dev(state_dir: Path) -> Dev:
    """The `linklocal dev` with that state folder. Raises OperatorError when none runs there."""
    folder = state_dir.absolute()
    try:
        api = str(json.loads((folder / "dev.json").read_text())["api"])
    except PermissionError as error:
        raise OperatorError(
            f"The `linklocal dev` with the state folder {folder} belongs to another user.",
            "Start one of your own with `linklocal dev --port 0 --state-dir DIR`, and name it here: "
            "linklocal enter --state-dir DIR INSTANCE",
        ) from error
    except (OSError, ValueError, KeyError) as error:
        raise OperatorError(
            f"No `linklocal dev` runs with the state folder {folder}.",
            "Start `linklocal dev` first, or name the folder of the one that runs with --state-dir.",
        ) from error
    return Dev(folder, api)


def enter(
    dev: Dev, instance: str, environment: Mapping[str, str]
) -> tuple[dict[str, Any], dict[str, str]]:
    """Put this process inside an instance (id or name) until its end.

    The attachment as the node has it, and the environment for what runs inside. Only for a process
    with one thread that is about to become another program; after an OperatorError it may only end.
    """
    target = urlsplit(dev.api)
    port = target.port or 80
    try:
        told = relay.start(target.hostname or _RELAYED, port)
        _unshare(instance)
        sockets = _made_by_a_short_lived_process(instance, port)
    except OSError as error:
        raise OperatorError(
            f"The namespaces of {instance} cannot be made: {error.strerror}.",
            _alternative(instance),
        ) from error
    with told:
        relayed = sockets.pop("relay")
        socket.send_fds(told, [b"-"], [relayed])
        os.close(relayed)
    try:
        body = {"instance": instance, "descriptors": list(sockets)}
        attached = local_api.post(dev.node, "/v1/hand_over", body, list(sockets.values()))
    finally:
        for descriptor in sockets.values():
            os.close(descriptor)
    variables = inside.prepare(dev.state_dir, environment)
    url = f"http://{_RELAYED}:{port}"
    return attached, {
        **variables,
        "LINKLOCAL_API": url,
        "LINKLOCAL_IAM": url,
        "LINKLOCAL_INSTANCE": str(attached["instance"]),
    }


def become(command: Sequence[str], environment: Mapping[str, str]) -> NoReturn:
    """Run the command in this process's place. Raises OperatorError (exit status 127 or 126)."""
    # Python ignores these for itself, and what is ignored stays so in the next program.
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    try:
        # Where PATH has a folder that is closed to this user, exec would speak of permission.
        if "/" not in command[0] and shutil.which(command[0], path=environment.get("PATH")) is None:
            raise FileNotFoundError
        os.execvpe(command[0], list(command), dict(environment))  # noqa: S606 - what the user typed
    except FileNotFoundError as error:
        raise OperatorError(
            f"There is no command {command[0]}.", "Check its name, and PATH.", exit_code=127
        ) from error
    except OSError as error:
        raise OperatorError(
            f"{command[0]} cannot be run: {error.strerror}.",
            "Name a program that this user may run.",
            exit_code=126,
        ) from error


# --- namespaces ------------------------------------------------------------------------------------


def _unshare(instance: str) -> None:
    """Leave the host's network and mounts. Raises OperatorError where that is forbidden."""
    uid, gid = os.geteuid(), os.getegid()
    try:
        # Root needs no user namespace, and keeps its rights without one.
        _call(_libc.unshare(_NEW_NETWORK | _NEW_MOUNTS))
        return
    except OSError as error:
        if error.errno != errno.EPERM:
            raise
    try:
        _call(_libc.unshare(_NEW_USERS | _NEW_NETWORK | _NEW_MOUNTS))
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
        with Netlink() as netlink:  # some systems give the namespace but no rights in it
            netlink.set_up("lo")
    except OSError as error:
        reason, mend = forbidden()
        raise OperatorError(
            f"This user may make no user namespace: {error.strerror}. {reason}",
            f"{mend}{_alternative(instance)}",
        ) from error


def forbidden(settings: Path = Path("/proc/sys")) -> tuple[str, str]:
    """Why user namespaces are off, as far as the kernel's settings say, and the command that mends it."""
    for name, off, on in (
        ("kernel/unprivileged_userns_clone", "0", "1"),
        ("kernel/apparmor_restrict_unprivileged_userns", "1", "0"),
        ("user/max_user_namespaces", "0", "10000"),
        ("user/max_net_namespaces", "0", "10000"),
        ("user/max_mnt_namespaces", "0", "10000"),
    ):
        with contextlib.suppress(OSError):
            if (settings / name).read_text().strip() == off:
                sysctl = name.replace("/", ".")
                return f"{sysctl} is {off} here.", f"sudo sysctl -w {sysctl}={on}; or, as root: "
    return (
        "No sysctl forbids it (kernel.unprivileged_userns_clone, "
        "kernel.apparmor_restrict_unprivileged_userns, user.max_user_namespaces), so a container or "
        "sandbox around this process does.",
        "Run it outside of that; or, as root: ",
    )


def _alternative(instance: str) -> str:
    return (
        "ip netns add NAME, linklocal node attach "
        f"{instance} --netns NAME, and ip netns exec NAME COMMAND"
    )


def _made_by_a_short_lived_process(instance: str, port: int) -> dict[str, int]:
    """Descriptors by name: `http`, `https`, `default_ttl` of the service's side, `relay` of the guest's.

    Raises OSError. That process is gone when this returns, and with it the last handle on the service's
    namespace but these.
    """
    ours, theirs = socket.socketpair()
    with ours:
        child = os.fork()
        if child == 0:
            try:
                made = _make(instance, port)
                socket.send_fds(theirs, [json.dumps(list(made)).encode()], list(made.values()))
            except namespaces.Occupied as error:
                theirs.send(json.dumps(str(error)).encode())
            except OSError as error:
                theirs.send(json.dumps(error.errno).encode())
            finally:
                os._exit(0)
        theirs.close()
        data, descriptors, _, _ = socket.recv_fds(ours, 4096, 8)
        os.waitpid(child, 0)
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)
    told = json.loads(data or b"null")
    if isinstance(told, list):
        return dict(zip(told, descriptors, strict=True))
    number = told if isinstance(told, int) else errno.EIO
    raise OSError(number, told if isinstance(told, str) else os.strerror(number))


def _make(instance: str, port: int) -> dict[str, int]:
    with Netlink() as netlink:
        netlink.set_up("lo")
    settings = MetadataService()
    relayed = listening_socket(_RELAYED, port, settings)
    with namespaces.opened("/proc/self/ns/net") as guest:
        service = namespaces.make()
        namespaces.join(service, guest, instance, 1)
    plain, secure, ttl = namespaces.inside(
        service,
        lambda: (
            listening_socket(ADDRESS, 80, settings).detach(),
            listening_socket(ADDRESS, 443, settings).detach(),
            os.open(_TTL, os.O_WRONLY | os.O_CLOEXEC),
        ),
    )
    return {"http": plain, "https": secure, DEFAULT_TTL: ttl, "relay": relayed.detach()}


def _call(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
