"""The contract's tables of commands (5.2, 5.4) row by row: each option works, or is left out and says so."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from linklocal.cli.left_out import LEFT_OUT, page
from linklocal.cli.main import cli
from linklocal.cli.reference import reference
from linklocal.errors import OperatorError

EVERY = "--output -q --quiet"
MS = (
    "--metadata-service --ms --metadata-service-protocol --msp "
    "--metadata-service-response-hop-limit --msrhl"
)
TP = "--default-trusted-profile --default-trusted-profile-auto-link"
RG = "--resource-group-id --resource-group-name"
TRIO = f"{RG} --all-resource-groups"
MACHINE = (
    "--image --catalog-offering --catalog-offering-version --catalog-offering-plan --keys --user-data --sgs "
    "--rip --address --auto-delete --ip-name --allow-ip-spoofing --primary-network-interface "
    "--network-interface --pnac-name --pnac-vni --pnac-vni-name --pnac-vni-subnet --network-attachments "
    "--boot-volume --volume-attach --total-volume-bandwidth --dedicated-host --dedicated-host-group "
    "--placement-group --reservation-affinity-policy --res-policy --reservation-affinity-pool --res-pool "
    "--host-failure-policy --confidential-compute-mode --enable-secure-boot "
    f"{RG} --cluster-network-attachments --volume-bandwidth-qos-mode --vcpu-percentage "
    "--availability-class --preemption-policy --threads-per-core -i"
)
PLACE = "--name --profile --zone --vpc --subnet"
CREATED = "INSTANCE_NAME VPC ZONE_NAME PROFILE_NAME [SUBNET]"

# command -> positionals, options. Old spellings that the page itself prints stand with the new ones.
IS = {
    "instance-create": (CREATED, f"{MS} {TP} {MACHINE} --image-id --key-ids --key --json"),
    "instance-update": (
        "INSTANCE",
        f"--name {MS} --profile --total-volume-bandwidth --dedicated-host --dedicated-host-group "
        "--reservation-affinity-policy --res-policy --reservation-affinity-pool --res-pool "
        "--host-failure-policy --confidential-compute-mode --enable-secure-boot "
        "--volume-bandwidth-qos-mode --vcpu-percentage --availability-class --preemption-policy "
        "--threads-per-core",
    ),
    "instance": ("INSTANCE", ""),
    "instances": (
        "",
        f"{TRIO} --reservation --vpc --ig --availability-class --dh --pg",
    ),
    "instance-delete": ("INSTANCE1 INSTANCE2 ...", "-f --force"),
    "instance-start": ("INSTANCE", ""),
    "instance-stop": ("INSTANCE", "--no-wait -f --force"),
    "instance-reboot": ("INSTANCE", "--no-wait -f --force"),
    "instance-initialization-values": ("INSTANCE", "--private-key --private-key-passphrase"),
    "instance-reinitialize": (
        "INSTANCE",
        f"--image --boot-volume --keys {TP} --user-data -f",
    ),
    "instance-template-create": (
        CREATED.replace("INSTANCE_NAME", "INSTANCE_TEMPLATE_NAME"),
        f"{MS} {MACHINE} --image-id --key-ids --key --json",
    ),
    "instance-template-create-override-source-template": (
        "",
        f"--source-template {PLACE} {MS} {MACHINE}",
    ),
    "instance-create-from-template": (
        "",
        f"--template --template-id {PLACE} {MS} {TP} {MACHINE}",
    ),
    "instance-templates": ("", TRIO),
    "instance-template": ("TEMPLATE", ""),
    "instance-template-update": ("TEMPLATE", "--name"),
    "instance-template-delete": ("TEMPLATE1 TEMPLATE2 ...", "-f"),
    "keys": ("", TRIO),
    "key": ("KEY", ""),
    "key-update": ("KEY", "--name"),
    "key-delete": ("KEY1 KEY2 ...", "-f"),
    "key-create": ("KEY_NAME KEY|@KEY_FILE", f"--key-type {RG}"),
    "images": ("", f"--visibility --status --user-data-format --remote-account-id {TRIO}"),
    "image": ("IMAGE", ""),
    "image-instance-profiles": ("IMAGE", ""),
    "operating-systems": ("", ""),
    "image-update": (
        "IMAGE",
        "--name --allowed-use-instance --au-ins --allowed-use-api-version "
        "--allowed-use-bare-metal-server --deprecate-at --obsolete-at",
    ),
    "vpcs": ("", f"{TRIO} --classic-access"),
    "vpc": ("VPC", ""),
    "vpc-create": ("VPC_NAME", f"--classic-access --address-prefix-management {RG}"),
    "subnets": ("", f"{TRIO} --zone --vpc --rt"),
    "subnet": ("SUBNET", ""),
    "subnet-create": (
        "SUBNET_NAME VPC",
        f"--zone --ipv4-address-count --ipv4-cidr-block --rt {RG}",
    ),
    "instance-profiles": ("", ""),
    "instance-profile": ("PROFILE_NAME", ""),
    "regions": ("", ""),
    "region": ("REGION_NAME", ""),
    "zones": ("", ""),
    "zone": ("ZONE_NAME", ""),
    "placement-groups": ("", ""),
    "security-groups": ("", ""),
    "virtual-network-interfaces": ("", ""),
    "volumes": ("", ""),
    "volume-profiles": ("", ""),
    "floating-ip-reserve": ("FLOATING_IP_NAME", "--zone --nic --in --vni"),
    "instance-network-interfaces": ("INSTANCE", ""),
    "instance-network-attachments": ("INSTANCE", ""),
    "instance-volume-attachments": ("INSTANCE", ""),
}
IAM = {
    "oauth-tokens": ("", "--output"),
    "bearer-token": ("", ""),
    "api-keys": ("", "--uuid -n -d"),
    "api-key-create": ("NAME", "-d --file --lock --action-if-leaked"),
    "api-key-update": ("NAME|UUID", "-n -d"),
    "api-key-delete": ("NAME|UUID", "-f"),
    "api-key-lock": ("NAME|UUID", ""),
    "api-key-unlock": ("NAME|UUID", ""),
    "api-key-disable": ("NAME|UUID", ""),
    "api-key-enable": ("NAME|UUID", ""),
    "trusted-profile-create": ("NAME", "-d -e --output -q"),
    "trusted-profile": ("NAME|ID", "--id --output -q"),
    "trusted-profiles": ("", "--can-assume --id --output -n -d -q"),
    "trusted-profile-update": ("NAME|ID", "-n -d -e --output -f -q"),
    "trusted-profile-delete": ("NAME|ID", "-f -q"),
    "trusted-profile-link-create": (
        "NAME|ID",
        "--name --cr-type --link-crn --link-namespace --link-name --output -q -f",
    ),
    "trusted-profile-links": ("NAME|ID", "--id --output -f -q"),
    "trusted-profile-link-delete": ("NAME|ID LINK_NAME|LINK_ID", "-f -q"),
    "trusted-profile-rule-create": ("NAME|ID", "--name --type --conditions --cr-type"),
    "trusted-profile-rules": ("NAME|ID", ""),
    "trusted-profile-rule-update": ("NAME|ID RULE_NAME|RULE_ID", ""),
    "trusted-profile-rule-delete": ("NAME|ID RULE_NAME|RULE_ID", ""),
    "trusted-profile-assume": ("[NAME|ID]", ""),
    "trusted-profile-leave": ("", ""),
}
OTHERS = {
    "login": (
        "",
        "-a --apikey -u -p --sso --cr-token --profile --vpc-cri -c -g -r --no-region "
        "--skip-ssl-validation --no-account --accept --vpc",
    ),
    "logout": ("", ""),
    "target": ("", "-r --unset-region -c -g --unset-resource-group"),
    "api": ("[URL]", ""),
    "regions": ("", ""),
    "plugin install": ("NAME...", ""),
}
ROWS: dict[str, tuple[str, str]] = {
    **{f"is {name}": (words, f"{options} {EVERY}") for name, (words, options) in IS.items()},
    **{f"iam {name}": row for name, row in IAM.items()},
    **OTHERS,
}


def command_at(path: str) -> click.Command:
    found: click.Command = cli
    for word in path.split():
        assert isinstance(found, click.Group)
        found = found.commands[word]
    return found


def options(path: str, *, left_out: bool) -> set[str]:
    """The spellings of a command's options that do something, or of those that are refused."""
    return {
        name
        for option in command_at(path).params
        if isinstance(option, click.Option) and (option.callback is not None) is left_out
        for name in option.opts
    }


