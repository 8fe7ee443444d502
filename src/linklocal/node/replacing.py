"""Ending the node that runs in a state folder, so that another one can take its place.

Who runs there is who made the folder's socket, as the kernel says; a file with a number could be of a process
that is long gone.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import struct
from pathlib import Path

from linklocal.errors import OperatorError
from linklocal.node.local_api import SOCKET

SECONDS = 30.0  # for it to end; its service stops at once, what it has to report is sent before


def running_process(state_dir: Path) -> int | None:
    """The process whose node runs in this folder; None when there is none, or it is another user's."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            connection.connect(str(state_dir / SOCKET))
        except OSError:
            return None
        size = struct.calcsize("3i")
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    pid: int = struct.unpack("3i", credentials)[0]
    return pid


def end_running(state_dir: Path, seconds: float = SECONDS) -> None:
    """End the node of this folder, if one runs. Raises OperatorError when it does not end."""
    pid = running_process(state_dir)
    if pid is None:
        return
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        signal.pidfd_send_signal(descriptor, signal.SIGTERM)
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        if not poll.poll(seconds * 1000):
            raise OperatorError(
                f"The node of {state_dir} (process {pid}) has not ended within {seconds:.0f} seconds.",
                f"End it with `kill -9 {pid}`, then run this again.",
                exit_code=2,
            )
    except ProcessLookupError:
        return
    finally:
        os.close(descriptor)
