"""schemathesis, all its checks, over every operation of the served OpenAPI document."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from cloud import Cloud, clients
from live import running

CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
FIXED_SEED = 20261124
EXAMPLES = 6  # random ones of each operation and seed


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A server of its own: random calls find what others need, and delete it."""
    with running(tmp_path_factory.mktemp("openapi") / "state") as dev:
        yield clients(dev)


def document(cloud: Cloud) -> dict[str, dict[str, dict[str, object]]]:
    answer = requests.get(f"{cloud.dev.api}/openapi.json", timeout=10)
    paths: dict[str, dict[str, dict[str, object]]] = answer.json()["paths"]
    return paths


def run(cloud: Cloud, folder: Path, phases: str, seed: int, seconds: int) -> None:
    """One run over all operations. Its report is printed; any failure of a check fails the test."""
    token = cloud.vpc.authenticator.token_manager.get_token()
    done = subprocess.run(
        [
            sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIGURATION), "run",
            f"{cloud.dev.api}/openapi.json", "--header", f"Authorization: Bearer {token}",
            "--checks", "all", "--phases", phases, "--max-examples", str(EXAMPLES),
            "--seed", str(seed), "--workers", "1", "--warnings", "off", "--no-color",
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )  # fmt: skip
    print(done.stdout[-3000:])

    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    operations = sum(len(item) for item in document(cloud).values())
    assert f"Tested: {operations}" in done.stdout


@pytest.mark.timeout(400)
@pytest.mark.parametrize("seed", [FIXED_SEED, time.time_ns() % 10**8], ids=["fixed", "fresh"])
def test_every_operation_keeps_what_the_document_says(
    cloud: Cloud, seed: int, tmp_path: Path
) -> None:
    run(cloud, tmp_path, "examples,fuzzing", seed, 380)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_every_operation_at_the_edges_of_the_document(cloud: Cloud, tmp_path: Path) -> None:
    """Each bound, type and missing member of each operation: some ninety calls an operation."""
    run(cloud, tmp_path, "coverage", FIXED_SEED, 1700)


def test_every_operation_has_a_name_and_the_errors_of_its_api(cloud: Cloud) -> None:
    names = []
    for path, item in document(cloud).items():
        for operation in item.values():
            names.append(operation["operationId"])
            assert "default" in operation["responses"], path  # type: ignore[operator]
            assert "422" not in operation["responses"], path  # type: ignore[operator]

    assert len(names) == len(set(names))
