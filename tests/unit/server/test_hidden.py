"""What errors may repeat of what was sent."""

from __future__ import annotations

import pytest

from linklocal.server.hidden import without_secrets

UUID = "67b1179a-8b25-4ac9-8bc0-7f3027466ed0"


@pytest.mark.parametrize(
    "secret",
    [
        "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl",
        "Ab3_" * 11,
        "k" * 30 + "-_0123456789Z",
    ],
)
def test_tokens_and_keys_are_hidden(secret: str) -> None:
    assert without_secrets(f"There is nothing at /v1/keys/{secret}.").startswith(
        "There is nothing at /v1/keys/<hidden>"
    )


@pytest.mark.parametrize(
    "shown",
    [
        f"0717_{UUID}",
        f"Profile-{UUID}",
        f"iam-Profile-{UUID}",
        "a-name-with-as-many-words-as-names-can-have-in-a-region-of-ours",
        "SHA256:" + "aB3" * 14 + "c",
        "metadata_service.response_hop_limit",
        f"crn:v1:bluemix:public:is:us-south-1:a/{'a1' * 16}::instance:0717_{UUID}",
    ],
)
def test_ids_names_and_fingerprints_are_shown(shown: str) -> None:
    assert without_secrets(shown) == shown