def refused() -> Iterator[tuple[str, tuple[str, ...], bool]]:
    for row in LEFT_OUT:
        for path in row.commands:
            for names in row.options:
                yield path, names, row.flags


@pytest.mark.parametrize("path", ROWS)
def test_every_row_of_the_contract(path: str) -> None:
    """Its positionals in its order; each option works or is left out, and none is both."""
    words, named = ROWS[path]
    command = command_at(path)
    context = click.Context(command)
    given = [p.make_metavar(context) for p in command.params if isinstance(p, click.Argument)]
    works, out = options(path, left_out=False), options(path, left_out=True)

    assert " ".join(given) == words
    assert set(named.split()) - works - out == set()
    assert works & out == set()
    assert out <= {name for at, names, _ in refused() if at == path for name in names}


def test_only_what_the_contract_has_is_left_out() -> None:
    """Each entry of the table is some option of a row, by at least one of its spellings."""
    for path, names, _ in refused():
        assert set(names) & set(ROWS[path][1].split()), (path, names)


@pytest.mark.parametrize(("path", "names", "flag"), list(refused()))
def test_a_left_out_option_fails_with_what_to_do(
    path: str, names: tuple[str, ...], flag: bool
) -> None:
    """By each spelling, before anything else is asked of the command, and the help does not offer it."""
    for name in names:
        arguments = [*path.split(), name, *(() if flag else ("value",))]
        failure = CliRunner().invoke(cli, arguments).exception
        assert isinstance(failure, OperatorError)
        assert failure.message.startswith(f"{names[0]} cannot be used: ")
        assert failure.next_step
    shown = CliRunner().invoke(cli, [*path.split(), "--help"]).output
    assert f"{names[0]} " not in shown


def test_the_page_has_the_table() -> None:
    assert page() in reference(cli)
