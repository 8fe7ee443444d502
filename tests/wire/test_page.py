"""The page "Configure the metadata service" as a test: every block of it runs against a `linklocal dev`.

`tests/pages/configure-the-metadata-service.md` is the page as it was published. A block is taken out by
the line of its opening fence; `TABLE` says what stands on the page and what this run has in its place;
nothing else is changed. `ibmcloud` is a program that runs `linklocal`. `pytest -s` prints the table.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cloud import Cloud
from ibm_cloud_sdk_core import ApiException
from live import Dev, clean_environment
from terminal import Terminal

PAGE = Path(__file__).parents[1] / "pages" / "configure-the-metadata-service.md"
BLOCKS = 13
IMAGE = "ibm-ubuntu-22-04-1-minimal-amd64-2"

# (line of the block or 0 for all, what the page says, what this run has, why)
TABLE: list[tuple[int, str, str, str]] = [
    (0, "7002c1cd-9b0b-43ee-8112-5124dedbe84b", "{vpc}", "the page's VPC"),
    (0, "0711-08206578-d749-49ea-86c9-1014622d1c6f", "{subnet}", "the page's subnet"),
    (0, "0d933c75-492a-4756-9832-1200585dfa79", "{subnet}", "the page's subnet"),
    (0, "dc201ab2-8536-4904-86a8-084d84582133", "{vpc}", "the page's VPC"),
    (0, "9f0050d0-636b-4fe6-82ea-931664fd9d91", "{image}", "the page's image"),
    (0, "9aaf3bcb-dcd7-4de7-bb60-24e39ff9d366", "{image}", "the page's image"),
    (0, "3f9a2d96-830e-4100-9b4c-663225a3f872", "{image}", "the page's image"),
    (0, "363f6d70-0000-0001-0000-00000013b96c", "{key}", "the page's key"),
    (0, "e219a883-41f2-4680-810e-ee63ade35f98", "{instance}", "the page's instance"),
    (0, "Profile-9fd84246-7df4-4667-94e4-8ecde51d5ac5", "{profile}", "the page's trusted profile"),
    (147, "{template_id}", "{vpc}", "a slip: this argument is the VPC"),
    (147, "{subnet_id}", "{subnet}", "placeholder"),
    (147, "{image_id}", "{image}", "placeholder"),
    (154, "{template_id}", "{template}", "placeholder: what line 147 made"),
    (176, '2"\\\n-H', '2" \\\n-H', "a slip: without a space the shell joins the URL and -H"),
    (176, '"\\\n-d', '" \\\n-d', "a slip: without a space the shell joins the header and -d"),
    (176, "      .\n      .\n      .", "{rest}", "the page leaves the rest of the body out"),
    (384, "instance-create ....", "instance-create page-auto-link {place}", "left out on the page"),
    (405, "INSTANCE_NAME VPC ZONE_NAME PROFILE_NAME SUBNET ...", "page-secure {place}", "synopsis"),
    (405, "[--metadata-service-protocol http | https] ...", "--metadata-service-protocol https", "synopsis"),
    (426, "INSTANCE_NAME VPC ZONE_NAME PROFILE_NAME SUBNET ...", "page-hops {place}", "synopsis"),
    (426, "[--metadata-service-response-hop-limit METADATA-SERVICE-RESPONSE-HOP-LIMIT] ...",
     "--metadata-service-response-hop-limit 64", "synopsis"),
]  # fmt: skip

# Blocks that are no command. They are held against what the command before them printed, or sent.
NO_COMMAND = {
    342: "the output of line 337: its labels are compared with what linklocal prints",
    447: "a member of a body: it is sent in a POST /v1/instances",
}
OFF = {"enabled": False, "protocol": "http", "response_hop_limit": 1}


def blocks() -> dict[int, str]:
    """Line of the opening fence -> content."""
    found: dict[int, str] = {}
    start = 0
    lines = PAGE.read_text().splitlines()
    for number, line in enumerate(lines, 1):
        if line.startswith("```"):
            if start:
                found[start] = "\n".join(lines[start : number - 1])
            start = 0 if start else number
    return found


def filled(line: int, block: str, values: dict[str, str]) -> str:
    """The block with the table's replacements, and nothing else."""
    for at, literal, name, _ in TABLE:
        if at in (0, line):
            block = block.replace(literal, re.sub(r"\{(\w+)\}", lambda m: values[m[1]], name))
    return block


def command(text: str) -> str:
    """The command of a CLI block: what follows an empty line is output or help."""
    return text.split("\n\n")[0] if text.startswith("ibmcloud") else text


