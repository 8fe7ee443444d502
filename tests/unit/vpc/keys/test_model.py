"""Reading an OpenSSH public key (contract 2.6, keys)."""

from __future__ import annotations

import base64
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from linklocal.errors import Invalid
from linklocal.vpc.keys.model import read_public_key


def openssh(private: Any) -> str:
    public = private.public_key()
    return str(public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode())


ED25519 = openssh(ed25519.Ed25519PrivateKey.from_private_bytes(b"k" * 32))
RSA = {bits: openssh(rsa.generate_private_key(65537, bits)) for bits in (1024, 2048)}


def target(text: str, asked: Any = None) -> str | None:
    with pytest.raises(Invalid) as refused:
        read_public_key(text, asked)
    (problem,) = refused.value.problems
    return problem.target and problem.target.name


@pytest.mark.parametrize("around", ["{}", "{} me@here", "  {}   a comment of words \n", "{}\r\n"])
def test_type_and_base64_count_and_nothing_around_them(around: str) -> None:
    key = read_public_key(around.format(ED25519), None)

    assert (key.text, key.type, key.length) == (ED25519, "ed25519", 256)


def test_an_rsa_key_has_its_size() -> None:
    key = read_public_key(RSA[2048], "rsa")

    assert (key.type, key.length) == ("rsa", 2048)


@pytest.mark.needs("ssh-keygen", "openssh-client")
@pytest.mark.parametrize("text", [ED25519, RSA[2048]], ids=["ed25519", "rsa"])
def test_the_fingerprint_is_the_one_of_ssh_keygen(text: str, tmp_path: Path) -> None:
    file = tmp_path / "key.pub"
    file.write_text(text)
    said = subprocess.run(
        ["ssh-keygen", "-l", "-E", "sha256", "-f", file], capture_output=True, text=True, check=True
    )

    assert read_public_key(text, None).fingerprint == said.stdout.split()[1]


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "ssh-rsa",
        "ssh-rsa AAAA",
        "ssh-rsa !!!!",
        "ssh-dss AAAA",
        "ssh-ed25519 " + ED25519.split()[1][:-8],
        "ssh-rsa " + ED25519.split()[1],
        ED25519.replace("ssh-ed25519 ", ""),
        "\0",
        "\ud800 x",
        "-----BEGIN PUBLIC KEY-----",
    ],
)
def test_what_is_no_key_is_refused(text: str) -> None:
    assert target(text) == "public_key"


def test_other_kinds_and_sizes_are_refused() -> None:
    curve = openssh(ec.generate_private_key(ec.SECP256R1()))

    assert target(curve) == "public_key"
    assert target(RSA[1024]) == "public_key"


def test_a_key_of_another_type_than_it_says_is_refused() -> None:
    assert target(ED25519, "rsa") == "type"
    assert target(RSA[2048], "ed25519") == "type"
    assert read_public_key(ED25519, "ed25519").type == "ed25519"


@given(st.integers(0, 400), st.integers(0, 255), st.sampled_from([ED25519, RSA[2048]]))
def test_a_damaged_key_is_refused_or_another_key(at: int, byte: int, text: str) -> None:
    kind, encoded = text.split()
    blob = bytearray(base64.b64decode(encoded))
    blob[at % len(blob)] = byte

    with suppress(Invalid):
        read_public_key(f"{kind} {base64.b64encode(blob).decode()}", None)


@given(st.binary(max_size=200), st.sampled_from(["ssh-rsa", "ssh-ed25519", "ssh-dss", "x"]))
def test_any_bytes_are_a_key_or_refused(blob: bytes, kind: str) -> None:
    with suppress(Invalid):
        read_public_key(f"{kind} {base64.b64encode(blob).decode()}", None)
