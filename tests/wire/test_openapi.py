"""schemathesis, all its checks, over every operation of the served OpenAPI document."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests
from cloud import Cloud

CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
FIXED_SEED = 20261124


def document(cloud: Cloud) -> dict[str, dict[str, dict[str, object]]]:
    answer = requests.get(f"{cloud.dev.api}/openapi.json", timeout=10)
    paths: dict[str, dict[str, dict[str, object]]] = answer.json()["paths"]
    return paths


@pytest.mark.timeout(400)
@pytest.mark.parametrize("seed", [FIXED_SEED, time.time_ns() % 10**8], ids=["fixed", "fresh"])
def test_every_operation_keeps_what_the_document_says(
    cloud: Cloud, seed: int, tmp_path: Path
) -> None:
    """The fixed seed walks the document's edges (coverage), the fresh one goes beyond (fuzzing)."""
    token = cloud.vpc.authenticator.token_manager.get_token()
    phases = "examples,coverage" if seed == FIXED_SEED else "fuzzing"
    done = subprocess.run(
        [
            sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIGURATION), "run",
            f"{cloud.dev.api}/openapi.json", "--header", f"Authorization: Bearer {token}",
            "--checks", "all", "--phases", phases, "--max-examples", "10", "--seed", str(seed),
            "--workers", "2", "--warnings", "off", "--no-color",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=380,
        check=False,
    )  # fmt: skip
    print(done.stdout[-3000:])

    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    operations = sum(len(item) for item in document(cloud).values())
    assert f"Tested: {operations}" in done.stdout


def test_every_operation_has_a_name_and_the_errors_of_its_api(cloud: Cloud) -> None:
    names = []
    for path, item in document(cloud).items():
        for operation in item.values():
            names.append(operation["operationId"])
            assert "default" in operation["responses"], path  # type: ignore[operator]
            assert "422" not in operation["responses"], path  # type: ignore[operator]

    assert len(names) == len(set(names))