@pytest.fixture(scope="module")
def values(dev: Dev, cloud: Cloud) -> Iterator[dict[str, str]]:
    subnet = next(
        s for s in cloud.vpc.list_subnets().result["subnets"] if s["name"] == "my-subnet-1"
    )
    images = cloud.vpc.list_images(name=IMAGE).result["images"]
    prototype = cloud.prototype(name="instance-name")
    instance = cloud.create(name="instance-name")
    rest = {k: v for k, v in prototype.items() if k not in ("name", "image")}
    profile = cloud.profile()
    yield {
        "vpc": subnet["vpc"]["id"],
        "subnet": subnet["id"],
        "image": images[0]["id"],
        "key": cloud.vpc.list_keys().result["keys"][0]["id"],
        "instance": instance["id"],
        "profile": profile["id"],
        "template": "my-template-name",
        "rest": json.dumps(rest)[1:-1],
        "place": f"{subnet['vpc']['id']} us-south-1 bx2-2x8 {subnet['id']} --image {images[0]['id']}",
    }
    wanted = ("instance-name", "test-instance-1", "my-instance", "page-")
    for item in cloud.vpc.list_instances().result["instances"]:
        if item["name"].startswith(wanted):
            cloud.vpc.delete_instance(item["id"])


@pytest.fixture(scope="module")
def outputs(
    dev: Dev, cloud: Cloud, values: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> dict[int, str]:
    """Line -> what the block printed; each block ran as the page has it."""
    folder = tmp_path_factory.mktemp("page")
    program = folder / "ibmcloud"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m linklocal "$@"\n')
    program.chmod(0o755)
    environment = {
        **clean_environment(),
        "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
        "LINKLOCAL_STATE_DIR": str(dev.state_dir),
        "LINKLOCAL_CONFIG_DIR": str(folder),
        "vpc_api_endpoint": dev.api,
        "instance_id": values["instance"],
        # Each block is a process: the SDK's modules are compiled once, not for each of them.
        "PYTHONDONTWRITEBYTECODE": "",
        "PYTHONPYCACHEPREFIX": str(folder / "compiled"),
    }
    environment["iam_token"] = Terminal(dev.state_dir, folder).ok("iam", "bearer-token").strip()
    printed: dict[int, str] = {}
    for line, block in blocks().items():
        if line in NO_COMMAND:
            continue
        for item in cloud.vpc.list_instances(name="my-instance").result["instances"]:
            cloud.vpc.delete_instance(item["id"])  # the page uses the name twice
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command(filled(line, block, values))],
            env=environment, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"line {line}: {done.stdout}{done.stderr}"
        printed[line] = done.stdout
    return printed


def labels(text: str) -> list[str]:
    """The first column of a detail view."""
    return [re.split(r" {2,}", line)[0] for line in text.splitlines() if line[:1].isalpha()]


def test_the_table_is_whole_and_printed() -> None:
    """Every block is known, every row of the table is used."""
    found = blocks()
    print("\nline  on the page -> in the run (why)")
    for line, literal, name, why in TABLE:
        print(f"{line or 'all':>4}  {literal!r} -> {name!r} ({why})")
        assert any(literal in block for at, block in found.items() if line in (0, at)), literal
    for line, why in NO_COMMAND.items():
        print(f"{line:>4}  is no command: {why}")
    assert len(found) == BLOCKS
    assert set(NO_COMMAND) < set(found)


@pytest.mark.needs("curl", "curl")
def test_creating_with_the_service_enabled(outputs: dict[int, str]) -> None:
    """Lines 91-125: the response shows `Metadata service enabled` and every label of the sample."""
    text = outputs[96]
    assert re.search(r"^Metadata service enabled +true$", text, re.MULTILINE)
    sample = labels(blocks()[96].split("...\n")[1])
    printed = labels(text)
    assert [label for label in printed if label in sample] == sample


@pytest.mark.needs("curl", "curl")
def test_enabling_an_existing_instance(outputs: dict[int, str]) -> None:
    """Lines 130-135: `instance-update` sets it."""
    assert re.search(r"^Metadata service  .*\n +true +http +1$", outputs[133], re.MULTILINE)


@pytest.mark.needs("curl", "curl")
def test_templates_from_the_cli(outputs: dict[int, str]) -> None:
    """Lines 140-156: a template with access, and an instance from it with access."""
    assert re.search(r"^Metadata service enabled +true$", outputs[147], re.MULTILINE)
    assert re.search(r"^Metadata service enabled +true$", outputs[154], re.MULTILINE)


@pytest.mark.needs("curl", "curl")
def test_the_api_calls(outputs: dict[int, str], cloud: Cloud, values: dict[str, str]) -> None:
    """Lines 176-259: the responses show `enabled: true`, and so does a GET."""
    made, patched, template = (json.loads(outputs[line]) for line in (176, 208, 228))
    assert made["metadata_service"] == {**OFF, "enabled": True}
    assert patched["id"] == values["instance"]
    assert patched["metadata_service"]["enabled"] is True
    assert cloud.vpc.get_instance(values["instance"]).result["metadata_service"]["enabled"] is True
    assert template["metadata_service"] == {**OFF, "enabled": True}


