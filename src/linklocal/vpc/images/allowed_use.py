"""What an image allows to be made of it: its expression, asked about an instance (contract 8).

Asked when an instance is created, and of the boot volume's copy when it is changed. An expression that
cannot be evaluated allows nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

from linklocal.document import MetadataService, Protocol
from linklocal.errors import Problem, bad_field
from linklocal.vpc.images.expressions import (
    Expression,
    ExpressionError,
    Value,
    conjuncts,
    holds,
    parse,
)
from linklocal.vpc.instances.options import Options
from linklocal.vpc.profiles.catalog import Profile

# Only who makes a boot volume can have written an expression that is wrong.
_WRITTEN_AT = "boot_volume_attachment.volume.allowed_use.instance"
_SETTINGS = ("metadata_service.enabled", "metadata_service.protocol")
# The variables of an instance, each with some value of its type.
_SAMPLE: Mapping[str, Value] = {
    "metadata_service.enabled": True,
    "metadata_service.protocol": "https",
    "vcpu.count": 2,
    "enable_secure_boot": False,
    "gpu.count": 0,
    "gpu.manufacturer": "",
    "gpu.memory": 0,
    "gpu.model": "",
}


def allowed_use_problems(
    allowed_use: Mapping[str, str] | None,
    settings: MetadataService,
    options: Options,
    profile: Profile,
) -> list[Problem]:
    """Why such an instance is not allowed; empty when it is.

    The target is the setting that the failing part is about, else `image`.
    """
    text = "true" if allowed_use is None else allowed_use.get("instance", "true")
    variables = _variables(settings, profile, secure_boot=options.enable_secure_boot)
    try:
        failing = [part for part in conjuncts(parse(text)) if not holds(part, variables)]
    except ExpressionError as error:
        message = f"`allowed_use.instance` cannot be evaluated: {error}. It reads {text!r}."
        return [bad_field(_WRITTEN_AT, message, text)]
    problems: dict[str, Problem] = {}
    for part in failing:
        name = _about(part)
        message = f"The image allows only instances for which {text!r} is true."
        value = variables.get(name)
        shown = str(value).lower() if isinstance(value, bool) else value
        problems.setdefault(name, bad_field(name, message, shown))
    return list(problems.values())


def bare_metal_problems(
    allowed_use: Mapping[str, str], field: str, *, secure_boot: bool
) -> list[Problem]:
    """Why an image allows no such bare metal server; `field`: where the body has the image."""
    text = allowed_use.get("bare_metal_server", "true")
    try:
        allowed = holds(parse(text), {"enable_secure_boot": secure_boot})
    except ExpressionError:
        allowed = False
    if allowed:
        return []
    message = f"The image allows only bare metal servers for which {text!r} is true."
    return [bad_field(field, message)]


def expression_problems(allowed_use: Mapping[str, str], field: str) -> list[Problem]:
    """What is wrong with expressions that somebody wants to set: grammar, variables, types (contract 8).

    `allowed_use` has `instance` or `bare_metal_server` or both; targets are `<field>.<member>`.
    """
    known = {"instance": _SAMPLE, "bare_metal_server": {"enable_secure_boot": False}}
    problems = []
    for member, variables in known.items():
        if (text := allowed_use.get(member)) is None:
            continue
        try:
            holds(parse(text), variables)
        except ExpressionError as error:
            message = f"The expression cannot be used: {error}. It may name {', '.join(variables)}."
            problems.append(bad_field(f"{field}.{member}", message, text))
    return problems


def allows_profile(allowed_use: Mapping[str, str], profile: Profile) -> bool:
    """Whether some instance of this profile is allowed, whatever else its settings are."""
    try:
        expression = parse(allowed_use["instance"])
        return any(
            holds(expression, _variables(settings, profile, secure_boot=secure_boot))
            for settings in _all_settings(profile)
            for secure_boot in profile.secure_boot_modes
        )
    except ExpressionError:
        return False


def _all_settings(profile: Profile) -> list[MetadataService]:
    enabled = (False, True) if profile.supports_metadata_service else (False,)
    return [MetadataService(on, protocol) for on in enabled for protocol in get_args(Protocol)]


def _about(part: Expression) -> str:
    names = part.names()
    return next((name for name in _SETTINGS if name in names), "image")


def _variables(
    settings: MetadataService, profile: Profile, *, secure_boot: bool
) -> dict[str, Value]:
    """What expressions may name. No profile has a GPU."""
    return {
        "metadata_service.enabled": settings.enabled,
        "metadata_service.protocol": settings.protocol,
        "vcpu.count": profile.vcpu_count,
        "enable_secure_boot": secure_boot,
        "gpu.count": 0,
        "gpu.manufacturer": "",
        "gpu.memory": 0,
        "gpu.model": "",
    }
