"""What a program inside `linklocal enter` finds: the service's name, the roots it trusts, its variables.

The files are in memory, mounted over the state folder in a mount namespace that nobody else has: the
host sees none of them, they are gone with the last process inside, and the administrator's key and the
login of the user outside are not in the way. It must not make namespaces: `enter.py` does.
"""

from __future__ import annotations

import ctypes
import os
import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path

from linklocal.errors import OperatorError
from linklocal.node.hosts import ADDRESS, NAME

CA_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "CURL_CA_BUNDLE")
# Where systems keep the roots that they trust; Python's own answer comes first.
_ROOTS = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
_HOSTS = Path("/etc/hosts")
_NO_SUID, _NO_DEVICES, _BIND, _RECURSIVE, _PRIVATE = 0x2, 0x4, 0x1000, 0x4000, 0x40000  # MS_...
_libc = ctypes.CDLL(None, use_errno=True)


def prepare(state_dir: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Lay out this process's own mounts; the environment for what runs there. Raises OperatorError.

    `state_dir` is a dev's. The process must be in a mount namespace of its own.
    """
    try:
        own = (state_dir / "ca.pem").read_text()
        bundle = f"{_roots(environment)}\n{own}"
        hosts = _hosts(_HOSTS.read_text() if _HOSTS.exists() else "")
        _mount(None, "/", None, _RECURSIVE | _PRIVATE)
        _mount("linklocal", str(state_dir), "tmpfs", _NO_SUID | _NO_DEVICES, "mode=0700,size=4m")
        (state_dir / "roots.pem").write_text(bundle)
        (state_dir / "hosts").write_text(hosts)
        (state_dir / "hosts").chmod(0o644)
        (state_dir / "config").mkdir(mode=0o700)
        if _HOSTS.exists():
            _mount(str(state_dir / "hosts"), str(_HOSTS), None, _BIND)
    except OSError as error:
        what = f" ({error.filename})" if error.filename else ""
        raise OperatorError(
            f"The files of the instance cannot be laid out{what}: {error.strerror}.",
            "Name a `linklocal dev` with a state folder on a local file system: --state-dir DIR",
        ) from error
    # No proxy can be reached from here.
    variables = {k: v for k, v in environment.items() if k.lower() not in _PROXIES}
    variables |= {name: str(state_dir / "roots.pem") for name in CA_VARIABLES}
    return variables | {
        "LINKLOCAL_STATE_DIR": str(state_dir),
        "LINKLOCAL_CONFIG_DIR": str(state_dir / "config"),
    }


def _hosts(text: str) -> str:
    """A hosts file in which the service's name is the service's address, whatever it was before."""
    kept = [line for line in text.splitlines() if NAME not in line.partition("#")[0].split()]
    return "\n".join([*kept, f"{ADDRESS} {NAME}", ""])


def _roots(environment: Mapping[str, str]) -> str:
    """The roots that the user trusts already: named by a variable, the system's, or none."""
    for path in _root_files(environment):
        if path.is_file():
            return path.read_text()
    return ""


def _root_files(environment: Mapping[str, str]) -> Iterator[Path]:
    for name in CA_VARIABLES:
        if environment.get(name):
            yield Path(environment[name])
    found = ssl.get_default_verify_paths().cafile
    yield from (Path(name) for name in (found, *_ROOTS) if name)


def _mount(
    source: str | None, target: str, kind: str | None, flags: int, options: str | None = None
) -> None:
    packed = [
        None if text is None else os.fsencode(text) for text in (source, target, kind, options)
    ]
    if _libc.mount(packed[0], packed[1], packed[2], ctypes.c_ulong(flags), packed[3]) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), target)