@pytest.mark.needs("curl", "curl")
def test_the_sample_of_an_instance(outputs: dict[int, str]) -> None:
    """Lines 337-373: every label of the sample, in its order."""
    sample = labels(blocks()[342])
    printed = [label for label in labels(outputs[337]) if label in sample]
    assert printed == sample


@pytest.mark.needs("curl", "curl")
def test_auto_link_false_and_true(
    outputs: dict[int, str], cloud: Cloud, values: dict[str, str]
) -> None:
    """Lines 376-386 and 437-454: `false` does not link; enabled (the default) does."""
    assert "page-auto-link" in outputs[384]
    assert cloud.links(values["profile"]) == []
    member = json.loads("{" + filled(447, blocks()[447], values).rstrip().rstrip(",") + "}")
    made = cloud.vpc.create_instance(cloud.prototype(name="page-member", **member)).result
    assert cloud.links(values["profile"]) == []
    initialization = cloud.vpc.get_instance_initialization(made["id"]).result
    assert initialization["default_trusted_profile"]["auto_link"] is False
    for number, more in enumerate(({}, {"auto_link": True}), 1):
        member["default_trusted_profile"] = {"target": {"id": values["profile"]}, **more}
        cloud.vpc.create_instance(cloud.prototype(name=f"page-linked-{number}", **member))
        assert len(cloud.links(values["profile"])) == number


@pytest.mark.needs("curl", "curl")
@pytest.mark.parametrize(
    ("line", "shown"), [(405, {**OFF, "protocol": "https"}), (426, {**OFF, "response_hop_limit": 64})]
)  # fmt: skip
def test_protocol_and_hop_limit(
    outputs: dict[int, str],
    dev: Dev,
    cloud: Cloud,
    tmp_path: Path,
    line: int,
    shown: dict[str, Any],
) -> None:
    """Lines 399-431: the option works, and `--help` says the page's sentence."""
    name = {405: "page-secure", 426: "page-hops"}[line]
    made = cloud.vpc.list_instances(name=name).result["instances"][0]
    assert made["metadata_service"] == shown
    sentence = blocks()[line].split("value : ")[1]
    said = Terminal(dev.state_dir, tmp_path).ok("is", "instance-create", "--help")
    assert "".join(sentence.split()) in "".join(said.split())


def test_defaults_and_bounds(
    cloud: Cloud, values: dict[str, str], dev: Dev, tmp_path: Path
) -> None:
    """Lines 26, 394, 415: disabled, http and 1 by default; 1 to 64; both changed by `instance-update`."""
    user = Terminal(dev.state_dir, tmp_path)
    made = cloud.create(name="page-defaults")
    assert made["metadata_service"] == OFF
    for limit in ("1", "64"):
        changed = user.json("is", "instance-update", "page-defaults", "--msrhl", limit)
        assert changed["metadata_service"]["response_hop_limit"] == int(limit)
    for limit in ("0", "65"):
        assert "metadata_service.response_hop_limit" in user.refused(
            "is", "instance-update", "page-defaults", "--msrhl", limit
        )
    for word in ("https", "http"):
        changed = user.json(
            "is", "instance-update", "page-defaults", "--metadata-service-protocol", word
        )
        assert changed["metadata_service"]["protocol"] == word
    for enabled in ("true", "false"):
        changed = user.json("is", "instance-update", "page-defaults", "--metadata-service", enabled)
        assert changed["metadata_service"]["enabled"] is (enabled == "true")


@pytest.mark.needs("curl", "curl")
def test_a_template_is_immutable_and_can_be_overridden(
    outputs: dict[int, str], cloud: Cloud, dev: Dev, tmp_path: Path
) -> None:
    """Lines 142, 158, 262: the setting cannot be changed; an override makes another template."""
    user = Terminal(dev.state_dir, tmp_path)
    template = user.json("is", "instance-template", "my-template-name")
    with pytest.raises(ApiException):
        cloud.vpc.update_instance_template(template["id"], {"metadata_service": {"enabled": False}})
    user.refused(
        "is", "instance-template-update", "my-template-name", "--metadata-service", "false"
    )
    assert user.json("is", "instance-template", "my-template-name") == template
    for word in ("true", "false"):
        made = user.json(
            "is", "instance-template-create-override-source-template",
            "--source-template", "my-template-name", "--metadata-service", word,
        )  # fmt: skip
        assert made["metadata_service"]["enabled"] is (word == "true")
