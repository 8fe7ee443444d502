"""Proves to a verifier on which instance it runs: an identity token with the verifier's nonce in it."""

from __future__ import annotations

import argparse
import json
import urllib.request


def identity_token(metadata: str, nonce: str) -> str:
    """An identity token of this instance that says `nonce`. It is good for a minute."""
    made = _ask(
        f"{metadata}/identity/v1/token?version=2025-08-26",
        "PUT",
        {"nonce": nonce, "expires_in": 60},
        {"Metadata-Flavor": "ibm"},
    )
    return str(made["access_token"])


def prove(metadata: str, verifier: str) -> dict[str, str]:
    """What the verifier says that this program is: `{instance, crn, account}`."""
    nonce = _ask(f"{verifier}/nonce", "POST", {})["nonce"]
    return _ask(f"{verifier}/proof", "POST", {"token": identity_token(metadata, nonce)})


def _ask(
    url: str, method: str, body: dict[str, object], headers: dict[str, str] | None = None
) -> dict[str, str]:
    headers = {"Content-Type": "application/json", **(headers or {})}
    request = urllib.request.Request(url, json.dumps(body).encode(), method=method, headers=headers)
    with urllib.request.urlopen(request, timeout=20) as answer:
        read: dict[str, str] = json.load(answer)
    return read


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--verifier", required=True)
    parser.add_argument("--metadata", default="http://169.254.169.254")
    arguments = parser.parse_args()
    print(json.dumps(prove(arguments.metadata, arguments.verifier)))
