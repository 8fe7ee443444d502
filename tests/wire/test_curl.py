"""The documented curl lines, with openssl, against a running `linklocal dev`."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cloud import Cloud
from live import linklocal

pytestmark = [pytest.mark.needs("curl", "curl"), pytest.mark.needs("openssl", "openssl")]


def shell(script: str, **variables: str) -> str:
    """Run shell lines as the documentation prints them; the variables are its placeholders."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        env={"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", **variables},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def claims_of(token: str) -> dict[str, Any]:
    body = token.split(".")[1]
    decoded: dict[str, Any] = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return decoded


@pytest.fixture(scope="module")
def demo(cloud: Cloud) -> str:
    """The address of the seeded demo instance."""
    return str(next(i["metadata"] for i in cloud.dev.ready["instances"] if i["name"] == "demo"))


@pytest.fixture(scope="module")
def token(demo: str) -> str:
    answer = shell(
        """
        curl -sS -f -X PUT "$vpc_metadata_api_endpoint/identity/v1/token?version=2025-08-26" \
          -H "Metadata-Flavor: ibm" \
          -d '{ "expires_in": 3600 }'
        """,
        vpc_metadata_api_endpoint=demo,
    )
    made: str = json.loads(answer)["access_token"]
    return made


def get(demo: str, token: str, path: str) -> dict[str, Any]:
    answer = shell(
        """
        curl -sS -f -X GET "$vpc_metadata_api_endpoint$path?version=2025-08-26" \
          -H "Authorization: Bearer $instance_identity_token"
        """,
        vpc_metadata_api_endpoint=demo,
        instance_identity_token=token,
        path=path,
    )
    document: dict[str, Any] = json.loads(answer)
    return document


def test_token_with_a_nonce(demo: str) -> None:
    nonce = "2026-03-12T12:34:56.789Z"
    answer = json.loads(
        shell(
            """
            curl -sS -f -X PUT "$demo/identity/v1/token?version=2025-08-26" \
              -H "Metadata-Flavor: ibm" -d "{\\"nonce\\": \\"$nonce\\"}"
            """,
            demo=demo,
            nonce=nonce,
        )
    )

    assert answer["nonce"] == nonce
    assert claims_of(answer["access_token"])["nonce"] == nonce
    assert next(iter(answer)) == "access_token"


@pytest.mark.parametrize("version", ["2022-03-01", "2024-11-12", "2025-06-10", "2025-08-25"])
def test_token_on_the_older_path(demo: str, version: str) -> None:
    answer = shell(
        'curl -sS -f -X PUT "$demo/instance_identity/v1/token?version=$version" '
        "-H 'Metadata-Flavor: ibm' -d '{}'",
        demo=demo,
        version=version,
    )

    assert json.loads(answer)["expires_in"] == 300


def test_the_older_path_ended_with_version_2025_08_26(demo: str) -> None:
    status = shell(
        "curl -s -o /dev/null -w '%{http_code}' -X PUT "
        "\"$demo/instance_identity/v1/token?version=2025-08-26\" -H 'Metadata-Flavor: ibm'",
        demo=demo,
    )

    assert status == "404"


def test_instance(cloud: Cloud, demo: str, token: str) -> None:
    document = get(demo, token, "/metadata/v1/instance")
    seen = cloud.vpc.get_instance(document["id"]).result

    for member in ("id", "crn", "name", "memory", "bandwidth", "metadata_service", "status"):
        assert document[member] == seen[member]
    assert "href" not in json.dumps(document)


def test_initialization_has_user_data(demo: str, token: str) -> None:
    document = get(demo, token, "/metadata/v1/instance/initialization")

    assert document["user_data"].startswith("#cloud-config")
    assert document["default_trusted_profile"]["auto_link"] is True
    assert document["keys"]


LISTS = [
    "/metadata/v1/keys",
    "/metadata/v1/placement_groups",
    "/metadata/v1/virtual_network_interfaces",
    "/metadata/v1/instance/network_interfaces",
    "/metadata/v1/instance/network_attachments",
    "/metadata/v1/instance/volume_attachments",
    "/metadata/v1/instance/software_attachments",
]


@pytest.mark.parametrize("path", LISTS)
def test_every_list_of_the_demo_instance_has_something_and_each_item_can_be_got(
    demo: str, token: str, path: str
) -> None:
    listed = get(demo, token, path)[path.rpartition("/")[2]]

    assert listed
    for item in listed:
        assert get(demo, token, f"{path}/{item['id']}") == item


def test_iam_token(demo: str, token: str) -> None:
    answer = json.loads(
        shell(
            """
            curl -sS -f -X POST "$demo/identity/v1/iam_tokens?version=2025-08-26" \
              -H "Authorization: Bearer $token" -d ''
            """,
            demo=demo,
            token=token,
        )
    )

    claims = claims_of(answer["access_token"])
    assert claims["iam_id"].startswith("iam-Profile-")
    assert claims["exp"] - claims["iat"] == 3600


def test_certificate_verifies_against_the_printed_root(
    cloud: Cloud, demo: str, token: str, tmp_path: Path
) -> None:
    root = linklocal("ca", "identity", state_dir=cloud.dev.state_dir)
    (tmp_path / "root.pem").write_text(root.stdout)
    answer = json.loads(
        shell(
            """
            cd "$folder"
            openssl req -new -newkey rsa:2048 -nodes -keyout key.pem -out csr.pem \
              -subj "/C=US/ST=TX/L=Dallas/O=IBM/OU=Cloud" 2>/dev/null
            csr=$(awk '{printf "%s\\\\n", $0}' csr.pem)
            curl -sS -f -X POST "$demo/identity/v1/certificates?version=2025-08-26" \
              -H "Authorization: Bearer $token" -d "{\\"csr\\": \\"$csr\\", \\"expires_in\\": 3600}"
            """,
            folder=str(tmp_path),
            demo=demo,
            token=token,
        )
    )
    leaf, intermediate = answer["certificates"]
    (tmp_path / "leaf.pem").write_text(leaf)
    (tmp_path / "intermediate.pem").write_text(intermediate)

    verified = shell(
        'cd "$folder" && openssl verify -CAfile root.pem -untrusted intermediate.pem leaf.pem '
        "&& openssl x509 -in leaf.pem -noout -subject",
        folder=str(tmp_path),
    )

    assert "leaf.pem: OK" in verified
    assert get(demo, token, "/metadata/v1/instance")["id"] in verified


def test_the_published_keys_verify_a_nonce(cloud: Cloud, demo: str) -> None:
    """A verifier elsewhere needs only the JWKS: the token names its key there."""
    keys = json.loads(shell('curl -sS -f "$api/identity/keys"', api=cloud.dev.api))["keys"]
    answer = json.loads(
        shell(
            'curl -sS -f -X PUT "$demo/identity/v1/token?version=2025-08-26" '
            "-H 'Metadata-Flavor: ibm' -d '{\"nonce\": \"n-1\"}'",
            demo=demo,
        )
    )
    head = answer["access_token"].split(".")[0]
    kid = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))["kid"]

    assert kid.startswith("VSI-CR_us-south_")
    assert kid in [key["kid"] for key in keys]
