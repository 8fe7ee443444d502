"""`linklocal iam trusted-profile*`: profiles, their links and their rules. Control-plane contract 5.4."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from linklocal.cli.iam_assume import can_assume
from linklocal.cli.iam_command import Iam, iam_command
from linklocal.cli.is_.instance import confirm, force_option
from linklocal.cli.is_.names import find
from linklocal.cli.output import SubTable, moment
from linklocal.errors import OperatorError

only_id = click.option("--id", "only_id", is_flag=True, help="Print just the id.")
PROFILE = click.argument("profile", metavar="NAME|ID")


def _rows(profile: dict[str, Any]) -> list[tuple[str, object]]:
    return [
        ("ID", profile["id"]), ("Name", profile["name"]), ("Description", profile.get("description")),
        ("Email", profile.get("email")), ("CRN", profile["crn"]), ("IAM ID", profile["iam_id"]),
        ("Created At", moment(profile["created_at"])),
    ]  # fmt: skip


def _ids(run: Iam, items: list[dict[str, Any]]) -> None:
    for item in items:
        click.echo(item["id"])


@click.command("trusted-profile-create")
@click.argument("name")
@click.option("-d", "--description", help="What it is for.")
@click.option("-e", "--email", help="Whom to ask about it.")
@iam_command
def create(run: Iam, name: str, description: str | None, email: str | None) -> None:
    """Create a trusted profile.

    \b
    Example:
      linklocal iam trusted-profile-create my-profile -d "reads images"
    """
    run.say(f"Creating trusted profile {name}")
    made = run.iam.create_profile(
        name, run.session.account_id, description=description, email=email
    ).result
    run.detail(made, _rows)


@click.command("trusted-profile")
@PROFILE
@only_id
@iam_command
def show(run: Iam, profile: str, only_id: bool) -> None:
    """Show a trusted profile, by name or id.

    \b
    Example:
      linklocal iam trusted-profile my-profile --id
    """
    if not only_id:
        run.say(f"Getting trusted profile {profile}")
    found = run.profile(profile)
    if only_id:
        click.echo(found["id"])
    else:
        run.detail(found, _rows)


@click.command("trusted-profiles")
@click.option(
    "--can-assume",
    "assumable",
    is_flag=True,
    help="Only those that you could assume now. IAM is asked for each.",
)
@only_id
@click.option("-n", "by_name", is_flag=True, help="Sort by name, not by age.")
@click.option("-d", "descending", is_flag=True, help="Turn the order round.")
@iam_command
def list_(run: Iam, assumable: bool, only_id: bool, by_name: bool, descending: bool) -> None:
    """List trusted profiles.

    \b
    Example:
      linklocal iam trusted-profiles
      linklocal iam trusted-profiles --can-assume
    """
    found = run.all(run.iam.list_profiles, "profiles")
    if assumable:
        found = [profile for profile in found if can_assume(run.session, profile["id"])]
    found.sort(key=lambda item: item["name" if by_name else "created_at"], reverse=descending)
    if only_id:
        _ids(run, found)
        return
    run.say("Getting trusted profiles")
    run.listing(found, ("ID", "Name", "Description", "Created At"), lambda item: (
        item["id"], item["name"], item.get("description"), moment(item["created_at"]),
    ))  # fmt: skip


@click.command("trusted-profile-update")
@PROFILE
@click.option("-n", "--name", "new_name", metavar="NEW_NAME", help="New name.")
@click.option("-d", "--description", help="New description; an empty text clears it.")
@click.option("-e", "--email", help="New address; an empty text clears it.")
@click.option("-f", "--force", is_flag=True, help="Accepted; nothing is asked.")
@iam_command
def update(
    run: Iam,
    profile: str,
    new_name: str | None,
    description: str | None,
    email: str | None,
    force: bool,
) -> None:
    """Change a trusted profile's name, description or address.

    \b
    Example:
      linklocal iam trusted-profile-update my-profile -n my-other-profile
    """
    if new_name is None and description is None and email is None:
        raise OperatorError(
            "Nothing was named that should change.", "linklocal iam trusted-profile-update --help"
        )
    found = run.profile(profile)
    run.say(f"Updating trusted profile {profile}")
    made = run.iam.update_profile(
        found["id"], found["entity_tag"], name=new_name, description=description, email=email
    ).result
    run.detail(made, _rows)


@click.command("trusted-profile-delete")
@PROFILE
@force_option
@iam_command
def delete(run: Iam, profile: str, force: bool) -> None:
    """Delete a trusted profile with its links and rules.

    \b
    Example:
      linklocal iam trusted-profile-delete my-profile -f
    """
    found = run.profile(profile)
    confirm(f"Delete trusted profile {found['name']}?", force)
    run.say(f"Deleting trusted profile {profile}")
    run.iam.delete_profile(found["id"])
    run.done()


# --- links -----------------------------------------------------------------------------------------


def _link_rows(link: dict[str, Any]) -> list[tuple[str, object]]:
    return [
        ("ID", link["id"]), ("Name", link.get("name")), ("Compute resource type", link["cr_type"]),
        ("CRN", link["link"]["crn"]), ("Created At", moment(link["created_at"])),
    ]  # fmt: skip


@click.command("trusted-profile-link-create")
@PROFILE
@click.option("--name", metavar="LINK", help="Name of the link.")
@click.option("--cr-type", required=True, help="VSI for an instance, BMS for a bare metal server.")
@click.option("--link-crn", required=True, metavar="CRN", help="CRN of the instance.")
@click.option("--link-namespace", metavar="NAMESPACE", help="Of a pod; not for instances.")
@click.option("--link-name", metavar="NAME", help="Of a service account; not for instances.")
@click.option("-f", "--force", is_flag=True, help="Accepted; nothing is asked.")
@iam_command
def link_create(
    run: Iam, profile: str, name: str | None, cr_type: str, link_crn: str, link_namespace: str | None,
    link_name: str | None, force: bool,
) -> None:  # fmt: skip
    """Link an instance to a trusted profile, for example after `auto-link false`.

    \b
    Example:
      linklocal iam trusted-profile-link-create my-profile --name my-link --cr-type VSI --link-crn CRN
    """
    found = run.profile(profile)
    run.say(f"Creating link for trusted profile {profile}")
    link = {"crn": link_crn, "namespace": link_namespace, "name": link_name}
    given = {key: value for key, value in link.items() if value is not None}
    run.detail(run.iam.create_link(found["id"], cr_type, given, name=name).result, _link_rows)


@click.command("trusted-profile-links")
@PROFILE
@only_id
@click.option("-f", "--force", is_flag=True, help="Accepted; nothing is asked.")
@iam_command
def links(run: Iam, profile: str, only_id: bool, force: bool) -> None:
    """List the compute resources that are linked to a trusted profile.

    \b
    Example:
      linklocal iam trusted-profile-links my-profile
    """
    found = run.iam.list_links(run.profile(profile)["id"]).result["links"]
    if only_id:
        _ids(run, found)
        return
    run.say(f"Getting links of trusted profile {profile}")
    run.listing(found, ("ID", "Name", "Compute resource type", "CRN"), lambda item: (
        item["id"], item.get("name"), item["cr_type"], item["link"]["crn"],
    ))  # fmt: skip


@click.command("trusted-profile-link-delete")
@PROFILE
@click.argument("link", metavar="LINK_NAME|LINK_ID")
@force_option
@iam_command
def link_delete(run: Iam, profile: str, link: str, force: bool) -> None:
    """Take a link from a trusted profile; the instance gets no more tokens for it.

    \b
    Example:
      linklocal iam trusted-profile-link-delete my-profile my-link -f
    """
    found = run.profile(profile)
    listed = run.iam.list_links(found["id"]).result["links"]
    item = _part(listed, link, "link", f"trusted-profile-links {profile}")
    confirm(f"Delete link {link} of {found['name']}?", force)
    run.say(f"Deleting link {link}")
    run.iam.delete_link(found["id"], item["id"])
    run.done()


def _part(items: list[dict[str, Any]], typed: str, kind: str, listing: str) -> dict[str, Any]:
    """A link or rule by name or id. Raises OperatorError."""
    try:
        return find(items, typed, kind, f"{kind}s")
    except OperatorError as error:
        raise OperatorError(error.message, f"linklocal iam {listing}") from error


# --- rules -----------------------------------------------------------------------------------------


def parse_condition(text: str) -> dict[str, str]:
    """`claim:C,operator:O,value:V` -> the API's condition; the value may contain commas and colons.

    IBM's API wants a JSON text as value: one that is none is put in quotes. Raises OperatorError.
    """
    import json

    head, mark, value = text.partition(",value:")
    parts = dict(part.split(":", 1) for part in head.split(",") if ":" in part)
    if not mark or set(parts) != {"claim", "operator"}:
        raise OperatorError(
            f"{text!r} is no condition.",
            'Write --conditions "claim:CLAIM,operator:EQUALS,value:VALUE"',
        )
    try:
        json.loads(value)
    except ValueError:
        value = json.dumps(value)
    return {"claim": parts["claim"], "operator": parts["operator"], "value": value}


def _rule_rows(rule: dict[str, Any]) -> list[tuple[str, object]]:
    conditions = [(c["claim"], c["operator"], c["value"]) for c in rule["conditions"]]
    return [
        ("ID", rule["id"]), ("Name", rule.get("name")), ("Type", rule["type"]),
        ("Compute resource type", rule.get("cr_type")),
        ("Conditions", SubTable(("Claim", "Operator", "Value"), conditions)),
    ]  # fmt: skip


def _conditions(required: bool) -> Callable[[Any], Any]:
    return click.option(
        "--conditions", multiple=True, required=required, metavar="claim:C,operator:O,value:V",
        help="A condition; all of them must hold.",
    )  # fmt: skip


RULE_TYPE = click.option(
    "--type", "kind", type=click.Choice(["Profile-CR", "Profile-SAML"]), default="Profile-CR",
    help="(default: Profile-CR)",
)  # fmt: skip


@click.command("trusted-profile-rule-create")
@PROFILE
@click.option("--name", metavar="RULE", help="Name of the rule.")
@RULE_TYPE
@_conditions(required=True)
@click.option(
    "--cr-type", default="VSI", help="VSI for instances, BMS for bare metal servers. (default: VSI)"
)
@iam_command
def rule_create(
    run: Iam, profile: str, name: str | None, kind: str, conditions: tuple[str, ...], cr_type: str
) -> None:
    """Let every compute resource that meets the conditions use a trusted profile.

    \b
    Example:
      linklocal iam trusted-profile-rule-create my-profile --name zone --type Profile-CR --cr-type VSI \\
        --conditions "claim:zone,operator:EQUALS,value:us-south-1"
    """
    found = run.profile(profile)
    run.say(f"Creating rule for trusted profile {profile}")
    made = run.iam.create_claim_rule(
        found["id"], kind, [parse_condition(one) for one in conditions], name=name, cr_type=cr_type
    ).result
    run.detail(made, _rule_rows)


@click.command("trusted-profile-rules")
@PROFILE
@only_id
@iam_command
def rules(run: Iam, profile: str, only_id: bool) -> None:
    """List the rules of a trusted profile.

    \b
    Example:
      linklocal iam trusted-profile-rules my-profile
    """
    found = run.iam.list_claim_rules(run.profile(profile)["id"]).result["rules"]
    if only_id:
        _ids(run, found)
        return
    run.say(f"Getting rules of trusted profile {profile}")
    run.listing(found, ("ID", "Name", "Type", "Conditions"), lambda item: (
        item["id"], item.get("name"), item["type"],
        "; ".join(f"{c['claim']} {c['operator']} {c['value']}" for c in item["conditions"]),
    ))  # fmt: skip


@click.command("trusted-profile-rule-update")
@PROFILE
@click.argument("rule", metavar="RULE_NAME|RULE_ID")
@click.option("--name", metavar="NEW_NAME", help="New name.")
@_conditions(required=False)
@iam_command
def rule_update(
    run: Iam, profile: str, rule: str, name: str | None, conditions: tuple[str, ...]
) -> None:
    """Change a rule; conditions that are given replace all that it had.

    \b
    Example:
      linklocal iam trusted-profile-rule-update my-profile zone \\
        --conditions "claim:zone,operator:EQUALS,value:us-south-2"
    """
    if name is None and not conditions:
        raise OperatorError(
            "Nothing was named that should change.",
            "linklocal iam trusted-profile-rule-update --help",
        )
    found = run.profile(profile)
    listed = run.iam.list_claim_rules(found["id"]).result["rules"]
    item = _part(listed, rule, "rule", f"trusted-profile-rules {profile}")
    run.say(f"Updating rule {rule}")
    made = run.iam.update_claim_rule(
        found["id"], item["id"], item["entity_tag"], item["type"],
        [parse_condition(one) for one in conditions] or item["conditions"],
        name=name or item.get("name"), cr_type=item.get("cr_type"), expiration=item.get("expiration"),
    ).result  # fmt: skip
    run.detail(made, _rule_rows)


@click.command("trusted-profile-rule-delete")
@PROFILE
@click.argument("rule", metavar="RULE_NAME|RULE_ID")
@force_option
@iam_command
def rule_delete(run: Iam, profile: str, rule: str, force: bool) -> None:
    """Take a rule from a trusted profile.

    \b
    Example:
      linklocal iam trusted-profile-rule-delete my-profile zone -f
    """
    found = run.profile(profile)
    listed = run.iam.list_claim_rules(found["id"]).result["rules"]
    item = _part(listed, rule, "rule", f"trusted-profile-rules {profile}")
    confirm(f"Delete rule {rule} of {found['name']}?", force)
    run.say(f"Deleting rule {rule}")
    run.iam.delete_claim_rule(found["id"], item["id"])
    run.done()


COMMANDS = (
    create, show, list_, update, delete, link_create, links, link_delete, rule_create, rules,
    rule_update, rule_delete,
)  # fmt: skip
