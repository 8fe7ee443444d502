"""The one way out of `linklocal enter`: connections to the server, passed on by a process outside.

It is forked before its caller enters any namespace, is told the listening socket inside by descriptor,
and ends with its caller. It knows no HTTP: bytes go through as they are.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket

_READ = 65_536
_OPEN = range(3)  # standard input, output and error


def start(host: str, port: int) -> socket.socket:
    """Fork the relay to that address; send it its listening socket with `socket.send_fds` on the answer.

    It is no child of the caller, which may become another program that counts its children, and has left
    the caller's session, terminal and pipes. Raises OSError.
    """
    ours, theirs = socket.socketpair()
    pidfd = os.pidfd_open(os.getpid())
    middle = os.fork()
    if middle == 0:
        try:
            os.setsid()
            if os.fork() == 0:
                _leave(keep=(theirs.fileno(), pidfd))
                _run(theirs, pidfd, host, port)
        finally:
            os._exit(0)
    os.waitpid(middle, 0)
    theirs.close()
    os.close(pidfd)
    return ours


def _leave(keep: tuple[int, ...]) -> None:
    """Hold nothing of the caller's: whoever reads its output must see it end."""
    os.chdir("/")
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in _OPEN:
        os.dup2(nothing, number)
    low = len(_OPEN)
    for descriptor in sorted(keep):
        os.closerange(low, descriptor)
        low = descriptor + 1
    os.closerange(low, os.sysconf("SC_OPEN_MAX"))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def _run(told: socket.socket, pidfd: int, host: str, port: int) -> None:
    _, descriptors, _, _ = socket.recv_fds(told, 1, 1)
    if descriptors:  # none came: the caller failed before
        with socket.socket(fileno=descriptors[0]) as listener:
            asyncio.run(_relay(listener, pidfd, host, port))


async def _relay(listener: socket.socket, pidfd: int, host: str, port: int) -> None:
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(pidfd, ended.set)

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            out_reader, out_writer = await asyncio.open_connection(host, port)
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(_pass(reader, out_writer))
                    group.create_task(_pass(out_reader, writer))
            finally:
                out_writer.close()
        writer.close()

    async with await asyncio.start_server(connected, sock=listener):
        await ended.wait()
        os._exit(0)  # connections end with what they were for


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Bytes in one direction, and its end."""
    with contextlib.suppress(OSError):
        while data := await reader.read(_READ):
            writer.write(data)
            await writer.drain()
        writer.write_eof()
