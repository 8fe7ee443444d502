"""`linklocal login|target|...` and `linklocal iam ...` against a running server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cloud import Cloud
from live import Dev
from processes import identity_token
from terminal import Terminal

from linklocal.cli.session import unverified_claims


@pytest.fixture
def user(dev: Dev, tmp_path: Path) -> Terminal:
    return Terminal(dev.state_dir, tmp_path / "config")


@pytest.fixture
def stranger(tmp_path: Path) -> Terminal:
    """A user of another machine."""
    return Terminal(tmp_path / "nothing", tmp_path / "config")


@pytest.fixture(scope="module")
def demo(dev: Dev) -> dict[str, str]:
    return next(item for item in dev.ready["instances"] if item["name"] == "demo")


def test_a_dev_needs_no_login_and_says_for_whom_it_acts(dev: Dev, user: Terminal) -> None:
    text = user.ok("target")

    assert f"linklocal dev in {dev.state_dir}" in text
    assert str(dev.ready["account_id"]) in text


@pytest.mark.parametrize("how", ["option", "file", "environment"])
def test_login_with_a_key_and_logout(
    dev: Dev, stranger: Terminal, tmp_path: Path, how: str
) -> None:
    stranger.refused("is", "instances")
    file = tmp_path / "key"
    file.write_text(dev.api_key + "\n")
    if how == "environment":
        text = stranger.ok("login", "-a", f"{dev.api}/v1", IBMCLOUD_API_KEY=dev.api_key)
    else:
        key = dev.api_key if how == "option" else f"@{file}"
        text = stranger.ok("login", "-a", dev.api, "--apikey", key, "-r", "us-south")
    assert text.startswith("OK\n")
    assert dev.api_key not in text
    kept = tmp_path / "config" / "session.json"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert "demo" in stranger.ok("is", "instances")
    assert stranger.ok("api") == f"API endpoint: {dev.api}\n"
    assert stranger.ok("logout") == "OK\n"
    assert "Not logged in" in stranger.refused("is", "instances")


def test_logins_that_are_refused(dev: Dev, stranger: Terminal) -> None:
    cases = [
        (("--apikey", "wrong"), "BXNIM0415E"),
        (("--apikey", "@/does/not/exist"), "cannot be read"),
        (("--apikey", "a", "--vpc-cri"), "exclude each other"),
        (("--apikey", dev.api_key, "-c", "other"), "not other"),
        (("--apikey", dev.api_key, "-r", "nowhere"), "Use one of: us-south"),
        (("--cr-token", "x"), "--profile"),
        (("--cr-token", "x", "--profile", "p"), "Response HTTP Status Code: 400"),
        (("--vpc-cri", "--profile", "a-name"), "not a name"),
        (("--sso",), "--apikey"),
        (("-u", "me", "-p", "secret"), "--apikey"),
        (("--skip-ssl-validation",), "REQUESTS_CA_BUNDLE"),
    ]
    for arguments, said in cases:
        assert said in stranger.refused("login", "-a", dev.api, *arguments)
    assert "Not logged in" in stranger.refused("target")


def test_login_as_an_instance(dev: Dev, stranger: Terminal, demo: dict[str, str]) -> None:
    text = stranger.ok("login", "-a", dev.api, "--vpc-cri", IBMCLOUD_CR_VPC_URL=demo["metadata"])
    assert "Profile-" in text
    claims = unverified_claims(stranger.ok("iam", "bearer-token").strip())
    assert claims["iam_id"].startswith("iam-Profile-")
    assert claims["exp"] - claims["iat"] == 3600


def test_login_with_an_identity_token(
    dev: Dev, cloud: Cloud, stranger: Terminal, demo: dict[str, str]
) -> None:
    profile = cloud.profile()
    instance = cloud.vpc.get_instance(demo["id"]).result
    cloud.iam.create_link(profile["id"], "VSI", {"crn": instance["crn"]}, name="cli")
    token = identity_token(demo["metadata"])
    for typed in (profile["id"], profile["crn"], profile["name"]):
        if typed == profile["name"]:
            variables = {"IBMCLOUD_CR_TOKEN": token, "IBMCLOUD_CR_PROFILE": typed}
            stranger.ok("login", "-a", dev.api, **variables)
        else:
            stranger.ok("login", "-a", dev.api, "--cr-token", token, "--profile", typed)
        claims = unverified_claims(stranger.ok("iam", "bearer-token").strip())
        assert claims["iam_id"] == profile["iam_id"]


def test_without_the_service_the_variable_is_named(dev: Dev, stranger: Terminal) -> None:
    said = stranger.refused(
        "login", "-a", dev.api, "--vpc-cri", IBMCLOUD_CR_VPC_URL="http://127.0.0.1:9"
    )
    assert "IBMCLOUD_CR_VPC_URL" in said
    assert "http://127.0.0.1:9 does not answer" in said


def test_target_changes_and_a_key_is_not_sent_elsewhere(dev: Dev, stranger: Terminal) -> None:
    stranger.ok("login", "-a", dev.api, "--apikey", dev.api_key)
    assert "nowhere" in stranger.refused("target", "-r", "nowhere")
    assert stranger.json("target", "-g", "Default")["resource_group"] == "Default"
    assert stranger.json("target", "--unset-resource-group")["resource_group"] is None
    assert stranger.json("target", "-r", "us-south")["region"] == "us-south"
    assert "Logged out" in stranger.refused("api", "http://127.0.0.1:9")
    assert "Not logged in" in stranger.refused("target")


def test_plugin_and_regions(user: Terminal) -> None:
    assert "nothing has to be installed" in user.ok("plugin", "install", "vpc-infrastructure")
    assert "us-south" in user.ok("regions")


def test_the_fourth_field_is_the_token(user: Terminal) -> None:
    line = next(line for line in user.ok("iam", "oauth-tokens").splitlines() if "IAM" in line)

    assert line.startswith("IAM token:  Bearer ")
    assert unverified_claims(line.split()[3])["account"]["bss"]


def test_api_keys(user: Terminal, cloud: Cloud, tmp_path: Path) -> None:
    name = cloud.name("key")
    made = user.json("iam", "api-key-create", name, "-d", "for a test")
    assert user.ok(
        "iam", "bearer-token", LINKLOCAL_API=cloud.dev.api, IBMCLOUD_API_KEY=made["apikey"]
    )
    listed = user.ok("iam", "api-keys", "--uuid", "-n", "-d")
    assert made["id"] in listed
    assert made["apikey"] not in listed
    assert user.json("iam", "api-key-update", name, "-n", f"{name}-x")["name"] == f"{name}-x"
    for verb in ("lock", "unlock", "disable", "enable"):
        assert user.ok("iam", f"api-key-{verb}", made["id"]).endswith("OK\n")
    assert "Add -f" in user.refused("iam", "api-key-delete", made["id"])
    assert user.ok("iam", "api-key-delete", f"{name}-x", "-f", "-q") == "OK\n"
    assert "iam api-keys" in user.refused("iam", "api-key", f"{name}-x")
    file = tmp_path / "key.json"
    text = user.ok("iam", "api-key-create", name, "--file", str(file))
    assert file.stat().st_mode & 0o777 == 0o600
    assert json.loads(file.read_text())["apikey"] not in text
    user.ok("iam", "api-key-delete", name, "-f")


def test_trusted_profiles_links_and_rules(
    user: Terminal, cloud: Cloud, demo: dict[str, str]
) -> None:
    name = cloud.name("profile")
    made = user.json("iam", "trusted-profile-create", name, "-d", "for a test")
    assert user.ok("iam", "trusted-profile", name, "--id") == f"{made['id']}\n"
    assert name in user.ok("iam", "trusted-profiles", "-n")
    assert made["id"] in user.ok("iam", "trusted-profiles", "--id")
    assert (
        user.json("iam", "trusted-profile-update", made["id"], "-d", "other")["description"]
        == "other"
    )
    crn = cloud.vpc.get_instance(demo["id"]).result["crn"]
    link = user.json("iam", "trusted-profile-link-create", name, "--name", "mine", "--cr-type", "VSI",
                     "--link-crn", crn)  # fmt: skip
    assert crn in user.ok("iam", "trusted-profile-links", name)
    assert user.ok("iam", "trusted-profile-links", name, "--id") == f"{link['id']}\n"
    user.ok("iam", "trusted-profile-link-delete", name, "mine", "-f")
    assert user.json("iam", "trusted-profile-links", name) == []
    rule = user.json("iam", "trusted-profile-rule-create", name, "--name", "zone", "--type", "Profile-CR",
                     "--cr-type", "VSI", "--conditions",
                     "claim:zone,operator:EQUALS,value:us-south-1")  # fmt: skip
    assert "us-south-1" in user.ok("iam", "trusted-profile-rules", name)
    changed = user.json("iam", "trusted-profile-rule-update", name, "zone", "--conditions",
                        "claim:zone,operator:EQUALS,value:us-south-2")  # fmt: skip
    assert changed["id"] == rule["id"]
    assert "us-south-2" in str(changed["conditions"])
    assert "is no condition" in user.refused("iam", "trusted-profile-rule-update", name, "zone",
                                             "--conditions", "zone=us-south-2")  # fmt: skip
    user.ok("iam", "trusted-profile-rule-delete", name, rule["id"], "-f")
    assert "Add -f" in user.refused("iam", "trusted-profile-delete", name)
    user.ok("iam", "trusted-profile-delete", name, "-f")
    assert "iam trusted-profiles" in user.refused("iam", "trusted-profile", name)


def test_roles_of_a_trusted_profile(cloud: Cloud, user: Terminal) -> None:
    name = cloud.name("roles")
    user.ok("iam", "trusted-profile-create", name)
    refused = user.refused("iam", "trusted-profile-policy-create", name, "--roles", "King")
    assert "Viewer, Operator, Editor, Administrator" in refused

    made = json.loads(
        user.ok(
            "iam", "trusted-profile-policy-create", name, "--roles", "viewer,Operator",
            "--service-name", "is", "--output", "JSON",
        )
    )  # fmt: skip
    assert [role["display_name"] for role in made["roles"]] == ["Viewer", "Operator"]
    listed = user.ok("iam", "trusted-profile-policies", name)
    assert "Viewer, Operator" in listed
    text = user.ok(
        "iam", "trusted-profile-policy-update", name, made["id"], "--roles", "Editor", "-d", "ci"
    )
    assert "Editor" in text
    kept = cloud.policies.get_policy(made["id"]).result
    assert kept["description"] == "ci"
    assert {"name": "serviceName", "value": "is"} in kept["resources"][0]["attributes"]
    assert "Editor" in user.ok("iam", "trusted-profile-policy", name, made["id"])
    assert "has no policy" in user.refused("iam", "trusted-profile-policy", name, "other")
    user.ok("iam", "trusted-profile-policy-delete", name, made["id"], "-f")
    assert made["id"] not in user.ok("iam", "trusted-profile-policies", name, "--id")


def test_a_profile_is_assumed_and_left(user: Terminal) -> None:
    """As the profile one has its role, Viewer of `is`, and no other."""
    assert "demo-profile" in user.ok("iam", "trusted-profiles", "--can-assume")
    assert "No trusted profile is assumed" in user.refused("iam", "trusted-profile-leave")

    assert user.ok("iam", "trusted-profile-assume", "demo-profile").endswith("OK\n")
    assert "demo" in user.ok("is", "instances")
    refused = user.refused("is", "vpc-create", "not-for-viewers")
    assert "403" in refused

    assert user.ok("iam", "trusted-profile-leave") == "OK\n"
    assert "linklocal dev in" in user.ok("target")


def test_without_a_name_several_profiles_are_named(user: Terminal, cloud: Cloud) -> None:
    """None of them is assumed."""
    another = cloud.profile()["name"]
    refused = user.refused("iam", "trusted-profile-assume")
    assert "demo-profile" in refused
    assert another in refused
    assert "No trusted profile is assumed" in user.refused("iam", "trusted-profile-leave")


def test_after_a_login_the_profile_is_left_for_it(dev: Dev, stranger: Terminal) -> None:
    stranger.ok("login", "-a", dev.api, "--apikey", dev.api_key)
    before = stranger.ok("target")
    stranger.ok("iam", "trusted-profile-assume", "demo-profile", "-q")
    assert stranger.ok("target") != before
    stranger.ok("iam", "trusted-profile-leave")
    assert stranger.ok("target") == before


def test_what_the_environment_decides_cannot_be_assumed(dev: Dev, stranger: Terminal) -> None:
    key = {"LINKLOCAL_API": dev.api, "IBMCLOUD_API_KEY": dev.api_key}
    refused = stranger.refused("iam", "trusted-profile-assume", "demo-profile", **key)
    assert "unset LINKLOCAL_API" in refused
