"""What may be chosen of a bare metal server's hardware: bandwidth, secure boot, TPM. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from linklocal.errors import Problem, bad_field
from linklocal.vpc.bare_metal_servers.catalog import BareMetalProfile
from linklocal.vpc.references import Patch, Prototype

TpmMode = Literal["disabled", "tpm_2"]
TPM_MODES: tuple[TpmMode, ...] = ("disabled", "tpm_2")


class TrustedPlatformModulePrototype(Prototype):
    mode: TpmMode | None = None


class OptionsPrototype(Prototype):
    bandwidth: int | None = None
    enable_secure_boot: bool | None = None
    trusted_platform_module: TrustedPlatformModulePrototype | None = None


class TrustedPlatformModulePatch(Patch):
    mode: TpmMode = "disabled"


class OptionsPatch(Patch):
    """Only members that the body has count; the defaults are never used."""

    bandwidth: int = 0
    enable_secure_boot: bool = False
    trusted_platform_module: TrustedPlatformModulePatch = TrustedPlatformModulePatch()


@dataclass(frozen=True, slots=True)
class Options:
    """Column `bare_metal_servers.options`. Bandwidth in Mbps."""

    bandwidth: int
    enable_secure_boot: bool = False
    tpm_mode: TpmMode = "disabled"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Options:
        """Read what `to_json` wrote."""
        return cls(**data)

    def view(self) -> dict[str, Any]:
        """Their members of a bare metal server."""
        return {
            "bandwidth": self.bandwidth,
            "enable_secure_boot": self.enable_secure_boot,
            "trusted_platform_module": {
                "enabled": self.tpm_mode != "disabled",
                "mode": self.tpm_mode,
                "supported_modes": list(TPM_MODES),
            },
        }


def chosen(
    current: Options, body: OptionsPrototype | OptionsPatch, profile: BareMetalProfile
) -> tuple[Options, list[Problem]]:
    """The options after what the body has of them, and what is wrong with that."""
    given = {
        name: value
        for name in OptionsPrototype.model_fields
        if name in body.model_fields_set and (value := getattr(body, name)) is not None
    }
    module = given.pop("trusted_platform_module", None)
    if module is not None and module.mode is not None and "mode" in module.model_fields_set:
        given["tpm_mode"] = module.mode
    after = replace(current, **given)
    if after.bandwidth in profile.bandwidths:
        return after, []
    choices = ", ".join(map(str, sorted(profile.bandwidths)))
    message = f"A server of profile {profile.name} has a bandwidth of {choices} Mbps: choose one."
    return after, [bad_field("bandwidth", message, after.bandwidth)]
