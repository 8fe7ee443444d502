"""The server as the wire API sees it: remembers what it was asked and answers what it was told."""

from __future__ import annotations

from dataclasses import dataclass, field

from linklocal.metadata.wire import Certificates, IamToken, ProfileSelector

ISSUED_AT = 1_795_521_600


@dataclass
class FakeUpstream:
    """Set `error` to an UpstreamRefused or UpstreamUnavailable to have it raised."""

    error: Exception | None = None
    exchanges: list[ProfileSelector | None] = field(default_factory=list)
    certificates_asked: list[tuple[str, int]] = field(default_factory=list)

    async def exchange(self, identity_token: str, profile: ProfileSelector | None) -> IamToken:
        self.exchanges.append(profile)
        if self.error is not None:
            raise self.error
        return IamToken("iam.access.token", ISSUED_AT, ISSUED_AT + 3600, "Profile-1")

    async def certificate(self, identity_token: str, csr: str, expires_in: int) -> Certificates:
        self.certificates_asked.append((csr, expires_in))
        if self.error is not None:
            raise self.error
        return Certificates(("leaf\n", "intermediate\n"), ISSUED_AT, ISSUED_AT + expires_in)
